"""Runs of assets: everything that Dagster runs, also by schedules and sensors."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated

from pydantic import Field

from api.kernel.filtering import filters
from api.kernel.kinds.context import Context
from api.kernel.kinds.kind import Kind
from api.kernel.lake.names import AssetId
from api.kernel.models import ListQuery, Model, Page, Timestamp
from api.kernel.operations.launches import OPERATION_TAG
from api.kernel.permissions.graph import asset_securable
from api.kernel.storage.listing import Order, decode_token, encode_token
from api.services.ai_catalog.kinds.asset import ASSET
from api.services.ai_catalog.logic.asset_runs import RunOrigin, TargetedRun, sees, targeted
from api.services.ai_catalog.logic.pipeline_runs import PARENT_TAG
from api.services.ai_catalog.logic.readable_tables import may_read_messages
from core.pipelines import PIPELINE_TAG
from core.runs import RunStatus

_BATCH_SIZE = 200
_MAX_BATCHES = 10
"""Batches that one page reads at most. If most runs are invisible, a page has fewer items than requested."""

_FIELDS = {
    "state": filters.Field(filters.FieldType.STRING, read=lambda item: item.state.value),
    "origin": filters.Field(filters.FieldType.STRING, read=lambda item: item.origin.value),
    "started_by": filters.Field(filters.FieldType.STRING, read=lambda item: item.started_by),
    "job": filters.Field(filters.FieldType.STRING, read=lambda item: item.job),
    "assets": filters.Field(filters.FieldType.STRINGS, read=lambda item: item.assets),
    "operation": filters.Field(filters.FieldType.STRING, read=lambda item: item.operation),
    "pipeline_id": filters.Field(filters.FieldType.STRING, read=lambda item: item.pipeline_id),
    "retry_of": filters.Field(filters.FieldType.STRING, read=lambda item: item.retry_of),
}

ASSET_RUN = Kind(
    "asset_run",
    plural="asset-runs",
    title="Asset run",
    description="A run of Dagster that materializes or checks assets, also by a schedule or a sensor.",
    example="5f0c1d2e-3b4a-4c5d-8e6f-7a8b9c0d1e2f",
    scoped=True,
    filter_by=tuple(_FIELDS),
)


class AssetRun(Model):
    """A run of Dagster with what started it and what it works on."""

    id: str
    """Id of the run in Dagster."""

    state: RunStatus
    """State of the run. SUCCEEDED, FAILED, and CANCELED are final."""

    job: str
    """Name of the job in Dagster. Jobs of selected assets start with two underscores."""

    assets: list[str]
    """Assets that it works on. Empty for a job without assets, such as maintenance."""

    origin: RunOrigin
    """What started the run."""

    started_by: str | None
    """Name of the schedule, the sensor, or the principal. Null if it was started in the Dagster UI."""

    operation: str | None
    """Id of the operation that launched it. Null for other origins than API."""

    pipeline_id: str | None
    """Id of the pipeline that it is a run of, or null."""

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

    error: str | None
    """Why it failed, in one line. Null in lists, if it did not fail, or if the caller can't read the rows."""

    cancelable: bool
    """Whether the run has not ended, and the caller may cancel it."""

    retriable: bool
    """Whether the run failed or was canceled, and the caller may retry it. Runs of pipelines are retried as such."""


class AssetRunsQuery(ListQuery):
    """Which runs to list. The parameters narrow the search more cheaply than `filter`."""

    state: RunStatus | None = None
    """State of the runs."""

    origin: RunOrigin | None = None
    """What started the runs."""

    asset: AssetId | None = None
    """Only runs that work on this asset."""

    project: Annotated[str, Field(max_length=64)] = ""
    """Only runs that work on assets of the project with this name."""

    pipeline: Annotated[str, Field(max_length=64)] = ""
    """Only runs of the pipeline with this id."""

    created_after: Timestamp | None = None
    """Only runs that were requested later."""

    created_before: Timestamp | None = None
    """Only runs that were requested earlier."""

    def matches(self, one: TargetedRun) -> bool:
        """Returns whether a run is among those that are asked for."""
        return (
            (self.origin is None or one.origin is self.origin)
            and (self.asset is None or self.asset in one.assets)
            and (not self.project or self.project in one.projects)
        )


@ASSET_RUN.list(query=AssetRunsQuery, item=AssetRun)
async def list_asset_runs(ctx: Context, query: AssetRunsQuery) -> Page[AssetRun]:
    """Lists runs, newest first: those of whose assets the caller can see each. New runs don't move the next pages."""
    order = Order.parse(query.order_by, ())
    condition = filters.parse(query.filter, _FIELDS)
    after = decode_token(query.page_token, order)
    cursor = after[1] if after else ""
    view = ctx.orchestrator.view()
    items: list[AssetRun] = []
    for _ in range(_MAX_BATCHES):
        found = await ctx.orchestrator.find_runs(
            {PIPELINE_TAG: query.pipeline} if query.pipeline else {},
            statuses=[query.state] if query.state else (),
            created_after=query.created_after,
            created_before=query.created_before,
            before=cursor,
            limit=_BATCH_SIZE,
        )
        for one in targeted(view, found):
            if len(items) == query.page_size:
                return Page[AssetRun](items=items, next_page_token=encode_token(order, None, cursor))
            cursor = one.run.id
            if sees(ctx.platform, ctx.principal.access, one) and query.matches(one):
                item = resource_of(ctx, one)
                if condition.matches(item):
                    items.append(item)
        if len(found) < _BATCH_SIZE:
            return Page[AssetRun](items=items, next_page_token=None)
    return Page[AssetRun](items=items, next_page_token=encode_token(order, None, cursor))


@ASSET_RUN.get(result=AssetRun)
async def get_asset_run(ctx: Context, asset_run: str) -> AssetRun:
    """Returns a run with its current state, and why it failed."""
    one = await find(ctx, asset_run, "get")
    error = None
    if one.run.status is RunStatus.FAILED and may_read_messages(ctx.platform, ctx.principal.access, one.assets):
        error = (await ctx.orchestrator.outcome(one.run)).error
    return resource_of(ctx, one, error)


async def find(ctx: Context, id: str, verb: str) -> TargetedRun:
    """Returns a run on which the caller holds the permission of a verb.

    Raises:
        NotFound: there is none, or none that the caller can see.
        PermissionDenied: the caller can see it, but lacks the permission.
    """
    runs = await ctx.orchestrator.runs([id])
    for one in targeted(ctx.orchestrator.view(), runs.values()):
        place = one.place(ctx.platform)
        access = ctx.principal.access
        if sees(ctx.platform, access, one) and access.allows(ASSET_RUN.permission("get"), place):
            ctx.securable, ctx.subject = place, one.run.id
            ctx.require(ASSET_RUN.permission(verb), place)
            return one
    raise ASSET_RUN.unknown(id)


def resource_of(ctx: Context, one: TargetedRun, error: str | None = None) -> AssetRun:
    """Returns a run as in responses."""
    run, may = one.run, _rights(ctx, one)
    failed = run.status in (RunStatus.FAILED, RunStatus.CANCELED)
    return AssetRun(
        id=run.id,
        state=run.status,
        job=run.job,
        assets=list(one.assets),
        origin=one.origin,
        started_by=one.started_by(ctx.platform),
        operation=run.tags.get(OPERATION_TAG),
        pipeline_id=run.tags.get(PIPELINE_TAG),
        retry_of=run.tags.get(PARENT_TAG),
        partition=run.tags.get("dagster/partition"),
        backfill=run.tags.get("dagster/backfill"),
        steps_done=run.steps_done,
        steps_total=run.steps_total,
        created_at=run.created_at,
        started_at=run.started_at,
        ended_at=run.ended_at,
        error=error,
        cancelable=not run.status.final and may("cancel"),
        retriable=failed and bool(one.assets) and may("retry"),
    )


def _rights(ctx: Context, one: TargetedRun) -> Callable[[str], bool]:
    """Returns a function that returns whether the caller may do something with a run that needs its assets."""
    access, place = ctx.principal.access, one.place(ctx.platform)

    def may(verb: str) -> bool:
        permission = ASSET.permission("materialize")
        return access.allows(ASSET_RUN.permission(verb), place) and all(
            access.allows(permission, asset_securable(ctx.platform, asset)) for asset in one.assets
        )

    return may
