"""Statistics of the features of a view at a version, and their drift between two versions."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from api.kernel.kinds.context import Context
from api.kernel.lake.names import ColumnName
from api.kernel.lake.versions import Version
from api.kernel.models import Model, Query
from api.kernel.platform import Platform
from api.services.ai_catalog.kinds.feature_view import FEATURE_VIEW
from api.services.ai_catalog.logic.feature_views import BoundView, readable_view, snapshot_of
from core.errors import InvalidArgument, UnknownColumn


class StatisticsQuery(Query):
    """A version, and features."""

    version: Version | None = None
    """Version of the table. By default the newest."""

    features: Annotated[list[ColumnName], Field(max_length=2_000)] = []
    """Features; repeat the parameter. By default all of the view."""


class FeatureStatistics(Model):
    """Statistics of a feature. Those that its type doesn't have are null."""

    feature: str
    """Name of the feature."""

    type: str
    """Arrow type of the feature."""

    count: int
    """Number of rows with a value. NaN is no value."""

    missing: int
    """Number of rows without a value."""

    distinct: int | None
    """Number of different values."""

    mean: float | None
    """Mean. For booleans, the share of true values."""

    standard_deviation: float | None
    """Standard deviation of the sample."""

    minimum: float | None
    """Least value."""

    median: float | None
    """Median."""

    maximum: float | None
    """Greatest value."""


class ViewStatistics(Model):
    """Statistics of the features of a view at a version."""

    asset: str
    """Id of the table."""

    data_version: str
    """Data version that was read."""

    row_count: int
    """Number of rows."""

    features: list[FeatureStatistics]
    """Statistics of each feature."""


class DriftQuery(Query):
    """Two versions, and features."""

    before: Version | None = None
    """The earlier version. By default the one before the later version."""

    after: Version | None = None
    """The later version. By default the newest."""

    features: Annotated[list[ColumnName], Field(max_length=2_000)] = []
    """Features; repeat the parameter. By default all of the view."""


class FeatureDrift(Model):
    """The difference of the distributions of a feature at two versions."""

    feature: str
    """Name of the feature."""

    method: str
    """`kolmogorov_smirnov` for numbers, `chi_squared` for texts and booleans. `not_compared` for other types, for
    features without values, and for texts with more than 1,000 different values."""

    statistic: float | None
    """Statistic of the test. That of Kolmogorov and Smirnov is between 0 and 1."""

    p_value: float | None
    """Probability of at least this difference if both versions have the same distribution."""

    distance: float | None
    """Wasserstein distance of numbers, in their unit. Jensen-Shannon distance of categories, between 0 and 1."""

    missing_before: float
    """Share of rows without a value at the earlier version."""

    missing_after: float
    """Share of rows without a value at the later version."""


class ViewDrift(Model):
    """The drift of the features of a view between two versions."""

    asset: str
    """Id of the table."""

    before: str
    """Data version of the earlier version."""

    after: str
    """Data version of the later version."""

    features: list[FeatureDrift]
    """Drift of each feature, the greatest statistic of each method first."""


@FEATURE_VIEW.part("statistics", query=StatisticsQuery, result=ViewStatistics)
async def get_feature_view_statistics(ctx: Context, view: str, query: StatisticsQuery) -> ViewStatistics:
    """Returns statistics of the features of a view at a version of its table."""
    found = await readable_view(ctx, view, "statistics", query.version)
    return await ctx.compute(_statistics, ctx.platform, found, query.features)


@FEATURE_VIEW.part("drift", query=DriftQuery, result=ViewDrift)
async def get_feature_view_drift(ctx: Context, view: str, query: DriftQuery) -> ViewDrift:
    """Returns how the distributions of the features differ between two versions of the table."""
    found = await readable_view(ctx, view, "drift")
    return await ctx.compute(_drift, ctx.platform, found, query)


def _chosen(view: BoundView, names: list[str], features: list[str]) -> list[str]:
    known = view.columns(names).features
    if unknown := [name for name in features if name not in known]:
        raise UnknownColumn(f"{view.name} has no feature {unknown[0]!r}; it has {', '.join(known[:50])}.")
    return features or list(known)


def _statistics(platform: Platform, view: BoundView, features: list[str]) -> ViewStatistics:
    from features.statistics import statistics

    snapshot = snapshot_of(platform, view)
    found = statistics(snapshot, _chosen(view, snapshot.schema.names, features))
    return ViewStatistics(
        asset=view.asset,
        data_version=snapshot.data_version,
        row_count=snapshot.row_count,
        features=[FeatureStatistics.model_validate(one, from_attributes=True) for one in found],
    )


def _drift(platform: Platform, view: BoundView, query: DriftQuery) -> ViewDrift:
    from features.statistics import drift

    after = snapshot_of(platform, view, query.after)
    if query.before is None and after.version == 0:
        raise InvalidArgument(f"{view.asset} has only one version, so there is no drift.")
    before = snapshot_of(platform, view, query.before or str(after.version - 1))
    found = drift(before, after, _chosen(view, after.schema.names, query.features))
    found.sort(key=lambda one: (one.method, -(one.statistic or 0.0), one.feature))
    return ViewDrift(
        asset=view.asset,
        before=before.data_version,
        after=after.data_version,
        features=[FeatureDrift.model_validate(one, from_attributes=True) for one in found],
    )
