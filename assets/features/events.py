"""Events in the order in which they became known: numbered, found by an as-of join, and summed over ranges."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from assets.features.totals import RangeTotals

if TYPE_CHECKING:
    import polars as pl


def ordered(rows: pl.DataFrame, by: Sequence[str], instant: pl.Expr, values: Sequence[pl.Expr]) -> pl.DataFrame:
    """Returns the rows whose instant is known, in order of `instant`.

    `position` numbers the rows so that rows with the same `by` are contiguous and keep that order; `first` is the
    position of the first of them.
    """
    import polars as pl

    events = rows.select(*by, *values, instant=instant).drop_nulls("instant").sort("instant", maintain_order=True)
    size = pl.len().cast(pl.Int64)
    runs = (
        events.group_by(by, maintain_order=True)
        .agg(size=size)
        .with_columns(first=pl.col("size").cum_sum() - pl.col("size"))
    )
    return (
        events.with_columns(position=pl.int_range(pl.len()).over(by))
        .join(runs.drop("size"), on=list(by), nulls_equal=True, maintain_order="left")
        .with_columns(pl.col("position") + pl.col("first"))
    )


def totals_of(events: pl.DataFrame, column: str) -> RangeTotals:
    """Returns the totals of a column of `ordered` events over ranges of positions."""
    import numpy as np

    place, values = events["position"].to_numpy(), events[column]
    in_order, present = np.empty(len(place)), np.empty(len(place), dtype=bool)
    in_order[place] = values.fill_null(float("nan")).to_numpy()
    present[place] = values.is_not_null().to_numpy()
    return RangeTotals(in_order, present)


def latest(entities: pl.DataFrame, known: pl.DataFrame, by: Sequence[str], bound: str) -> pl.DataFrame:
    """Returns the newest row of `known` at or before `bound` for each entity, in order; missing where there is none."""
    import polars as pl

    newest = (
        entities.select("row", *by, bound)
        .sort(bound, maintain_order=True)
        .join_asof(
            known,
            left_on=bound,
            right_on="instant",
            by=list(by),
            coalesce=False,
            check_sortedness=False,
        )  # both sides are sorted above; Polars cannot check that per group
        .sort("row")
    )
    return newest.select(pl.exclude("row", *by, bound))
