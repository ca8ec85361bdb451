"""Puts a table of this folder in its place."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pyarrow as pa

from tests.foreign_tables.make import FOLDER


def unpack(name: str, place: Path) -> pa.Table:
    """Unpacks a table to `place`. Returns the rows that Spark read from it."""
    with zipfile.ZipFile(FOLDER / f"{name}.zip") as archive:
        for member in archive.namelist():
            if member.startswith("table/"):
                target = place / member.removeprefix("table/")
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(archive.read(member))
        return pa.ipc.open_stream(archive.read("rows.arrow")).read_all()
