"""Reproduction of a version of an asset: the plan, and the run that makes it again and compares both."""

from __future__ import annotations

from api.kernel import lookup
from api.kernel.kinds.context import Context
from api.kernel.kinds.unit import Unit
from api.kernel.lake.versions import Version
from api.kernel.models import Model, Query, Request
from api.kernel.operations.stored_launch import StoredLaunch
from api.kernel.permissions.graph import asset_securable
from api.services.ai_catalog.kinds.asset import ASSET
from api.services.ai_catalog.logic.reproduction_plan import Planned, plan
from api.services.ai_catalog.reproduction_tables import REPRODUCED_ASSET, REPRODUCTION
from core.errors import Conflict
from core.ids import new_id
from core.runs import REPRODUCE_JOB, REPRODUCE_OP, Launch


class ReproducePlanQuery(Query):
    """The version to make again."""

    version: Version | None = None
    """A table version or a data version. By default the newest recorded version."""


class ReproduceAsset(Request):
    """The version to make again."""

    version: Version | None = None
    """A table version or a data version. By default the newest recorded version."""


class PlannedDifference(Model):
    """A condition that differs from the recorded one."""

    name: str
    """`code_version`, `git_sha`, or `env_digest`."""

    recorded: str
    """Value that was recorded with the version."""

    current: str
    """Value now."""


class ReproducePlan(Model):
    """The step that produced a version, and whether a run can repeat it."""

    asset: str
    """Id of the asset."""

    version: str
    """Data version that would be made again and compared."""

    possible: bool
    """Whether nothing known prevents an equal result. Files are compared when the step has read them."""

    problems: list[str]
    """Reasons why it is not possible."""

    run: str
    """Id of the run whose step would be repeated."""

    step: str
    """Name of the step."""

    base: str | None
    """Data version of the asset that the version continues. Null if it doesn't depend on an earlier version."""

    inputs: dict[str, str]
    """Data version of each input table, and digest of each input file, that the step would read again."""

    definition_revision: int | None
    """Revision of the definition that would run, if it isn't the published one. Null otherwise."""

    differences: list[PlannedDifference]
    """Conditions that differ now. Other packages may change the result."""


@ASSET.part("reproduce-plan", query=ReproducePlanQuery, result=ReproducePlan)
async def get_asset_reproduce_plan(ctx: Context, asset: str, query: ReproducePlanQuery) -> ReproducePlan:
    """Returns what a reproduction of a version would run: the step, its inputs, and what has changed since.

    The caller must be able to read the rows of the asset and of all inputs.
    """
    return await planned(ctx, asset, query.version)


@ASSET.action("reproduce", request=ReproduceAsset, long=True)
async def reproduce_asset(ctx: Context, asset: str, request: ReproduceAsset) -> StoredLaunch:
    """Makes a version again from its recorded inputs in a branch, compares both, and stores the verdict.

    Returns an operation immediately. The verdict is a reproduction: find it by its `operation_id`. The asset, its
    versions, lineage, and staleness don't change. The caller must be able to materialize the asset, and to read the
    rows of the asset and of all inputs.
    """
    return await launched(ctx, asset, request.version)


async def planned(ctx: Context, asset: str, version: str | None) -> ReproducePlan:
    """Returns what a reproduction of a version would run. Raises the errors of `reproduction_plan.plan`."""
    found = await ctx.compute(plan, ctx, asset, version)
    return ReproducePlan(
        asset=asset,
        version=found.version,
        possible=not found.problems,
        problems=list(found.problems),
        run=found.step.run,
        step=found.step.step,
        base=found.step.base,
        inputs=dict(found.step.inputs),
        definition_revision=found.definition.revision if found.definition else None,
        differences=[
            PlannedDifference(name=name, recorded=recorded, current=current)
            for name, recorded, current in found.differences
        ],
    )


async def launched(ctx: Context, asset: str, version: str | None) -> StoredLaunch:
    """Returns the launch of a reproduction.

    Raises:
        PermissionDenied: the caller can't materialize the asset, or can't read its rows or those of its inputs.
        Conflict: the asset can't be made again.
    """
    place = asset_securable(ctx.platform, asset)
    node = lookup.asset(ctx.view(), asset)
    ctx.require(ASSET.permission("materialize"), place)
    if place.organization_id is None:
        raise Conflict(f"{asset} belongs to no organization, so no reproduction of it can be stored.")
    found = await ctx.compute(plan, ctx, asset, version)
    if not node.executable and found.definition is None:
        raise Conflict(f"{asset} can't be reproduced: it is observed only, retired, or broken.")
    id = new_id("rep")
    launch = Launch((asset,), config={REPRODUCE_OP: {"reproduction": id}}, job=REPRODUCE_JOB)
    return StoredLaunch(launch, lambda unit, operation: _store(unit, id, operation, found))


def _store(unit: Unit, id: str, operation: str, planned: Planned) -> None:
    asset = planned.step.asset
    place = asset_securable(unit.platform, asset)
    unit.connection.execute(
        REPRODUCTION.insert().values(
            id=id,
            organization_id=place.organization_id,
            project_id=place.project_id,
            asset=asset,
            version=planned.version,
            operation_id=operation,
            recorded=planned.step.to_json(),
            created_at=unit.now,
            created_by=unit.principal.name,
        )
    )
    rows = [{"reproduction_id": id, "asset": name} for name in sorted({asset, *planned.step.pins})]
    unit.connection.execute(REPRODUCED_ASSET.insert(), rows)
