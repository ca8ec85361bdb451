"""Steps, graph, and logs of runs of assets."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection

from api.kernel.kinds.context import Context
from api.kernel.kinds.streams import ServerEvent
from api.kernel.models import Query
from api.services.ai_catalog.kinds.asset_run import ASSET_RUN, find
from api.services.ai_catalog.logic.run_parts import (
    PipelineGraph,
    PipelineLogEvent,
    PipelineSteps,
    graph_of,
    log_of,
    steps_of,
)
from core.runs import RunState


@ASSET_RUN.part("steps", query=Query, result=PipelineSteps)
async def get_asset_run_steps(ctx: Context, asset_run: str, query: Query) -> PipelineSteps:
    """Returns the steps of a run with their states, times, attempts, and errors."""
    one = await find(ctx, asset_run, "steps")
    return await steps_of(ctx, one.run, one.assets)


@ASSET_RUN.part("graph", query=Query, result=PipelineGraph)
async def get_asset_run_graph(ctx: Context, asset_run: str, query: Query) -> PipelineGraph:
    """Returns the assets of a run, their inputs, and the versions that the run read and wrote."""
    one = await find(ctx, asset_run, "graph")
    return await graph_of(ctx, one.run, one.assets)


@ASSET_RUN.stream("logs", query=Query, event=PipelineLogEvent)
async def get_asset_run_logs(ctx: Context, asset_run: str, query: Query) -> AsyncGenerator[ServerEvent, None]:
    """Streams the log lines of a run, then one `end` event with the final state.

    A client that reconnects sends `Last-Event-ID` and misses no line. Lines name assets and can contain values, so the
    caller must be able to read the rows of all assets of the run and of their inputs.
    """

    async def run() -> tuple[RunState, Collection[str]]:
        one = await find(ctx, asset_run, "logs")
        return one.run, one.assets

    async for event in log_of(ctx, run):
        yield event
