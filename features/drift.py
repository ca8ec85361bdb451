"""Drift: how the distribution of a feature differs between two versions of a table, or between two windows of time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from features.statistics import finite, present_values
from lakehouse.schemas import require_columns

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

    from lakehouse.restrictions import RestrictedSnapshot
    from lakehouse.snapshot import Snapshot

    Floats = npt.NDArray[np.float64]

MAX_CATEGORIES = 1_000
"""Number of different values of a text up to which its distributions are compared."""

_BINS = 10
"""Number of bins of numbers, each with the same share of the earlier values. Fewer values have a bin each."""

_LEAST_SHARE = 1e-4
"""Share of an empty bin in the population stability index, which would be infinite otherwise."""


@dataclass(frozen=True, slots=True)
class Window:
    """A version of a table, or those of its rows whose time is in a range."""

    snapshot: Snapshot | RestrictedSnapshot
    timestamp: str = ""
    """Column with the time. Needed for a range."""
    since: datetime | None = None
    """First instant of the range."""
    until: datetime | None = None
    """End of the range, which is not in it."""

    def rows(self, features: Sequence[str]) -> pl.DataFrame:
        """Returns the values of features.

        Raises:
            UnknownColumn: the table has no such column.
        """
        import polars as pl

        ranged = self.since is not None or self.until is not None
        names = [*features, *([self.timestamp] if ranged else [])]
        require_columns(self.snapshot.table, self.snapshot.schema.names, names)
        rows = pl.DataFrame(self.snapshot.to_arrow(columns=list(dict.fromkeys(names))))
        if self.since is not None:
            rows = rows.filter(pl.col(self.timestamp) >= self.since)
        if self.until is not None:
            rows = rows.filter(pl.col(self.timestamp) < self.until)
        return rows.select(features)


@dataclass(frozen=True, slots=True)
class FeatureDrift:
    """The difference of the distributions of one feature. `None` where its type has no such measure."""

    feature: str
    method: str
    """`kolmogorov_smirnov` for numbers, `chi_squared` for texts and booleans, or `not_compared`."""
    missing_before: float
    """Share of rows without a value."""
    missing_after: float
    statistic: float | None = None
    p_value: float | None = None
    """Probability of such a difference if both have the same distribution."""
    psi: float | None = None
    """Population stability index: of the bins of numbers, or of categories."""
    jensen_shannon: float | None = None
    """Jensen-Shannon distance of the bins or categories, between 0 and 1."""
    wasserstein: float | None = None
    """Wasserstein distance of numbers, in their unit."""
    new_categories: int | None = None
    """Number of categories that only the later values have."""
    new_share: float | None = None
    """Share of the later values that are of a new category."""


def drift(before: Window, after: Window, features: Sequence[str]) -> list[FeatureDrift]:
    """Returns how the distribution of each feature differs.

    Raises:
        UnknownColumn: a version has no such column.
    """
    earlier, later = before.rows(features), after.rows(features)
    return [_drift(name, earlier[name], later[name]) for name in features]


def _drift(name: str, before: pl.Series, after: pl.Series) -> FeatureDrift:
    import polars as pl

    earlier, later = present_values(before), present_values(after)
    missing = _missing(before, earlier), _missing(after, later)
    comparable = before.dtype == after.dtype and len(earlier) and len(later)
    if comparable and before.dtype.is_numeric():
        return FeatureDrift(name, "kolmogorov_smirnov", *missing, **_numbers(earlier, later))
    if comparable and before.dtype in (pl.String, pl.Boolean) and (found := _categories(earlier, later)):
        return FeatureDrift(name, "chi_squared", *missing, **found)
    return FeatureDrift(name, "not_compared", *missing)


def _missing(values: pl.Series, present: pl.Series) -> float:
    return (len(values) - len(present)) / len(values) if len(values) else 0.0


def _numbers(before: pl.Series, after: pl.Series) -> dict[str, Any]:
    import numpy as np
    import polars as pl
    from scipy import stats

    one, two = before.cast(pl.Float64).to_numpy(), after.cast(pl.Float64).to_numpy()
    with np.errstate(over="ignore"):
        cuts = _cuts(one)
    counts = np.array(
        [np.bincount(np.searchsorted(cuts, values, "right"), minlength=len(cuts) + 1) for values in (one, two)]
    )
    found = stats.ks_2samp(one, two)
    with np.errstate(invalid="ignore", over="ignore"):  # the distance to an infinity is not finite
        wasserstein = finite(stats.wasserstein_distance(one, two))
    return {
        "statistic": finite(found.statistic),
        "p_value": finite(found.pvalue),
        "wasserstein": wasserstein,
        **_divergences(counts),
    }


def _cuts(values: Floats) -> Floats:
    """Returns the bounds between the bins of numbers."""
    import numpy as np

    known = np.unique(values)
    if len(known) <= _BINS:
        return np.unique(np.concatenate([known, np.nextafter(known, np.inf)]))
    # Quantiles of the rank, because those between two infinities would be NaN.
    return np.unique(np.quantile(values, np.linspace(0, 1, _BINS + 1)[1:-1], method="inverted_cdf"))


def _categories(before: pl.Series, after: pl.Series) -> dict[str, Any] | None:
    """Returns measures of categories, or `None` if there are too many."""
    import numpy as np
    from scipy import stats

    one = before.rename("value").value_counts(name="before")
    two = after.rename("value").value_counts(name="after")
    counts = one.join(two, on="value", how="full", coalesce=True).fill_null(0).select("before", "after").to_numpy().T
    if counts.shape[1] > MAX_CATEGORIES:
        return None
    new = counts[0] == 0
    found = {
        "new_categories": int(new.sum()),
        "new_share": float(counts[1][new].sum() / counts[1].sum()),
        **_divergences(counts),
    }
    if counts.shape[1] < 2:  # one category in both
        return found | {"statistic": 0.0, "p_value": 1.0}
    tested = stats.chi2_contingency(counts.astype(np.float64))
    return found | {"statistic": finite(tested.statistic), "p_value": finite(tested.pvalue)}


def _divergences(counts: npt.NDArray[Any]) -> dict[str, float | None]:
    """Returns the measures of two rows of counts."""
    import numpy as np
    from scipy.spatial.distance import jensenshannon

    shares = counts / counts.sum(axis=1, keepdims=True)
    expected, actual = np.maximum(shares[:, shares.any(axis=0)], _LEAST_SHARE)
    return {
        "psi": float(((actual - expected) * np.log(actual / expected)).sum()),
        "jensen_shannon": finite(jensenshannon(*shares, base=2)),
    }
