"""A full disk: a clear error, a readable table, nothing left behind, and work goes on once there is room."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from core.errors import StorageFull
from lakehouse.tables import Tables
from tests.databases import with_tables

TABLE = "shop.silver.orders"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root"),
]


def blobs(count: int) -> pa.Table:
    """Rows of 2 kB that do not compress."""
    return pa.table({"id": list(range(count)), "blob": [os.urandom(1000).hex() for _ in range(count)]})


def fill(file: Path) -> None:
    """Takes all the room that is left."""
    descriptor = os.open(file, os.O_CREAT | os.O_WRONLY)
    try:
        while True:
            os.write(descriptor, b"x" * 4096)
    except OSError:
        pass
    finally:
        os.close(descriptor)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(disk)], check=True)
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.fixture
def tables(disk: Path, tmp_path: Path) -> Iterator[Tables]:
    database = with_tables(f"sqlite:///{tmp_path / 'metadata.db'}")
    tables = Tables(str(disk / "lakehouse"), database)
    tables.append(TABLE, blobs(500))
    tables.append(TABLE, blobs(500))
    yield tables
    database.close()


def files(disk: Path) -> set[Path]:
    return {file for file in (disk / "lakehouse").rglob("*") if file.is_file()}


def test_appends_until_the_disk_is_full(tables: Tables, disk: Path) -> None:
    def append_for_ever() -> None:
        while True:
            tables.append(TABLE, blobs(500))

    with pytest.raises(StorageFull, match="store was full") as caught:
        append_for_ever()
    assert caught.value.metadata == {"table": TABLE}
    snapshot = tables.snapshot(TABLE)
    assert snapshot.to_arrow().num_rows == snapshot.row_count == (snapshot.version + 1) * 500
    written = {file for file in files(disk) if "_delta_log" not in file.parts}
    commits = {file for file in files(disk) - written if file.suffix == ".json"}
    assert len(written) == len(commits) == snapshot.version + 1, "a data file without a commit was left behind"
    assert tables.verify(TABLE) == []


@pytest.mark.parametrize(
    "write",
    [
        lambda tables: tables.append(TABLE, blobs(1)),
        lambda tables: tables.overwrite(TABLE, blobs(1)),
        lambda tables: tables.merge(TABLE, blobs(3), ["id"]),
        lambda tables: tables.delete(TABLE, "id < 10"),
        lambda tables: tables.optimize(TABLE),
        lambda tables: tables.create("shop.silver.other", pa.schema([("id", pa.int64())])),
        lambda tables: tables.append("shop.silver.other", blobs(1)),
    ],
    ids=["append", "overwrite", "merge", "delete", "optimize", "create", "append to a new table"],
)
def test_every_write_fails_cleanly(tables: Tables, disk: Path, write: Callable[[Tables], object]) -> None:
    before = files(disk)
    fill(disk / "fill")
    with pytest.raises(StorageFull):
        write(tables)
    assert files(disk) == before
    assert tables.snapshot(TABLE).to_arrow().num_rows == 1000
    (disk / "fill").unlink()
    write(tables)
    assert tables.verify(TABLE) == []
