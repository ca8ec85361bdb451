"""Findings about a definition, compared with the tables that exist: faults, and attributes that were not checked."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from core.errors import HeadwaterError, UnsupportedTable
from lakehouse.schemas import require_storable

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl
    import pyarrow as pa

    from lakehouse.tables import Tables

Finding = dict[str, str]


class Findings:
    """Faults, as `{"pointer", "detail"}`, and attributes that were not checked, as `{"pointer", "reason"}`.

    Args:
        tables: the lakehouse.
    """

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self.faults: list[Finding] = []
        self.not_checked: list[Finding] = []

    def wrong(self, pointer: str, detail: str) -> None:
        """Records a fault on which each run would fail."""
        self.faults.append({"pointer": pointer, "detail": detail})

    def unknown(self, pointer: str, reason: str) -> None:
        """Records that an attribute was not checked. Only the first reason is recorded."""
        if all(finding["pointer"] != pointer for finding in self.not_checked):
            self.not_checked.append({"pointer": pointer, "reason": reason})

    @contextmanager
    def blaming(self, pointer: str) -> Iterator[None]:
        """Records a `HeadwaterError` that the block raises as a fault of an attribute."""
        try:
            yield
        except HeadwaterError as error:
            self.wrong(pointer, error.detail.splitlines()[0])

    def schema(self, table: str, pointer: str) -> pa.Schema | None:
        """Returns the columns of the newest version of a table, or `None` if they are not known.

        Args:
            table: the id of the table.
            pointer: the attribute that names it. If the columns are not known, it becomes a fault or not checked.
        """
        try:
            if not self.tables.exists(table):
                self.unknown(pointer, f"{table} has not been materialized yet, so its columns were not checked.")
                return None
            return self.tables.snapshot(table).schema
        except UnsupportedTable as error:
            self.wrong(pointer, error.detail)
        except HeadwaterError as error:
            self.unknown(pointer, f"{table} cannot be read now, so its columns were not checked: {error.detail}")
        return None

    def present(self, names: Sequence[str], existing: Sequence[str], pointer: str, *, owner: str) -> bool:
        """Returns whether all columns of `owner` exist, and records each missing one at `pointer/<number>`."""
        missing = [(number, name) for number, name in enumerate(names) if name not in existing]
        for number, name in missing:
            self.wrong(f"{pointer}/{number}", lacking(owner, name, existing))
        return not missing

    def condition(self, text: str, rows: pl.DataFrame, pointer: str) -> None:
        """Checks that an expression over the columns of a frame is a boolean for each row."""
        from lakehouse.expressions import require_condition

        with self.blaming(pointer):
            require_condition(text, rows)

    def storable(self, schema: pa.Schema, asset: str, pointer: str) -> pa.Schema | None:
        """Returns the columns if a Delta table can store them, otherwise `None`.

        No check can be evaluated on other columns: Polars may not have the type.
        """

        with self.blaming(pointer):
            require_storable(schema, asset)
            return schema
        return None


def place(*parts: object) -> str:
    """Returns the JSON pointer to an attribute."""
    escaped = (str(part).replace("~", "~0").replace("/", "~1") for part in parts)
    return "/".join(("/attributes", *escaped))


def empty(schema: pa.Schema) -> pl.DataFrame:
    """Returns a frame with these columns and without rows."""
    import polars as pl

    return pl.DataFrame(schema.empty_table())


def lacking(owner: str, name: str, existing: Sequence[str]) -> str:
    """Returns the message that a table or result has no such column, with a hint if only the case differs."""
    similar = [other for other in existing if other.lower() == name.lower()]
    hint = f"it has {similar[0]}, and case matters" if similar else f"it has {', '.join(existing)}"
    return f"{owner} has no column {name}; {hint}"
