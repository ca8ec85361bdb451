"""Steps, graph, outputs, and logs of the runs of pipelines, without the assets that the caller can't see."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from api.kernel.kinds.context import Context
from api.kernel.kinds.streams import ServerEvent
from api.kernel.models import Query
from api.services.ai_catalog.kinds.pipeline_run import PIPELINE_RUN, find
from api.services.ai_catalog.logic.pipeline_runs import assets_of
from api.services.ai_catalog.logic.run_parts import (
    PipelineGraph,
    PipelineLogEvent,
    PipelineOutputs,
    PipelineSteps,
    graph_of,
    log_of,
    outputs_of,
    steps_of,
)
from core.runs import RunState


@PIPELINE_RUN.part("steps", query=Query, result=PipelineSteps)
async def get_pipeline_run_steps(ctx: Context, pipeline_run: str, query: Query) -> PipelineSteps:
    """Returns the steps of a run with their states, times, attempts, and errors."""
    one = await find(ctx, pipeline_run, "steps")
    return await steps_of(ctx, one.run, await ctx.query(assets_of, one))


@PIPELINE_RUN.part("graph", query=Query, result=PipelineGraph)
async def get_pipeline_run_graph(ctx: Context, pipeline_run: str, query: Query) -> PipelineGraph:
    """Returns the assets of a run, their inputs, and the versions that the run read and wrote."""
    one = await find(ctx, pipeline_run, "graph")
    return await graph_of(ctx, one.run, await ctx.query(assets_of, one))


@PIPELINE_RUN.part("outputs", query=Query, result=PipelineOutputs)
async def get_pipeline_run_outputs(ctx: Context, pipeline_run: str, query: Query) -> PipelineOutputs:
    """Returns the versions of assets that a run has produced: tables, models, and indexes."""
    return await outputs_of(ctx, (await find(ctx, pipeline_run, "outputs")).run)


@PIPELINE_RUN.stream("logs", query=Query, event=PipelineLogEvent)
async def get_pipeline_run_logs(ctx: Context, pipeline_run: str, query: Query) -> AsyncGenerator[ServerEvent, None]:
    """Streams the log lines of a run, then one `end` event with the final state.

    A client that reconnects sends `Last-Event-ID` and misses no line. Lines name assets and can contain values, so the
    caller must be able to read the rows of all assets of the run and of their inputs.
    """

    async def run() -> tuple[RunState, list[str]]:
        one = await find(ctx, pipeline_run, "logs")
        return one.run, await ctx.query(assets_of, one)

    async for event in log_of(ctx, run):
        yield event
