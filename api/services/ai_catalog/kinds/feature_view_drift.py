"""Drift of the features of a view between two versions of its table, or between two windows of time."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from api.kernel.kinds.context import Context
from api.kernel.lake.names import ColumnName
from api.kernel.lake.versions import Version
from api.kernel.models import Model, Query, Timestamp
from api.kernel.platform import Platform
from api.services.ai_catalog.kinds.feature_view import FEATURE_VIEW
from api.services.ai_catalog.logic.feature_views import BoundView, chosen_features, readable_view, seen_snapshot
from core.errors import InvalidArgument


class DriftQuery(Query):
    """Two versions, or two windows of time, and features."""

    before: Version | None = None
    """The earlier version. By default the one before the later version, or the same version if there are windows."""

    after: Version | None = None
    """The later version. By default the newest."""

    before_since: Timestamp | None = None
    """Event time from which on rows of the earlier version are compared. By default all."""

    before_until: Timestamp | None = None
    """Event time before which rows of the earlier version are compared. By default all."""

    after_since: Timestamp | None = None
    """Event time from which on rows of the later version are compared. By default all."""

    after_until: Timestamp | None = None
    """Event time before which rows of the later version are compared. By default all."""

    features: Annotated[list[ColumnName], Field(max_length=2_000)] = []
    """Features; repeat the parameter. By default all of the view."""

    @property
    def windows(self) -> tuple[datetime | None, ...]:
        """The bounds of the windows."""
        return self.before_since, self.before_until, self.after_since, self.after_until


class FeatureDrift(Model):
    """The difference of the distributions of a feature. Null where its type has no such measure."""

    feature: str
    """Name of the feature."""

    method: str
    """`kolmogorov_smirnov` for numbers, `chi_squared` for texts and booleans. `not_compared` for other types, for
    features without values, and for texts with more than 1,000 different values."""

    statistic: float | None
    """Statistic of the test. That of Kolmogorov and Smirnov is between 0 and 1."""

    p_value: float | None
    """Probability of at least this difference if both have the same distribution."""

    psi: float | None
    """Population stability index, over ten bins with equal shares of the earlier numbers, or over categories. From 0.25
    on, the distribution is usually considered to have changed."""

    jensen_shannon: float | None
    """Jensen-Shannon distance of the bins or categories, between 0 and 1."""

    wasserstein: float | None
    """Wasserstein distance of numbers, in their unit."""

    missing_before: float
    """Share of the earlier rows without a value."""

    missing_after: float
    """Share of the later rows without a value."""

    new_categories: int | None
    """Number of categories that only the later rows have."""

    new_share: float | None
    """Share of the later values that are of a new category."""


class ViewDrift(Model):
    """The drift of the features of a view."""

    asset: str
    """Id of the table."""

    before: str
    """Data version of the earlier rows."""

    after: str
    """Data version of the later rows."""

    features: list[FeatureDrift]
    """Drift of each feature, the greatest statistic of each method first."""


@FEATURE_VIEW.part("drift", query=DriftQuery, result=ViewDrift)
async def get_feature_view_drift(ctx: Context, view: str, query: DriftQuery) -> ViewDrift:
    """Returns how the distributions of the features differ between two versions, or between two windows of time."""
    found = await readable_view(ctx, view, "drift", partly=True)
    return await ctx.compute(_drift, ctx.platform, found, query)


def _drift(platform: Platform, view: BoundView, query: DriftQuery) -> ViewDrift:
    from features.drift import Window, drift

    after = seen_snapshot(platform, view, query.after)
    before = after
    if query.before is not None:
        before = seen_snapshot(platform, view, query.before)
    elif not any(query.windows):
        if after.version == 0:
            raise InvalidArgument(f"{view.asset} has only one version, so there is no drift.")
        before = seen_snapshot(platform, view, str(after.version - 1))
    found = drift(
        Window(before, view.timestamp, query.before_since, query.before_until),
        Window(after, view.timestamp, query.after_since, query.after_until),
        chosen_features(view, after.schema.names, query.features),
    )
    found.sort(key=lambda one: (one.method, -(one.statistic or 0.0), one.feature))
    return ViewDrift(
        asset=view.asset,
        before=before.data_version,
        after=after.data_version,
        features=[FeatureDrift.model_validate(one, from_attributes=True) for one in found],
    )
