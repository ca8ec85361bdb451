"""Backfills of feature views whose tables have partitions."""

from __future__ import annotations

from enum import StrEnum

from api.kernel import lookup
from api.kernel.kinds.context import Context
from api.kernel.lake.names import PartitionKey
from api.kernel.models import Request
from api.services.ai_catalog.kinds.asset import MaterializeAssets, plan_launch
from api.services.ai_catalog.kinds.feature_view import FEATURE_VIEW
from api.services.ai_catalog.logic.feature_views import BoundView, readable_view
from core.errors import Conflict, InvalidPayload
from core.runs import Launch, PartitionState

_MAX_PARTITIONS = 10_000


class Chosen(StrEnum):
    """Partitions of a range to compute."""

    ALL = "ALL"
    MISSING = "MISSING"
    FAILED = "FAILED"


class BackfillView(Request):
    """Partitions to compute."""

    first: PartitionKey | None = None
    """Key of the first partition, such as `2026-03-01`. By default the first of the table."""

    last: PartitionKey | None = None
    """Key of the last partition. By default the last of the table."""

    only: Chosen = Chosen.ALL
    """Which partitions of the range: all, those without a version, or those whose last run failed."""


@FEATURE_VIEW.action("backfill", request=BackfillView, long=True)
async def backfill_feature_view(ctx: Context, view: str, request: BackfillView) -> Launch:
    """Computes a range of partitions of the table of a view, and then its online rows.

    Returns an operation immediately. Its progress counts partitions, and canceling it stops the rest. To repeat
    partitions that failed, send the request again with `only` set to FAILED. Each partition replaces only its own
    rows. The caller needs the permission to materialize both assets.
    """
    found = await readable_view(ctx, view, "backfill")
    assets = [found.asset, *([found.online_asset] if found.online_asset else [])]
    if not lookup.asset(ctx.view(), found.asset).partitioned:
        raise Conflict(
            f"{found.asset} has no partitions, so each run computes the whole table. Use `:materialize`, or declare "
            "`partitions` in its component."
        )
    keys = await _keys(ctx, found, request)
    return await plan_launch(ctx, assets, MaterializeAssets(assets=assets, partitions=keys), {})


async def _keys(ctx: Context, view: BoundView, request: BackfillView) -> list[str]:
    """Returns the keys of the partitions that a request names.

    Raises:
        Conflict: there is nothing to compute.
        InvalidPayload: a key is unknown, the range is empty, or it is too long.
    """
    states = await ctx.orchestrator.partition_states(view.asset)
    keys = list(states)
    bounds = []
    for name, key, default in (("first", request.first, 0), ("last", request.last, len(keys) - 1)):
        if key is not None and key not in states:
            near = f"; the first is {keys[0]}, and the last {keys[-1]}" if keys else ""
            fault = {"pointer": f"/{name}", "detail": f"is no partition of {view.asset}{near}"}
            raise InvalidPayload(f"{view.asset} has no partition {key!r}{near}.", errors=[fault])
        bounds.append(default if key is None else keys.index(key))
    if bounds[1] < bounds[0]:
        fault = {"pointer": "/last", "detail": "is before first"}
        raise InvalidPayload("The last partition is before the first.", errors=[fault])
    wanted = {
        Chosen.ALL: tuple(PartitionState),
        Chosen.MISSING: (PartitionState.MISSING,),
        Chosen.FAILED: (PartitionState.FAILED,),
    }[request.only]
    chosen = [key for key in keys[bounds[0] : bounds[1] + 1] if states[key] in wanted]
    if not chosen:
        raise Conflict(f"No partition of {view.asset} in this range is {request.only}, so there is nothing to compute.")
    if len(chosen) > _MAX_PARTITIONS:
        fault = {"pointer": "/first", "detail": f"the range has {len(chosen):,} partitions"}
        raise InvalidPayload(f"A backfill computes at most {_MAX_PARTITIONS:,} partitions.", errors=[fault])
    return chosen
