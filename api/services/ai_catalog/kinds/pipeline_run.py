"""Runs of pipelines, as Dagster executes them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field, JsonValue

from api.kernel.filtering import filters
from api.kernel.kinds.context import Context
from api.kernel.kinds.kind import Kind
from api.kernel.models import ListQuery, Model, Page, Timestamp
from api.kernel.storage.listing import Order, decode_token, encode_token
from api.services.ai_catalog.logic.pipeline_runs import PARENT_TAG, Owned, owned
from core.pipelines import KIND_TAG, PIPELINE_TAG
from core.runs import RunState, RunStatus

_BATCH_SIZE = 200
_MAX_BATCHES = 10
"""Batches that one page reads at most. If most runs are invisible, a page has fewer items than requested."""

_FIELDS = {
    "state": filters.Field(filters.FieldType.STRING, read=lambda item: item.run.status.value),
    "pipeline_id": filters.Field(filters.FieldType.STRING, read=lambda item: item.pipeline_id),
    "revision": filters.Field(filters.FieldType.INTEGER, read=lambda item: item.revision),
    "retry_of": filters.Field(filters.FieldType.STRING, read=lambda item: item.run.tags.get(PARENT_TAG)),
}

PIPELINE_RUN = Kind(
    "pipeline_run",
    plural="pipeline-runs",
    title="Pipeline run",
    description="A run of a pipeline, which Dagster executes.",
    example="5f0c1d2e-3b4a-4c5d-8e6f-7a8b9c0d1e2f",
    scoped=True,
    filter_by=tuple(_FIELDS),
)


class PipelineRun(Model):
    """A run of a pipeline."""

    id: str
    """Id of the run in Dagster."""

    pipeline_id: str
    """Id of the pipeline."""

    organization_id: str | None
    """Id of the organization that the pipeline belongs to."""

    project_id: str | None
    """Id of the project that the pipeline belongs to."""

    revision: int
    """Version of the pipeline that it runs."""

    state: RunStatus
    """State of the run. SUCCEEDED, FAILED, and CANCELED are final."""

    parameters: dict[str, JsonValue]
    """Values of the parameters."""

    started_by: str | None
    """Principal or schedule that started it. Null if it was started in the Dagster UI."""

    retry_of: str | None
    """Id of the run that it retries. Null if it is no retry."""

    partition: str | None
    """Key of the partition. Null if the assets have none."""

    backfill: str | None
    """Id of the backfill that it is a part of, or null."""

    steps_done: int
    """Number of steps that have ended."""

    steps_total: int
    """Number of steps."""

    created_at: datetime | None
    """Time at which it was requested."""

    started_at: datetime | None
    """Time at which its process started. Null before."""

    ended_at: datetime | None
    """Time at which it ended. Null before."""


class PipelineRunsQuery(ListQuery):
    """Which runs to list. The parameters narrow the search more cheaply than `filter`."""

    pipeline: Annotated[str, Field(max_length=64)] = ""
    """Id of a pipeline."""

    state: RunStatus | None = None
    """State of the runs."""

    created_after: Timestamp | None = None
    """Only runs that were requested later."""

    created_before: Timestamp | None = None
    """Only runs that were requested earlier."""


@PIPELINE_RUN.list(query=PipelineRunsQuery, item=PipelineRun)
async def list_pipeline_runs(ctx: Context, query: PipelineRunsQuery) -> Page[PipelineRun]:
    """Lists runs of pipelines, newest first. New runs don't move the following pages."""
    order = Order.parse(query.order_by, ())
    condition = filters.parse(query.filter, _FIELDS)
    after = decode_token(query.page_token, order)
    cursor = after[1] if after else ""
    tags = {PIPELINE_TAG: query.pipeline} if query.pipeline else {KIND_TAG: "pipeline"}
    items: list[PipelineRun] = []
    for _ in range(_MAX_BATCHES):
        found = await ctx.orchestrator.find_runs(
            tags,
            statuses=[query.state] if query.state else (),
            created_after=query.created_after,
            created_before=query.created_before,
            before=cursor,
            limit=_BATCH_SIZE,
        )
        visible = {one.run.id: one for one in await ctx.query(owned, found) if _sees(ctx, one)}
        for run in found:
            if len(items) == query.page_size:
                return Page[PipelineRun](items=items, next_page_token=encode_token(order, None, cursor))
            cursor = run.id
            one = visible.get(run.id)
            if one is not None and condition.matches(one):
                items.append(resource_of(ctx, one))
        if len(found) < _BATCH_SIZE:
            return Page[PipelineRun](items=items, next_page_token=None)
    return Page[PipelineRun](items=items, next_page_token=encode_token(order, None, cursor))


@PIPELINE_RUN.get(result=PipelineRun)
async def get_pipeline_run(ctx: Context, pipeline_run: str) -> PipelineRun:
    """Returns a run with its current state."""
    return resource_of(ctx, await find(ctx, pipeline_run, "get"))


async def find(ctx: Context, id: str, verb: str) -> Owned:
    """Returns a run on which the caller holds the permission of a verb.

    Raises:
        NotFound: there is none, or none that the caller can see.
        PermissionDenied: the caller can see it, but lacks the permission.
    """
    runs = await ctx.orchestrator.runs([id])
    for one in await ctx.query(owned, runs.values()):
        if _sees(ctx, one):
            ctx.securable, ctx.subject = one.place, one.run.id
            ctx.require(PIPELINE_RUN.permission(verb), one.place)
            return one
    raise PIPELINE_RUN.unknown(id)


def resource_of(ctx: Context, one: Owned) -> PipelineRun:
    """Returns a run as in responses."""
    run: RunState = one.run
    return PipelineRun(
        id=run.id,
        pipeline_id=one.pipeline_id,
        organization_id=one.place.organization_id,
        project_id=one.place.project_id,
        revision=one.revision,
        state=run.status,
        parameters=one.parameters,
        started_by=one.started_by(ctx.platform),
        retry_of=run.tags.get(PARENT_TAG),
        partition=run.tags.get("dagster/partition"),
        backfill=run.tags.get("dagster/backfill"),
        steps_done=run.steps_done,
        steps_total=run.steps_total,
        created_at=run.created_at,
        started_at=run.started_at,
        ended_at=run.ended_at,
    )


def _sees(ctx: Context, one: Owned) -> bool:
    return ctx.principal.access.allows(PIPELINE_RUN.permission("get"), one.place)
