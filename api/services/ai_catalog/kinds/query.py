"""SQL over the tables of assets, with the rights of the caller."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import Field

from api.kernel.kinds.context import Context
from api.kernel.kinds.kind import Kind
from api.kernel.kinds.rows import Rows
from api.kernel.lake import versions
from api.kernel.lake.names import AssetId
from api.kernel.lake.row_access import restriction
from api.kernel.lake.versions import Version
from api.kernel.models import Model, Request
from api.kernel.permissions.graph import READ_ASSET, asset_securable
from api.kernel.platform import Platform
from api.services.ai_catalog.logic import branch_reads
from api.services.ai_catalog.logic.readable_tables import require_readable, require_visible
from api.services.ai_catalog.logic.turns import Turns
from core.errors import InvalidArgument, Unavailable

if TYPE_CHECKING:
    from lakehouse.branches import BranchPlan
    from lakehouse.query_process import QueryProcesses

T = TypeVar("T")

_MAX_PER_PRINCIPAL = 8
"""Maximum number of statements of one principal that run or wait."""

_DISCONNECT_POLL_SECONDS = 0.2
"""Interval at which the connection of the caller is checked."""

QUERY = Kind(
    "query",
    plural="queries",
    title="Query",
    description="SQL over the tables of assets, read-only, with the rights of the caller.",
    example="none",
)


class RunQuery(Request):
    """A statement to run."""

    sql: Annotated[str, Field(min_length=1, max_length=100_000)]
    """One SELECT, WITH, SHOW TABLES, or DESCRIBE in DuckDB's dialect. The id of an asset names its table."""

    limit: Annotated[int, Field(ge=1, le=100_000)] = 1_000
    """Maximum number of rows to return."""

    versions: Annotated[dict[AssetId, Version], Field(max_length=100)] = {}
    """Versions to read, by asset id. By default the newest version of each table."""

    branch: Annotated[str, Field(max_length=64)] | None = None
    """Id of a branch in which to read the tables. By default those of the projects."""


class ResultColumn(Model):
    """A column of the result."""

    name: str
    """Name of the column."""

    type: str
    """Arrow type of the column."""


class QueryInput(Model):
    """A table that the statement read."""

    asset: str
    """Id of the asset."""

    data_version: str
    """Data version that was read."""

    table_version: int
    """Version of the Delta table that was read."""


class QueryResult(Model):
    """Rows of a statement, and the exact versions that they come from."""

    columns: list[ResultColumn]
    """Columns in order."""

    rows: list[list[Any]]
    """Values of each row in the order of the columns. NaN and infinity are null. Bytes are text, followed by a column
    `<name>_encoding`: `utf-8`, or `base64url` where they are not UTF-8 and therefore URL-safe base64."""

    truncated: bool
    """Whether there are more rows than `limit`."""

    inputs: list[QueryInput]
    """The tables that were read. In Arrow responses, the header `X-Data-Versions`, separated by spaces."""


@QUERY.collection_action("run", request=RunQuery, result=QueryResult, rows=True, own=True)
async def run_queries(ctx: Context, request: RunQuery) -> Rows[QueryResult]:
    """Runs a read-only SQL statement over tables that the caller can preview. Returns JSON or an Arrow IPC stream.

    Each table is read at one exact version, which the response contains. The statement sees only the rows and values
    that policies leave to the caller. It can't access files, network, or settings. It ends after 50 seconds.
    """
    plan = await branch_reads.plan_of(ctx, request.branch)
    return await in_turn(ctx, lambda cancelled: _run(ctx, request, plan, cancelled))


async def in_turn(ctx: Context, run: Callable[[Callable[[], bool]], T]) -> T:
    """Runs statements when it is the caller's turn, and ends them if the caller disconnects.

    Args:
        ctx: the request.
        run: runs the statements, in a worker thread. Its argument returns whether to stop.

    Raises:
        Unavailable: the caller disconnected, or too many statements wait.
        TooManyRequests: the caller has too many statements that run or wait.
    """
    statement = asyncio.ensure_future(_turn(ctx, run))
    try:
        while not statement.done():
            await asyncio.wait({statement}, timeout=_DISCONNECT_POLL_SECONDS)
            if not statement.done() and await ctx.disconnected():
                break
    finally:
        if not statement.done():
            statement.cancel()
            await asyncio.wait({statement})
    if statement.cancelled():
        raise Unavailable("The statement was ended because its caller disconnected.")
    return statement.result()


async def _turn(ctx: Context, run: Callable[[Callable[[], bool]], T]) -> T:
    """Runs statements when it is the caller's turn. A cancelled call ends them, also while they run."""
    pool, cancelled = ctx.platform.workers.queries, threading.Event()
    pool.enter()
    try:
        async with ctx.platform.part(open_turns).turn(ctx.principal.id):
            running = pool.submit(run, cancelled.is_set)
            try:
                return await asyncio.shield(running)
            except asyncio.CancelledError:
                cancelled.set()
                await asyncio.wait({running})
                running.exception()
                raise
    finally:
        pool.leave()


def open_turns(platform: Platform) -> Turns:
    """Returns the turns of principals that run statements."""
    return Turns(platform.workers.queries.threads, _MAX_PER_PRINCIPAL)


def open_processes(platform: Platform) -> QueryProcesses:
    """Returns the processes that run statements, so that a statement can't exhaust the memory of the API."""
    from lakehouse.query_process import QueryProcesses

    return QueryProcesses(platform.settings)


def _run(ctx: Context, request: RunQuery, plan: BranchPlan | None, cancelled: Callable[[], bool]) -> Rows[QueryResult]:
    from lakehouse.query import Query

    tables = branch_reads.open_planned(ctx.platform, plan)
    query = Query(
        tables, visible=lambda name: ctx.principal.access.allows(READ_ASSET, asset_securable(ctx.platform, name))
    )
    statement = query.check(request.sql)
    for name in statement.tables:
        require_visible(ctx, name)
    snapshots = {name: versions.snapshot(tables, name, request.versions.get(name)) for name in statement.tables}
    for name, snapshot in snapshots.items():
        require_readable(ctx, name, snapshot.data_version, branch_reads.sources(tables, name), partly=True)
    if unread := sorted(set(request.versions) - set(snapshots)):
        fault = {"pointer": f"/versions/{unread[0]}", "detail": "the statement does not read this table"}
        raise InvalidArgument(f"The statement does not read {unread[0]}.", errors=[fault])
    if statement.lists_tables:
        listed = query.sql(request.sql, limit=request.limit)
        table, truncated = listed.table, listed.truncated
    else:
        exact = {name: snapshot.version for name, snapshot in snapshots.items()}
        found = {
            name: restriction(ctx.platform, ctx.principal.access, name, snapshot.schema.names)
            for name, snapshot in snapshots.items()
        }
        restrictions = {name: one for name, one in found.items() if one is not None}
        processes = ctx.platform.part(open_processes)
        table, truncated = processes.run(
            request.sql, exact, request.limit, cancelled, plan=plan, restrictions=restrictions
        )
    inputs = [
        QueryInput(asset=name, data_version=snapshot.data_version, table_version=snapshot.version)
        for name, snapshot in sorted(snapshots.items())
    ]

    def model() -> QueryResult:
        from lakehouse.bytes_as_text import bytes_as_text
        from lakehouse.python_rows import python_values

        converted = bytes_as_text(table)
        types = {field.name: field.type for field in table.schema}
        return QueryResult(
            columns=[
                ResultColumn(name=field.name, type=str(types.get(field.name, field.type))) for field in converted.schema
            ],
            rows=[list(row) for row in zip(*map(python_values, converted.columns), strict=True)],
            truncated=truncated,
            inputs=inputs,
        )

    headers = {
        "x-data-versions": " ".join(f"{one.asset}={one.data_version}" for one in inputs),
        "x-truncated": str(truncated).lower(),
    }
    return Rows(table, model, headers)
