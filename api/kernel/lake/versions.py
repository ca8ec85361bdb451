"""Versions as callers write them: a table version such as `3`, or a data version such as `<table id>@3`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from core.errors import InvalidArgument, UnknownVersion

if TYPE_CHECKING:
    from lakehouse.snapshot import Snapshot
    from lakehouse.tables import Tables

LARGEST = 2**53

Version = Annotated[str, Field(max_length=128)]
"""A version in a request, in either form."""


def number(text: str) -> int:
    """The table version in either form.

    Raises:
        InvalidArgument: it is neither.
    """
    digits = text.rpartition("@")[2]
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 16 or int(digits) > LARGEST:
        raise InvalidArgument(f"version is a number such as 3, or <table id>@3; not {text[:60]!r}.")
    return int(digits)


def snapshot(tables: Tables, table: str, version: str | None) -> Snapshot:
    """The table at a version in either form; the newest if None.

    Raises:
        UnknownVersion: the table has no such version, or the id before the `@` is another table's.
        UnknownTable: nothing was ever written.
    """
    if version is None:
        return tables.snapshot(table)
    found = tables.snapshot(table, version=number(version))
    if "@" in version and version != found.data_version:
        raise UnknownVersion(
            f"{table} has no version {version!r}: its table id is {found.table_id}, so try {found.data_version}.",
            metadata={"similar": [found.data_version]},
        )
    return found
