"""What a materialization of an asset would run, and the partitions that it can be asked for."""

from __future__ import annotations

from collections import Counter

from api.kernel import lookup
from api.kernel.kinds.context import Context
from api.kernel.models import Model, Query
from api.kernel.permissions.graph import asset_securable
from api.services.ai_catalog.kinds.asset import ASSET
from api.services.ai_catalog.logic import selection
from core.ports import GraphView, Staleness
from core.reports import CheckStatus
from core.runs import PartitionState

_MAX_PARTITIONS = 10_000


class PlanQuery(Query):
    """How the asset would be materialized."""

    upstream: bool = False
    """Whether also all upstream assets."""


class PlannedAsset(Model):
    """An asset that would be materialized."""

    asset: str
    """Id of the asset."""

    location: str
    """Code location whose run makes it."""

    partitioned: bool
    """Whether it is materialized by partition."""

    staleness: Staleness
    """FRESH, STALE, or MISSING."""

    together: bool
    """Whether it is included only because the same step always makes it, too."""

    allowed: bool
    """Whether the caller can materialize it."""


class Blocker(Model):
    """A blocking check of an input that keeps the run from reading it."""

    asset: str
    """Id of the input. It isn't among the assets that would be materialized."""

    check: str
    """Name of the check."""

    status: CheckStatus
    """FAILED, or NOT_RUN if the version of the input was not evaluated."""


class MaterializePlan(Model):
    """What a materialization would run."""

    asset: str
    """Id of the asset."""

    assets: list[PlannedAsset]
    """Assets that would be materialized, by id. Assets that the caller can't see are not included."""

    partitioned: bool
    """Whether partitions must be named."""

    blockers: list[Blocker]
    """Blocking checks that would stop the run, unless it accepts unchecked inputs."""

    problem: str | None
    """Reason why the asset can't be materialized at all. Null if there is none."""


class PartitionCounts(Model):
    """How many partitions have which state."""

    materialized: int
    """Partitions whose last run made them."""

    running: int
    """Partitions that a run makes now."""

    failed: int
    """Partitions whose last run failed."""

    missing: int
    """Partitions that were never made."""


class AssetPartitions(Model):
    """The partitions of an asset."""

    asset: str
    """Id of the asset."""

    keys: list[str]
    """Partition keys in their order. At most the last 10,000."""

    states: list[PartitionState]
    """State of each of these partitions, in the same order: MATERIALIZED, RUNNING, FAILED, or MISSING."""

    counts: PartitionCounts
    """Number of partitions by state, of all."""

    total: int
    """Number of partitions."""


@ASSET.part("materialize-plan", query=PlanQuery, result=MaterializePlan)
async def get_asset_materialize_plan(ctx: Context, asset: str, query: PlanQuery) -> MaterializePlan:
    """Returns what a materialization would run, what would stop it, and what of it the caller can run."""
    view = ctx.view()
    node = lookup.asset(view, asset)
    problem = selection.obstacle(node)
    requested = selection.with_upstream(view, [asset]) if query.upstream else (asset,)
    assets = () if problem else selection.with_step_siblings(view, requested)
    permission = ASSET.permission("materialize")
    planned = [
        PlannedAsset(
            asset=id,
            location=view.nodes[id].location,
            partitioned=view.nodes[id].partitioned,
            staleness=state.staleness if (state := view.states.get(id)) else Staleness.MISSING,
            together=id not in requested,
            allowed=ctx.principal.access.allows(permission, asset_securable(ctx.platform, id)),
        )
        for id in sorted(assets)
    ]
    return MaterializePlan(
        asset=asset,
        assets=planned,
        partitioned=any(one.partitioned for one in planned),
        blockers=_blockers(view, assets),
        problem=problem,
    )


@ASSET.part("partitions", query=Query, result=AssetPartitions)
async def get_asset_partitions(ctx: Context, asset: str, query: Query) -> AssetPartitions:
    """Returns the partition keys of an asset in their order, with their states. Empty if it has no partitions."""
    lookup.asset(ctx.view(), asset)
    states = await ctx.orchestrator.partition_states(asset)
    counts = Counter(states.values())
    return AssetPartitions(
        asset=asset,
        keys=list(states)[-_MAX_PARTITIONS:],
        states=list(states.values())[-_MAX_PARTITIONS:],
        counts=PartitionCounts(**{state.lower(): counts[state] for state in PartitionState}),
        total=len(states),
    )


def _blockers(view: GraphView, assets: tuple[str, ...]) -> list[Blocker]:
    """Returns the blocking checks of the inputs that would not be materialized first."""
    inputs = {parent for id in assets for parent in view.nodes[id].upstream} - set(assets)
    return [
        Blocker(asset=id, check=check.name, status=check.status)
        for id in sorted(inputs)
        if (state := view.states.get(id)) is not None and state.materialization is not None
        for check in state.checks
        if check.blocking and check.status in (CheckStatus.FAILED, CheckStatus.NOT_RUN)
    ]
