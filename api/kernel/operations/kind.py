"""The kind of long-running operations of all services, at `/api/v1/operations`."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncGenerator
from datetime import datetime

import sqlalchemy as sa

from api.kernel.kinds.context import Context
from api.kernel.kinds.kind import Kind
from api.kernel.kinds.streams import ServerEvent
from api.kernel.kinds.unit import Unit
from api.kernel.models import ListQuery, Model, Page, Query, Request
from api.kernel.operations import store
from api.kernel.operations.engine import Operations
from api.kernel.operations.messages import gets_messages
from api.kernel.operations.resource import WITHHELD, Operation, Progress, to_resource
from api.kernel.operations.store import OperationRow, OperationState
from api.kernel.sagas import steps
from api.kernel.sagas.steps import StepLine
from api.kernel.securable import Securable
from api.kernel.storage.listing import SqlListing
from api.kernel.tables import OPERATION
from core.errors import InvalidArgument
from core.numbers import parse_count
from core.runs import LogLine

_BATCH_SIZE = 300
_POLL_SECONDS = 0.4
_INVALID_EVENT_ID = "Last-Event-ID is not valid for this stream. Send the id of its last event, or start without it."
_STEPS = "steps"
"""Key of the cursor of a saga's log. The cursors of runs have the run id as key."""

_LISTING = SqlListing(
    id=OPERATION.c.id,
    fields={name: OPERATION.c[name] for name in ("state", "action", "subject", "principal", "executor")},
    order=("id",),
    newest_first=True,
)

OPERATION_KIND = Kind(
    "operation",
    plural="operations",
    title="Operation",
    description="Long-running operations of all services, with their progress, logs, and results.",
    example="op_06e1xq0000example000000000",
    rooted=True,
    scoped=True,
    filter_by=tuple(_LISTING.fields),
    order_by=_LISTING.order,
)


class LogEvent(Model):
    """An event of the stream: a log line, or the state of the operation."""

    at: datetime | None
    """Time of the log line. Null for states."""

    level: str
    """DEBUG, INFO, WARNING, ERROR, or CRITICAL."""

    type: str
    """Event type of Dagster, `STATE`, or an event of a saga that starts with `STEP_`."""

    run: str | None
    """Run that wrote the line. Null for sagas."""

    step: str | None
    """Step that wrote the line."""

    message: str
    """Text of the line."""

    state: OperationState
    """State of the operation when this was sent."""

    progress: Progress
    """Progress of the operation when this was sent."""


@OPERATION_KIND.list(query=ListQuery, item=Operation)
async def list_operations(ctx: Context, query: ListQuery) -> Page[Operation]:
    """Lists the operations that the caller started or can see, newest first."""
    rows, token = await ctx.read(lambda unit: _page(unit, query))
    items = [to_resource(row, messages=row.error is None or await gets_messages(ctx, row)) for row in rows]
    return Page[Operation](items=items, next_page_token=token)


@OPERATION_KIND.get(result=Operation)
async def get_operation(ctx: Context, operation: str) -> Operation:
    """Returns the current state of an operation. When it has succeeded, its assets show the versions it produced."""
    await _require(ctx, operation)
    row = await _operations(ctx).observe(operation)
    return to_resource(row, messages=await gets_messages(ctx, row))


@OPERATION_KIND.action("cancel", request=Request, result=Operation, past="cancel_requested")
async def cancel_operation(ctx: Context, operation: str, request: Request) -> Operation:
    """Cancels an operation. Its runs are terminated, and its steps are undone. A final operation does not change."""
    await _require(ctx, operation)
    row = await _operations(ctx).cancel(ctx, operation)
    return to_resource(row, messages=await gets_messages(ctx, row))


@OPERATION_KIND.stream("logs", query=Query, event=LogEvent)
async def get_operation_logs(ctx: Context, operation: str, query: Query) -> AsyncGenerator[ServerEvent, None]:
    """Streams the log lines of the operation's runs or steps, then one `end` event with the final state.

    Lines of runs can contain values. A caller who can't read all rows of the assets gets them without their text.
    `state` events report progress. A client that reconnects sends `Last-Event-ID` and misses no line.
    """
    cursors = _decode(ctx.last_event_id)
    number = _number(cursors)
    reported: OperationRow | None = None
    while True:
        await _require(ctx, operation)
        # The state is read before the lines, so that no line from before the end is missed.
        row = await _operations(ctx).observe(operation)
        messages = await gets_messages(ctx, row)
        if reported is None or (row.state, row.done, row.total) != (reported.state, reported.done, reported.total):
            reported = row
            if not row.state.final:
                yield ServerEvent(_state(row, messages), "state", _encode(cursors))
        for step_line in steps.lines(row.steps, after=number):
            number = step_line.number
            cursors[_STEPS] = str(number)
            yield ServerEvent(_step_line(step_line, row), "log", _encode(cursors))
        for run in row.runs:
            async for line in _lines(ctx, run, cursors):
                yield ServerEvent(_line(line, run, row, messages), "log", _encode(cursors))
        if row.state.final:
            yield ServerEvent(_state(row, messages), "end", _encode(cursors))
            return
        await asyncio.sleep(_POLL_SECONDS)


async def _lines(ctx: Context, run: str, cursors: dict[str, str]) -> AsyncGenerator[LogLine, None]:
    while True:
        lines = await ctx.orchestrator.logs(run, after=cursors.get(run), limit=_BATCH_SIZE)
        for line in lines:
            cursors[run] = line.cursor
            yield line
        if len(lines) < _BATCH_SIZE:
            return


def visible_operations(unit: Unit) -> sa.ColumnElement[bool]:
    """Returns the condition for the operations that the caller started or can see."""
    visible = unit.principal.access.where(OPERATION_KIND.permission("get"), OPERATION)
    return sa.or_(OPERATION.c.principal_id == unit.principal.id, visible)


def _page(unit: Unit, query: ListQuery) -> tuple[list[OperationRow], str | None]:
    rows, token = _LISTING.rows(unit.connection, sa.select(OPERATION).where(visible_operations(unit)), query)
    return store.with_steps(unit.connection, [store.row_of(row) for row in rows]), token


async def _require(ctx: Context, id: str) -> None:
    """Raises an error unless the caller started the operation or currently holds the permission on it."""

    def check(unit: Unit) -> None:
        row = store.get(unit.connection, id)
        ctx.securable = securable = Securable(OPERATION_KIND.full_name, id, row.organization_id, row.project_id)
        if row.principal_id == unit.principal.id:
            return
        if not unit.allows(OPERATION_KIND.permission("get"), securable):
            raise store.unknown(id)
        unit.require(ctx.endpoint.permission, securable)

    await ctx.read(check)


def _operations(ctx: Context) -> Operations:
    return ctx.platform.part(Operations)


def _state(row: OperationRow, messages: bool) -> LogEvent:
    message = row.error or f"{row.state}: {row.done} of {row.total} done"
    message = message if messages or not row.error else WITHHELD
    level = "ERROR" if row.state is OperationState.FAILED else "INFO"
    progress = Progress(done=row.done, total=row.total)
    return LogEvent(
        at=None, level=level, type="STATE", run=None, step=None, message=message, state=row.state, progress=progress
    )


def _line(line: LogLine, run: str, row: OperationRow, messages: bool) -> LogEvent:
    return LogEvent(
        at=line.at,
        level=line.level,
        type=line.type,
        run=run,
        step=line.step,
        message=line.message if messages else WITHHELD,
        state=row.state,
        progress=Progress(done=row.done, total=row.total),
    )


def _step_line(line: StepLine, row: OperationRow) -> LogEvent:
    return LogEvent(
        at=line.at,
        level=line.level,
        type=line.type,
        run=None,
        step=line.step,
        message=line.message,
        state=row.state,
        progress=Progress(done=row.done, total=row.total),
    )


def _number(cursors: dict[str, str]) -> int:
    """Returns the number of the last line of a saga that the client received."""
    try:
        return parse_count(cursors.get(_STEPS, "0"))
    except ValueError:
        raise InvalidArgument(_INVALID_EVENT_ID) from None


def _encode(cursors: dict[str, str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(cursors).encode()).decode().rstrip("=") if cursors else ""


def _decode(event_id: str) -> dict[str, str]:
    if not event_id:
        return {}
    try:
        cursors = json.loads(base64.urlsafe_b64decode(event_id + "=" * (-len(event_id) % 4)))
        if not isinstance(cursors, dict) or not all(isinstance(cursor, str) for cursor in cursors.values()):
            raise TypeError
    except (ValueError, TypeError, RecursionError):
        raise InvalidArgument(_INVALID_EVENT_ID) from None
    return cursors
