"""Statistics of features at a version."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakehouse.schemas import require_columns

if TYPE_CHECKING:
    import polars as pl

    from lakehouse.restrictions import RestrictedSnapshot
    from lakehouse.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class FeatureStatistics:
    """Statistics of one feature. Those that its type doesn't have, or that have no value, are `None`."""

    feature: str
    type: str
    count: int
    """Number of rows with a value that is not NaN."""
    missing: int
    """Number of rows with null or NaN."""
    distinct: int | None
    mean: float | None
    standard_deviation: float | None
    minimum: float | None
    median: float | None
    maximum: float | None


def statistics(snapshot: Snapshot | RestrictedSnapshot, features: Sequence[str]) -> list[FeatureStatistics]:
    """Returns the statistics of features at a version.

    Raises:
        UnknownColumn: the table has no such column.
    """
    frame = _frame(snapshot, features)
    return [_statistics(frame[name], str(snapshot.schema.field(name).type)) for name in features]


def _frame(snapshot: Snapshot | RestrictedSnapshot, features: Sequence[str]) -> pl.DataFrame:
    import polars as pl

    require_columns(snapshot.table, snapshot.schema.names, list(features))
    return pl.DataFrame(snapshot.to_arrow(columns=list(features)))


def present_values(values: pl.Series) -> pl.Series:
    """Returns the values that are neither null nor NaN."""
    return values.fill_nan(None).drop_nulls() if values.dtype.is_float() else values.drop_nulls()


def _statistics(values: pl.Series, kind: str) -> FeatureStatistics:
    import polars as pl

    present = present_values(values)
    distinct = None if values.dtype.is_nested() else present.n_unique()
    numbers = present.cast(pl.Float64) if values.dtype.is_numeric() or values.dtype == pl.Boolean else None
    if numbers is None or not len(numbers):
        return FeatureStatistics(values.name, kind, len(present), len(values) - len(present), distinct, *(None,) * 5)
    return FeatureStatistics(
        values.name,
        kind,
        len(present),
        len(values) - len(present),
        distinct,
        finite(numbers.mean()),
        finite(numbers.std()),
        finite(numbers.min()),
        finite(numbers.median()),
        finite(numbers.max()),
    )


def finite(value: object) -> float | None:
    """Returns a finite number, or `None`."""
    import math

    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
