"""Freshness of the online rows of a view: how far they are behind its table."""

from __future__ import annotations

from datetime import datetime

from api.kernel.kinds.context import Context
from api.kernel.models import Model, Query
from api.kernel.platform import Platform, open_tables
from api.services.ai_catalog.kinds.feature_view import FEATURE_VIEW
from api.services.ai_catalog.logic.feature_views import BoundView, open_online_store, readable_view, snapshot_of
from core import clock


class ViewFreshness(Model):
    """The newest version of a table, and the version that is served online."""

    data_version: str
    """Newest data version of the table."""

    online: str | None
    """Data version that the online store serves. Null if it serves nothing of this table."""

    as_of: datetime | None
    """Moment from which on the online rows are complete."""

    entities: int | None
    """Number of entities in the online store, without pushed rows and expired ones."""

    lag_seconds: float | None
    """How long the online rows have been behind the table: the time since the commit of the first version of the table
    that they lack. Zero if they lack none. Null if nothing is served, or if that commit is no longer in the log."""


@FEATURE_VIEW.part("freshness", query=Query, result=ViewFreshness)
async def get_feature_view_freshness(ctx: Context, view: str, query: Query) -> ViewFreshness:
    """Returns how far the online rows of a view are behind its table."""
    found = await readable_view(ctx, view, "freshness")
    return await ctx.compute(_freshness, ctx.platform, found)


def _freshness(platform: Platform, view: BoundView) -> ViewFreshness:
    from features.online import instant

    snapshot = snapshot_of(platform, view)
    served = platform.part(open_online_store).served(view.online_asset) if view.online_asset else None
    if served is None or (served.table, served.table_id) != (view.asset, snapshot.table_id):
        return ViewFreshness(
            data_version=snapshot.data_version, online=None, as_of=None, entities=None, lag_seconds=None
        )
    lag: float | None = 0.0
    if served.table_version < snapshot.version:
        missing = platform.part(open_tables).history(view.asset, limit=snapshot.version - served.table_version)
        first = next((one.committed_at for one in missing if one.version == served.table_version + 1), None)
        lag = None if first is None else max((clock.now() - first).total_seconds(), 0.0)
    return ViewFreshness(
        data_version=snapshot.data_version,
        online=served.data_version,
        as_of=instant(served.as_of),
        entities=served.entities,
        lag_seconds=lag,
    )
