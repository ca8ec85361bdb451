"""Skew between training and serving: how the values that were served differ from those of the table."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from api.kernel.kinds.context import Context
from api.kernel.lake.names import ColumnName
from api.kernel.lake.versions import Version
from api.kernel.models import Model, Query, Timestamp
from api.kernel.platform import Platform, open_tables
from api.services.ai_catalog.kinds.feature_view import FEATURE_VIEW
from api.services.ai_catalog.kinds.feature_view_drift import FeatureDrift
from api.services.ai_catalog.logic.feature_views import BoundView, chosen_features, readable_view, snapshot_of
from api.services.ai_catalog.logic.served_values import SERVED_AT, served_table
from core.errors import Conflict, UnknownTable


class ServedDriftQuery(Query):
    """A version of the table, a time of serving, and features."""

    version: Version | None = None
    """Version of the table, such as the one that a model was trained on. By default the newest."""

    since: Timestamp | None = None
    """Time of answers from which on served values are compared. By default all."""

    until: Timestamp | None = None
    """Time of answers before which served values are compared. By default all."""

    features: Annotated[list[ColumnName], Field(max_length=2_000)] = []
    """Features; repeat the parameter. By default all of the view."""


class ServedDrift(Model):
    """The difference between the values of a table and the values that were served."""

    asset: str
    """Id of the table."""

    data_version: str
    """Data version of the rows of the table, which count as the earlier ones."""

    served: str
    """Id of the table with the served values, which count as the later ones."""

    served_rows: int
    """Number of entities of answers whose values were stored in this time."""

    first_served_at: datetime | None
    """Time of the first of these answers. Null if there is none."""

    last_served_at: datetime | None
    """Time of the last of these answers. Null if there is none."""

    features: list[FeatureDrift]
    """Drift of each feature, the greatest statistic of each method first."""


@FEATURE_VIEW.part("served-drift", query=ServedDriftQuery, result=ServedDrift)
async def get_feature_view_served_drift(ctx: Context, view: str, query: ServedDriftQuery) -> ServedDrift:
    """Compares the distributions of served values with those of a version of the table.

    The values are those that a sample of answers contained (`served_sample` of the view). An entity that wasn't found
    counts as missing values. Values appear here some seconds after their answer.
    """
    found = await readable_view(ctx, view, "served_drift", query.version)
    return await ctx.compute(_served_drift, ctx.platform, found, query)


def _served_drift(platform: Platform, view: BoundView, query: ServedDriftQuery) -> ServedDrift:
    import polars as pl

    from features.drift import Window, drift

    name = served_table(view.asset, view.id)
    try:
        served = platform.part(open_tables).snapshot(name)
    except UnknownTable:
        raise Conflict(f"No served value of {view.name} is stored. Set `served_sample` of the view.") from None
    trained = snapshot_of(platform, view)
    window = Window(served, SERVED_AT, query.since, query.until)
    wanted = [one for one in chosen_features(view, trained.schema.names, query.features) if one in served.schema.names]
    moments = window.rows([SERVED_AT])[SERVED_AT]
    found = drift(Window(trained), window, wanted)
    found.sort(key=lambda one: (one.method, -(one.statistic or 0.0), one.feature))
    first, last = moments.cast(pl.Datetime("us", "UTC")).min(), moments.cast(pl.Datetime("us", "UTC")).max()
    return ServedDrift(
        asset=view.asset,
        data_version=trained.data_version,
        served=name,
        served_rows=len(moments),
        first_served_at=first if isinstance(first, datetime) else None,
        last_served_at=last if isinstance(last, datetime) else None,
        features=[FeatureDrift.model_validate(one, from_attributes=True) for one in found],
    )
