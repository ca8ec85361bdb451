"""The version of an asset that was current at a time."""

from __future__ import annotations

from datetime import datetime

from api.kernel import lookup
from api.kernel.kinds.context import Context
from api.kernel.lake.provenance import Provenance, recorded
from api.kernel.models import Model, Query, Timestamp
from api.kernel.platform import open_lineage, open_tables
from api.services.ai_catalog.kinds.asset import ASSET
from core.errors import UnknownTable, UnknownVersion


class AsOfQuery(Query):
    """A time."""

    at: Timestamp
    """Time with time zone, such as `2026-01-31T00:00:00Z`. It is compared with the recorded times of versions."""


class VersionAsOf(Model):
    """The version that was current at a time, and its provenance."""

    asset: str
    """Id of the asset."""

    at: datetime
    """The requested time."""

    version: str
    """Data version that was current."""

    recorded_at: datetime
    """Time at which the version was committed, or, if the log of the table doesn't contain it, recorded."""

    produced_version: str
    """Data version with the same rows whose provenance is recorded. It differs from `version` after maintenance, such
    as a compaction."""

    provenance: Provenance | None
    """Provenance of `produced_version`. Null if its writer recorded none."""


@ASSET.part("as-of", query=AsOfQuery, result=VersionAsOf)
async def get_asset_as_of(ctx: Context, asset: str, query: AsOfQuery) -> VersionAsOf:
    """Returns the version that was current at a time, with its provenance.

    The recorded times of the versions decide, and the time of the request doesn't.
    """
    lookup.asset(ctx.view(), asset)
    return await ctx.compute(_as_of, ctx, asset, query.at)


def _as_of(ctx: Context, asset: str, at: datetime) -> VersionAsOf:
    lineage = ctx.platform.part(open_lineage)
    version, recorded_at = _current(ctx, asset, at)
    produced = lineage.recorded_version(asset, version)
    return VersionAsOf(
        asset=asset,
        at=at,
        version=version,
        recorded_at=recorded_at,
        produced_version=produced,
        provenance=recorded(ctx, asset, produced),
    )


def _current(ctx: Context, asset: str, at: datetime) -> tuple[str, datetime]:
    """Returns the data version and its time, from the log of the table, or else from the lineage record.

    The record also contains what the log lost: versions of a replaced table, and commits that a cleanup removed.
    """
    try:
        commit = ctx.platform.part(open_tables).commit_at(asset, at)
    except (UnknownTable, UnknownVersion):
        pass
    else:
        return commit.data_version, commit.committed_at
    lineage = ctx.platform.part(open_lineage)
    if edge := lineage.at(asset, at):
        return edge.out_version, edge.at
    first = lineage.first(asset)
    raise UnknownVersion(
        f"{asset} had no version at {at.isoformat()}. "
        + (f"Its first recorded version is {first.out_version} of {first.at.isoformat()}." if first else "It has none.")
    )
