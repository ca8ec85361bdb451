"""Results of parsing a file: rows in declared columns, and rejected lines with reasons."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

ColumnType = Literal["string", "int32", "int64", "float64", "bool", "date", "timestamp"]
"""A `date` is `YYYY-MM-DD`. A `timestamp` is ISO 8601 with an offset or Z, stored in UTC."""

LINE = "_line"
"""Column with the line of the file on which the row begins, counted from 1. In Parquet, the number of the row."""

_MAX_EXCERPT_LENGTH = 60


@dataclass(frozen=True, slots=True)
class Column:
    """A declared column. Bounds are inclusive and apply to numbers."""

    name: str
    type: ColumnType
    nullable: bool = True
    min: float | None = None
    max: float | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """A line, or the lines of one record, that can't be read as a row. `raw` doesn't contain the final line end."""

    line: int
    raw: bytes
    reason: str
    encoding: str = "utf-8"


@dataclass(frozen=True, slots=True)
class Parsed:
    """Rows in the declared columns plus `_line`, and the rejected lines."""

    rows: pl.DataFrame
    rejected: list[Rejected]
    blank: bool = False
    """Whether the file has neither rows nor a header."""


@dataclass(frozen=True, slots=True)
class Texts:
    """Rows as untyped texts, with the line on which each row begins."""

    rows: pa.Table
    lines: Sequence[int]
    rejected: list[Rejected]
    reject: Callable[[int, str], Rejected]
    """Function that rejects the row at an index of `rows` with a reason."""


def excerpt(text: str) -> str:
    """Returns a text in quotes for a message, cut off if it's long."""
    return repr(text if len(text) <= _MAX_EXCERPT_LENGTH else text[:_MAX_EXCERPT_LENGTH] + "…")


def name_fault(names: Sequence[str]) -> str:
    """Returns why names can't be column names of a table; an empty string if they can."""
    for number, name in enumerate(names, 1):
        if not name:
            return f"has no name for column {number}"
        if not name.isprintable():
            return f"has a control character in the name of column {number}, {excerpt(ascii(name))}"
    lowered = [name.lower() for name in names]
    if len(set(lowered)) < len(lowered):
        duplicate = next(name for name in names if lowered.count(name.lower()) > 1)
        return f"names the column {excerpt(duplicate)} twice (tables ignore case in names)"
    return ""
