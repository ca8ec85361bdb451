"""Statistics of features at a version, and their drift between two versions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakehouse.schemas import require_columns

if TYPE_CHECKING:
    import polars as pl

    from lakehouse.snapshot import Snapshot

MAX_CATEGORIES = 1_000
"""Number of different values of a text up to which its distributions are compared."""


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


@dataclass(frozen=True, slots=True)
class FeatureDrift:
    """The difference of the distributions of one feature at two versions."""

    feature: str
    method: str
    """`kolmogorov_smirnov` for numbers, `chi_squared` for texts and booleans, or `not_compared`."""
    statistic: float | None
    p_value: float | None
    """Probability of such a difference if both versions have the same distribution."""
    distance: float | None
    """Jensen-Shannon distance of categories, between 0 and 1; Wasserstein distance of numbers, in their unit."""
    missing_before: float
    """Share of rows without a value."""
    missing_after: float


def statistics(snapshot: Snapshot, features: Sequence[str]) -> list[FeatureStatistics]:
    """Returns the statistics of features at a version.

    Raises:
        UnknownColumn: the table has no such column.
    """
    frame = _frame(snapshot, features)
    return [_statistics(frame[name], str(snapshot.schema.field(name).type)) for name in features]


def drift(before: Snapshot, after: Snapshot, features: Sequence[str]) -> list[FeatureDrift]:
    """Returns how the distribution of each feature differs between two versions.

    Raises:
        UnknownColumn: a version has no such column.
    """
    earlier, later = _frame(before, features), _frame(after, features)
    return [_drift(name, earlier[name], later[name]) for name in features]


def _frame(snapshot: Snapshot, features: Sequence[str]) -> pl.DataFrame:
    import polars as pl

    require_columns(snapshot.table, snapshot.schema.names, list(features))
    return pl.DataFrame(snapshot.to_arrow(columns=list(features)))


def _present(values: pl.Series) -> pl.Series:
    return values.fill_nan(None).drop_nulls() if values.dtype.is_float() else values.drop_nulls()


def _statistics(values: pl.Series, kind: str) -> FeatureStatistics:
    import polars as pl

    present = _present(values)
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
        _number(numbers.mean()),
        _number(numbers.std()),
        _number(numbers.min()),
        _number(numbers.median()),
        _number(numbers.max()),
    )


def _number(value: object) -> float | None:
    import math

    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _drift(name: str, before: pl.Series, after: pl.Series) -> FeatureDrift:
    import polars as pl
    from scipy import stats

    earlier, later = _present(before), _present(after)
    shares = (_missing(before, earlier), _missing(after, later))
    if not len(earlier) or not len(later) or before.dtype != after.dtype:
        return FeatureDrift(name, "not_compared", None, None, None, *shares)
    if before.dtype.is_numeric():
        one, two = earlier.cast(pl.Float64).to_numpy(), later.cast(pl.Float64).to_numpy()
        found = stats.ks_2samp(one, two)
        distance = stats.wasserstein_distance(one, two)
        return FeatureDrift(
            name, "kolmogorov_smirnov", _number(found.statistic), _number(found.pvalue), _number(distance), *shares
        )
    if before.dtype in (pl.String, pl.Boolean):
        return _categories(name, earlier, later, shares)
    return FeatureDrift(name, "not_compared", None, None, None, *shares)


def _missing(values: pl.Series, present: pl.Series) -> float:
    return (len(values) - len(present)) / len(values) if len(values) else 0.0


def _categories(name: str, earlier: pl.Series, later: pl.Series, shares: tuple[float, float]) -> FeatureDrift:
    import numpy as np
    from scipy import stats
    from scipy.spatial.distance import jensenshannon

    one = earlier.rename("value").value_counts(name="before")
    two = later.rename("value").value_counts(name="after")
    counts = one.join(two, on="value", how="full", coalesce=True).fill_null(0).select("before", "after").to_numpy().T
    if counts.shape[1] > MAX_CATEGORIES:
        return FeatureDrift(name, "not_compared", None, None, None, *shares)
    distance = _number(jensenshannon(*(counts / counts.sum(axis=1, keepdims=True)), base=2))
    if counts.shape[1] < 2:  # one category in both versions
        return FeatureDrift(name, "chi_squared", 0.0, 1.0, distance, *shares)
    found = stats.chi2_contingency(counts.astype(np.float64))
    return FeatureDrift(name, "chi_squared", _number(found.statistic), _number(found.pvalue), distance, *shares)
