"""Versions in requests: a table version such as `3`, or a data version such as `<table id>@3`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from core.errors import InvalidArgument, UnknownVersion

if TYPE_CHECKING:
    from lakehouse.snapshot import Snapshot
    from lakehouse.tables import Tables

MAX_NUMBER = 2**53

Version = Annotated[str, Field(max_length=128)]
"""A table version or a data version."""


def number(text: str) -> int:
    """Returns the number of the table version.

    Raises:
        InvalidArgument: the text is neither a table version nor a data version.
    """
    digits = text.rpartition("@")[2]
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 16 or int(digits) > MAX_NUMBER:
        raise InvalidArgument(f"version must be a number such as 3, or <table id>@3; it is {text[:60]!r}.")
    return int(digits)


def snapshot(tables: Tables, table: str, version: str | None) -> Snapshot:
    """Returns the table at a version, or at the newest version if None.

    Raises:
        UnknownVersion: the table has no such version, or the data version belongs to another table.
        UnknownTable: the table does not exist.
    """
    if version is None:
        return tables.snapshot(table)
    requested = tables.snapshot(table, version=number(version))
    if "@" in version and version != requested.data_version:
        raise UnknownVersion(
            f"{table} has no version {version!r}. Its table id is {requested.table_id}: try {requested.data_version}.",
            metadata={"similar": [requested.data_version]},
        )
    return requested
