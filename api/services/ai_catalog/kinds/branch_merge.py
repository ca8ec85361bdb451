"""Merge of a branch: what it would do, and the run that does it."""

from __future__ import annotations

from api.kernel.kinds.context import Context
from api.kernel.kinds.table_kind import Row
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Query, Request
from api.kernel.operations.stored_launch import StoredLaunch
from api.kernel.permissions.graph import asset_securable
from api.kernel.platform import open_tables
from api.services.ai_catalog.branch_tables import BRANCH as TABLE
from api.services.ai_catalog.kinds.asset import ASSET
from api.services.ai_catalog.kinds.branch import BRANCH, may_read, refuse_busy, require_open
from core.errors import Conflict
from core.runs import BRANCH_MERGE_JOB, BRANCH_MERGE_OP, Launch
from lakehouse.branch_merge import MergeState, MergeStep
from lakehouse.branch_records import failed_checks, outdated, plan_of


class PlannedMerge(Model):
    """A table that the branch has produced."""

    asset: str
    """Id of the asset."""

    state: MergeState
    """CHANGED tables are merged. MERGED ones were merged by an earlier attempt. UNCHANGED ones have the rows of their
    base. A CONFLICT prevents the whole merge."""

    base: str | None
    """Data version that the branch started with. Null if the table didn't exist."""

    current: str | None
    """Newest data version of the asset that changed rows."""

    reason: str
    """Reason of a conflict."""


class MergePlan(Model):
    """What a merge would do with the tables that the caller can see."""

    mergeable: bool
    """Whether no table has a conflict, also none that the caller can't see."""

    tables: list[PlannedMerge]
    """The produced tables, inputs first."""


@BRANCH.part("merge-plan", query=Query, result=MergePlan)
async def get_branch_merge_plan(ctx: Context, branch: str, query: Query) -> MergePlan:
    """Returns what a merge of the branch would do, with the conflicts that prevent it."""
    row = await ctx.read(lambda unit: BRANCH.row(unit, branch, "merge_plan"))
    steps = await ctx.compute(_steps, ctx, row)
    return MergePlan(
        mergeable=all(step.state is not MergeState.CONFLICT for step in steps),
        tables=[
            PlannedMerge(asset=step.table, state=step.state, base=step.base, current=step.current, reason=step.reason)
            for step in steps
            if may_read(ctx, step.table)
        ],
    )


@BRANCH.action("merge", request=Request, long=True)
async def merge_branch(ctx: Context, branch: str, request: Request) -> StoredLaunch:
    """Merges a branch: each changed table becomes one new version of its asset. Returns an operation immediately.

    Refused if the newest version of one of them isn't the one that the branch started with: then nothing is merged. The
    caller must be able to materialize the assets. If the run is killed, request the merge again: it continues.
    """
    row = await ctx.read(lambda unit: BRANCH.row(unit, branch, "merge"))
    steps = await ctx.compute(_steps, ctx, row)
    for step in steps:
        ctx.require(ASSET.permission("materialize"), asset_securable(ctx.platform, step.table))
    if conflicts := [step for step in steps if step.state is MergeState.CONFLICT]:
        raise Conflict(
            f"Nothing was merged: {len(conflicts)} tables have conflicts, such as {conflicts[0].table}. "
            f"{conflicts[0].reason}",
            errors=[{"pointer": f"/tables/{step.table}", "detail": step.reason} for step in conflicts],
        )
    assets = tuple(step.table for step in steps if step.state is not MergeState.UNCHANGED)
    if not assets:
        raise Conflict(f"The branch {row.name} has no changed table to merge.")
    launch = Launch(assets, config={BRANCH_MERGE_OP: {"branch": row.id}}, job=BRANCH_MERGE_JOB)
    return StoredLaunch(launch, lambda unit, operation: _start(unit, row.id, operation))


def _start(unit: Unit, id: str, operation: str) -> None:
    branch = BRANCH.row(unit, id, "merge")
    require_open(branch, unit.now)
    refuse_busy(unit, branch)
    unit.connection.execute(TABLE.update().where(TABLE.c.id == id).values(operation_id=operation))


def _steps(ctx: Context, row: Row) -> list[MergeStep]:
    from lakehouse.branch_merge import merge_steps
    from lakehouse.branches import BranchTables

    nodes = ctx.orchestrator.view().nodes
    code_versions = {
        name: nodes[name].code_version for name in row.produced if name in nodes and nodes[name].executable
    }
    tables = BranchTables(ctx.platform.part(open_tables), plan_of(row))
    return merge_steps(tables, failed_checks(row), outdated(row, code_versions))
