"""Statistics of the features of a view at a version."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from api.kernel.kinds.context import Context
from api.kernel.lake.names import ColumnName
from api.kernel.lake.versions import Version
from api.kernel.models import Model, Query
from api.kernel.platform import Platform
from api.services.ai_catalog.kinds.feature_view import FEATURE_VIEW
from api.services.ai_catalog.logic.feature_views import BoundView, chosen_features, readable_view, seen_snapshot


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


@FEATURE_VIEW.part("statistics", query=StatisticsQuery, result=ViewStatistics)
async def get_feature_view_statistics(ctx: Context, view: str, query: StatisticsQuery) -> ViewStatistics:
    """Returns statistics of the features of a view at a version of its table."""
    found = await readable_view(ctx, view, "statistics", query.version, partly=True)
    return await ctx.compute(_statistics, ctx.platform, found, query.features)


def _statistics(platform: Platform, view: BoundView, features: list[str]) -> ViewStatistics:
    from features.statistics import statistics

    snapshot = seen_snapshot(platform, view)
    found = statistics(snapshot, chosen_features(view, snapshot.schema.names, features))
    return ViewStatistics(
        asset=view.asset,
        data_version=snapshot.data_version,
        row_count=snapshot.row_count,
        features=[FeatureStatistics.model_validate(one, from_attributes=True) for one in found],
    )
