"""Runs in a branch, the tables of a branch, and their differences from the versions that it started with."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field
from sqlalchemy.engine import Connection

from api.kernel.kinds.context import Context
from api.kernel.kinds.table_kind import Row
from api.kernel.kinds.unit import Unit
from api.kernel.lake.names import AssetId, ColumnName
from api.kernel.models import Model, Query, Request
from api.kernel.operations.stored_launch import StoredLaunch
from api.kernel.permissions.graph import asset_securable
from api.kernel.platform import open_tables
from api.services.ai_catalog.branch_tables import BRANCH as TABLE
from api.services.ai_catalog.kinds.asset import ASSET
from api.services.ai_catalog.kinds.asset_history import Diff, diff_of
from api.services.ai_catalog.kinds.branch import BRANCH, may_read, refuse_busy, require_open
from api.services.ai_catalog.logic import branch_launch
from api.services.ai_catalog.logic.branch_base import readable
from api.services.ai_catalog.logic.readable_tables import require_readable, rows_denied
from core.errors import Conflict, NotFound
from core.ports import GraphView
from core.reports import CheckStatus
from core.runs import BRANCH_RUN_JOB, BRANCH_RUN_OP, Launch
from lakehouse import branch_definitions
from lakehouse.branch_records import failed_checks, plan_of
from lakehouse.pins import PIN


class RunBranch(Request):
    """Assets to make in a branch."""

    assets: Annotated[list[AssetId], Field(min_length=1, max_length=500)]
    """Ids of the assets, which must be in one code location."""

    accept_unchecked: bool = False
    """Whether to read versions that did not pass their blocking checks."""


class BranchTable(Model):
    """A table of a branch."""

    asset: str
    """Id of the asset."""

    base: str | None
    """Data version that the branch started with. Null if the table didn't exist."""

    version: str | None
    """Data version in the branch. It is `base` if no run of the branch has produced the table."""

    produced: bool
    """Whether a run of the branch has produced it."""

    row_count: int | None
    """Number of rows in the branch."""

    run: str | None
    """Id of the run that produced it."""

    failed_checks: list[str]
    """Blocking checks that the version of the branch did not pass."""


class BranchContent(Model):
    """The tables of a branch that the caller can see."""

    tables: list[BranchTable]
    """The tables, by id."""


class BranchDiffQuery(Query):
    """A table to compare."""

    asset: AssetId = ""
    """Id of the asset."""

    key: Annotated[list[ColumnName], Field(max_length=50)] = []
    """Columns that identify a row; repeat the parameter."""

    limit: Annotated[int, Field(ge=0, le=1000)] = 100
    """Maximum number of rows of each category to return. Counts are always exact."""


@BRANCH.action("run", request=RunBranch, long=True)
async def run_branch(ctx: Context, branch: str, request: RunBranch) -> StoredLaunch:
    """Makes assets in a branch, from its versions and tables, with its definitions. The project doesn't change.

    Returns an operation immediately. The caller must be able to materialize the assets. Inputs that the branch doesn't
    contain yet are added at their newest version, if the caller can read their rows. If a definition of the branch
    isn't the published one, the caller must be able to read the rows of its inputs.
    """
    row = await ctx.read(lambda unit: BRANCH.row(unit, branch, "run"))
    view = ctx.view()
    selection = await ctx.query(_selected, ctx, view, row.id, request.assets)
    for asset in selection.assets:
        ctx.require(ASSET.permission("materialize"), asset_securable(ctx.platform, asset))
    graph = ctx.orchestrator.view()
    added = await ctx.compute(_added_inputs, ctx, graph, row, selection)
    if not request.accept_unchecked:
        _require_checked(graph, row, selection, added)
    config = {BRANCH_RUN_OP: {"branch": row.id, "assets": list(selection.assets)}}
    return StoredLaunch(
        Launch(selection.assets, config=config, job=BRANCH_RUN_JOB),
        lambda unit, operation: _start(unit, row.id, operation, added, selection),
    )


@BRANCH.part("tables", query=Query, result=BranchContent)
async def get_branch_tables(ctx: Context, branch: str, query: Query) -> BranchContent:
    """Returns the tables of a branch that the caller can see, with the versions in the branch."""
    row = await ctx.read(lambda unit: BRANCH.row(unit, branch, "tables"))
    return await ctx.compute(_content, ctx, row)


@BRANCH.part("diff", query=BranchDiffQuery, result=Diff)
async def get_branch_diff(ctx: Context, branch: str, query: BranchDiffQuery) -> Diff:
    """Compares a table of the branch with the version that the branch started with: schema, row counts, and rows."""
    row = await ctx.read(lambda unit: BRANCH.row(unit, branch, "diff"))
    if query.asset not in row.produced or not may_read(ctx, query.asset):
        raise NotFound(f"The branch {row.name} has produced no table {query.asset!r}. See its tables.")
    return await ctx.compute(_diff, ctx, row, query)


def _selected(
    connection: Connection, ctx: Context, view: GraphView, branch: str, assets: list[str]
) -> branch_launch.Selection:
    return branch_launch.select(
        view,
        assets,
        lambda names: branch_launch.definitions_of(connection, branch, names),
        lambda name: readable(ctx, name),
    )


def _start(unit: Unit, id: str, operation: str, added: dict[str, str], selection: branch_launch.Selection) -> None:
    branch = BRANCH.row(unit, id, "run")
    require_open(branch, unit.now)
    refuse_busy(unit, branch)
    if branch_launch.definitions_of(unit.connection, id, selection.assets) != selection.definitions:
        raise Conflict(f"The definitions of {branch.name} were changed in the meantime. Request the run again.")
    branch_definitions.pin(unit.connection, id, selection.added)
    pins = [
        {"holder": id, "table_name": table, "version": int(version.rpartition("@")[2]), "at": unit.now}
        for table, version in added.items()
        if table not in branch.versions
    ]
    if pins:
        unit.connection.execute(PIN.insert(), pins)
    values = {"operation_id": operation, "versions": {**added, **branch.versions}}
    unit.connection.execute(TABLE.update().where(TABLE.c.id == id).values(values))


def _added_inputs(ctx: Context, graph: GraphView, row: Row, selection: branch_launch.Selection) -> dict[str, str]:
    """Returns the newest versions of inputs that the branch doesn't contain. Runs in a worker thread.

    Raises:
        PermissionDenied: the caller can't read one of them. The message doesn't name it.
    """
    tables = ctx.platform.part(open_tables)
    known = {*row.versions, *row.produced, *selection.assets}
    read = {name for asset in selection.assets for name in selection.inputs(graph, asset)}
    found = {}
    for name in sorted(read - known):
        if not readable(ctx, name):
            raise rows_denied()
        if tables.exists(name):
            found[name] = tables.snapshot(name).data_version
    return found


def _require_checked(graph: GraphView, row: Row, selection: branch_launch.Selection, added: dict[str, str]) -> None:
    """Requires that the inputs passed their blocking checks, as far as their versions are the newest ones.

    Raises:
        Conflict: one did not.
    """
    versions, failed = {**added, **row.versions}, failed_checks(row)
    read = {name for asset in selection.assets for name in selection.inputs(graph, asset, compared=False)}
    for name in read - set(selection.assets):
        unpassed = failed.get(name, [])
        state = graph.states.get(name)
        newest = state.materialization.data_version if state and state.materialization else None
        if state and name not in row.produced and newest is not None and versions.get(name) == newest:
            unpassed = [check.name for check in state.checks if check.blocking and check.status is CheckStatus.FAILED]
        if unpassed:
            raise Conflict(
                f"{name} did not pass its blocking checks ({', '.join(unpassed)}). To read it anyway, set "
                "accept_unchecked."
            )


def _content(ctx: Context, row: Row) -> BranchContent:
    from lakehouse.branches import BranchTables

    tables = BranchTables(ctx.platform.part(open_tables), plan_of(row))
    failed = failed_checks(row)
    names = sorted(name for name in {*row.versions, *row.produced} if may_read(ctx, name))
    return BranchContent(tables=[_table(tables, row, name, failed.get(name, [])) for name in names])


def _table(tables: Any, row: Row, name: str, failed: list[str]) -> BranchTable:
    produced = row.produced.get(name)
    snapshot = tables.snapshot(name) if produced and tables.exists(name) else None
    return BranchTable(
        asset=name,
        base=row.versions.get(name),
        version=snapshot.data_version if snapshot else row.versions.get(name),
        produced=snapshot is not None,
        row_count=snapshot.row_count if snapshot else None,
        run=produced["run"] if produced else None,
        failed_checks=failed,
    )


def _diff(ctx: Context, row: Row, query: BranchDiffQuery) -> Diff:
    from lakehouse.branches import BranchTables, pinned
    from lakehouse.diff import compare

    tables = BranchTables(ctx.platform.part(open_tables), plan_of(row))
    require_readable(ctx, query.asset, None, tables.sources(query.asset))
    base = row.versions.get(query.asset)
    if base is None:
        raise Conflict(f"{query.asset} didn't exist when the branch started, so all of its rows are new.")
    before, after = pinned(tables.main, query.asset, base), tables.snapshot(query.asset)
    return diff_of(query.asset, compare(before, after, key=query.key, limit=query.limit))
