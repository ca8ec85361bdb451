"""Rules for single rows: which rows break them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lakehouse.expressions import row_expression

if TYPE_CHECKING:
    import polars as pl


def broken_rows(
    *,
    unique: Sequence[str] | None = None,
    not_null: Sequence[str] | None = None,
    column: str = "",
    low: float | None = None,
    high: float | None = None,
    holds: str | None = None,
) -> pl.Expr:
    """Returns the condition for the rows that break a rule: `unique`, `not_null`, bounds of a column, or `holds`."""
    import polars as pl

    if unique:
        return pl.struct(unique).is_duplicated()
    if not_null:
        return pl.any_horizontal(pl.col(name).is_null() for name in not_null)
    if column:
        below = pl.col(column) < low if low is not None else pl.lit(value=False)
        above = pl.col(column) > high if high is not None else pl.lit(value=False)
        return below | above
    assert holds
    return ~row_expression(holds)
