"""Steps, graph, outputs, and log lines of a run, without the assets that the caller can't see."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.kinds.context import Context
from api.kernel.kinds.refusals import denied
from api.kernel.kinds.streams import ServerEvent
from api.kernel.models import Model
from api.kernel.permissions.graph import READ_ROWS
from api.services.ai_catalog.logic.pipeline_runs import assets_by_step
from api.services.ai_catalog.logic.pipelines import hidden_among
from api.services.ai_catalog.logic.readable_tables import may_read_messages
from core.errors import InvalidArgument
from core.ids import is_asset_id
from core.runs import LogLine, RunState, RunStatus, StepState, StepStatus

_BATCH_SIZE = 1000
_POLL_SECONDS = 0.4
_MAX_CURSOR = 200


class PipelineStep(Model):
    """A step of a run. Its times place it on a timeline."""

    name: str
    """Name of the step."""

    assets: list[str]
    """Assets that it produces."""

    state: StepStatus
    """State of the step. SKIPPED: it didn't start, because an earlier step failed or the run ended."""

    attempts: int
    """Number of attempts so far."""

    error: str | None
    """Error of the last attempt. Null if it did not fail, or if the caller can't read the rows of the assets."""

    started_at: datetime | None
    """Start of the first attempt. Null before it."""

    ended_at: datetime | None
    """End of the last attempt. Null before it."""


class PipelineSteps(Model):
    """The steps of a run, in the order in which they start."""

    steps: list[PipelineStep]
    """The steps that the caller can see."""

    hidden: int
    """Number of steps that produce assets that the caller can't see."""


class PipelineNode(Model):
    """An asset in the graph of a run."""

    asset: str
    """Id of the asset."""

    produced: bool
    """Whether the run produces it. The other assets are inputs."""

    state: StepStatus | None
    """State of its step. Null for an input."""

    version: str | None
    """Data version that the run wrote, or read from an input. Null if there is none yet."""


class PipelineEdge(Model):
    """An input of an asset in a run."""

    input: str
    """Id of the asset that is read."""

    output: str
    """Id of the asset that is made from it."""

    input_version: str | None
    """Data version that was read. Null if it was not read yet."""


class PipelineGraph(Model):
    """The assets of a run with the versions that it read and wrote."""

    nodes: list[PipelineNode]
    """The assets that the caller can see."""

    edges: list[PipelineEdge]
    """The inputs of these assets."""

    hidden: int
    """Number of assets of the run that the caller can't see."""


class PipelineOutput(Model):
    """A version that a run produced."""

    asset: str
    """Id of the asset."""

    data_version: str | None
    """Data version, `<table id>@<table version>`."""

    partition: str | None
    """Key of the partition. Null if the asset has none."""


class PipelineOutputs(Model):
    """The versions that a run produced."""

    outputs: list[PipelineOutput]
    """Versions of assets that the caller can see."""

    hidden: int
    """Number of versions of other assets."""


class PipelineLogEvent(Model):
    """An event of the stream: a log line, or the state of the run."""

    at: datetime | None
    """Time of the line. Null for states."""

    level: str
    """DEBUG, INFO, WARNING, ERROR, or CRITICAL."""

    type: str
    """Event type of Dagster, or STATE."""

    step: str | None
    """Step that wrote the line."""

    message: str
    """Text of the line."""

    state: RunStatus
    """State of the run when this was sent."""


async def steps_of(ctx: Context, run: RunState, assets: Collection[str]) -> PipelineSteps:
    """Returns the steps of a run that makes these assets."""
    concealed, by_step = hidden_among(ctx, assets), assets_by_step(ctx, assets)
    found = await ctx.orchestrator.steps(run)
    # A step of an asset that is not known may be one that the caller can't see.
    visible = [step for step in found if not concealed or _is_visible(by_step.get(step.key), concealed)]
    return PipelineSteps(
        steps=[_step(ctx, step, by_step.get(step.key, [])) for step in visible], hidden=len(found) - len(visible)
    )


async def graph_of(ctx: Context, run: RunState, assets: Collection[str]) -> PipelineGraph:
    """Returns the graph of a run that makes these assets."""
    concealed, view = hidden_among(ctx, assets), ctx.view()
    states = {step.key: step.status for step in await ctx.orchestrator.steps(run)}
    by_asset = {asset: states.get(step) for step, made in assets_by_step(ctx, assets).items() for asset in made}
    edges = await ctx.query(_edges, run)
    planned = [(parent, asset) for asset in assets if (node := view.nodes.get(asset)) for parent in node.upstream]
    versions: dict[str, str] = {row.out_asset: row.out_version for row in edges}
    read = {(row.in_asset, row.out_asset): row.in_version for row in edges if is_asset_id(row.in_asset)}
    pairs = sorted({*planned, *read})
    names = {name for pair in pairs for name in pair} | set(assets)
    visible = sorted(names - hidden_among(ctx, names))
    inputs = {parent: version for (parent, _), version in read.items()}
    return PipelineGraph(
        nodes=[
            PipelineNode(
                asset=name,
                produced=name in by_asset,
                state=by_asset.get(name),
                version=versions.get(name, inputs.get(name)),
            )
            for name in visible
        ],
        edges=[
            PipelineEdge(input=parent, output=asset, input_version=read.get((parent, asset)))
            for parent, asset in pairs
            if parent in visible and asset in visible
        ],
        hidden=len(concealed),
    )


async def outputs_of(ctx: Context, run: RunState) -> PipelineOutputs:
    """Returns the versions that a run has produced."""
    produced = (await ctx.orchestrator.outcome(run)).produced
    concealed = hidden_among(ctx, {version.asset for version in produced})
    visible = [version for version in produced if version.asset not in concealed]
    return PipelineOutputs(
        outputs=[
            PipelineOutput(asset=version.asset, data_version=version.data_version, partition=version.partition)
            for version in visible
        ],
        hidden=len(produced) - len(visible),
    )


async def log_of(
    ctx: Context, find: Callable[[], Awaitable[tuple[RunState, Collection[str]]]]
) -> AsyncGenerator[ServerEvent, None]:
    """Yields the log lines of a run, and then its final state.

    Args:
        ctx: the request.
        find: returns the run and its assets, if the caller can still see it.
    """
    cursor = ctx.last_event_id
    if len(cursor) > _MAX_CURSOR:
        raise InvalidArgument("Last-Event-ID is not valid for this stream. Send the id of its last event.")
    reported: RunStatus | None = None
    while True:
        # The state is read before the lines, so that no line from before the end is missed.
        run, assets = await find()
        if not may_read_messages(ctx.platform, ctx.principal.access, assets):
            raise denied(READ_ROWS)
        if reported is not run.status and not run.status.final:
            reported = run.status
            yield ServerEvent(_state(reported), "state", cursor)
        while lines := await ctx.orchestrator.logs(run.id, after=cursor or None, limit=_BATCH_SIZE):
            for line in lines:
                cursor = line.cursor
                yield ServerEvent(_line(line, run.status), "log", cursor)
            if len(lines) < _BATCH_SIZE:
                break
        if run.status.final:
            yield ServerEvent(_state(run.status), "end", cursor)
            return
        await asyncio.sleep(_POLL_SECONDS)


def _edges(connection: Connection, run: RunState) -> Sequence[sa.Row[str, str, str, str]]:
    from lakehouse.lineage import LINEAGE_EDGE

    columns = LINEAGE_EDGE.c
    return connection.execute(
        sa.select(columns.in_asset, columns.in_version, columns.out_asset, columns.out_version)
        .where(columns.run == run.id)
        .order_by(columns.sequence)
    ).all()


def _is_visible(assets: list[str] | None, concealed: set[str]) -> bool:
    return assets is not None and concealed.isdisjoint(assets)


def _step(ctx: Context, step: StepState, assets: list[str]) -> PipelineStep:
    return PipelineStep(
        name=step.key,
        assets=assets,
        state=step.status,
        attempts=step.attempts,
        error=step.error if may_read_messages(ctx.platform, ctx.principal.access, assets) else None,
        started_at=step.started_at,
        ended_at=step.ended_at,
    )


def _state(state: RunStatus) -> PipelineLogEvent:
    level = "ERROR" if state is RunStatus.FAILED else "INFO"
    return PipelineLogEvent(at=None, level=level, type="STATE", step=None, message=state.value, state=state)


def _line(line: LogLine, state: RunStatus) -> PipelineLogEvent:
    return PipelineLogEvent(
        at=line.at, level=line.level, type=line.type, step=line.step, message=line.message, state=state
    )
