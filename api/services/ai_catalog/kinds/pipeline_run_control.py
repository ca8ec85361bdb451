"""Cancellation and retries of the runs of pipelines."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa

from api.kernel.kinds.context import Context
from api.kernel.kinds.unit import Unit
from api.kernel.models import Request
from api.kernel.operations.stored_launch import StoredLaunch
from api.services.ai_catalog.kinds.pipeline import PipelineSpec
from api.services.ai_catalog.kinds.pipeline_run import PIPELINE_RUN, PipelineRun, find, resource_of
from api.services.ai_catalog.kinds.pipeline_start import require_materialize, require_turn
from api.services.ai_catalog.logic.pipeline_runs import ROOT_TAG, Owned, assets_of
from api.services.ai_catalog.logic.pipeline_turns import require_no_other
from api.services.ai_catalog.logic.selection import ACCEPT_TAG
from core import clock
from core.errors import Conflict
from core.pipelines import PUBLISHED_PIPELINE, RETRY_DAYS, REVISION_TAG
from core.runs import Launch, Launched, RunStatus


class RetryPipelineRun(Request):
    """How to retry a run."""

    all_steps: bool = False
    """Whether to repeat the steps that succeeded, too."""

    accept_unchecked: bool = False
    """Whether to read inputs that did not pass their blocking checks. The run and its outputs record it."""


@PIPELINE_RUN.action("cancel", request=Request, result=PipelineRun, past="canceled", outside=True)
async def cancel_pipeline_run(ctx: Context, pipeline_run: str, request: Request) -> PipelineRun:
    """Stops a run. What it has produced stays. A run that has ended doesn't change."""
    one = await find(ctx, pipeline_run, "cancel")
    if not one.run.status.final:
        await ctx.orchestrator.terminate(Launched((one.run.id,)))
    return resource_of(ctx, await find(ctx, pipeline_run, "cancel"))


@PIPELINE_RUN.action("retry", request=RetryPipelineRun, long=True)
async def retry_pipeline_run(ctx: Context, pipeline_run: str, request: RetryPipelineRun) -> StoredLaunch:
    """Repeats the steps of a failed run that did not succeed. Returns an operation immediately.

    The retry reads the versions of the inputs that the failed run has recorded, also if there are newer ones, and runs
    the published version of the pipeline. The caller must be able to materialize all assets. Only the newest of a run
    and its retries can be retried.
    """
    one = await find(ctx, pipeline_run, "retry")
    if one.run.status not in (RunStatus.FAILED, RunStatus.CANCELED):
        raise Conflict(f"The run is {one.run.status}. Only a run that FAILED or was CANCELED can be retried.")
    if one.run.created_at is None or clock.now() - one.run.created_at > timedelta(days=RETRY_DAYS):
        raise Conflict(f"The versions that a run read are kept for {RETRY_DAYS} days. Run the pipeline again instead.")
    retries = await ctx.orchestrator.find_runs({ROOT_TAG: one.first_run}, limit=1)
    if retries and retries[0].id != one.run.id:
        raise Conflict(
            f"The newest retry is {retries[0].id}, which is {retries[0].status}. Retry that one if it failed."
        )
    row = await ctx.read(lambda unit: _published(unit, one))
    spec = PipelineSpec.model_validate(row.spec, strict=False)
    # The retry runs steps of the failed run, whose pipeline may have had other assets.
    require_materialize(ctx, sorted({*spec.assets, *await ctx.query(assets_of, one)}))
    await require_turn(ctx, one.pipeline_id, spec)
    accepted = {ACCEPT_TAG: "true"} if request.accept_unchecked else {}
    launch = Launch(
        tuple(spec.assets),
        tags={REVISION_TAG: str(row.revision), **accepted},
        job=row.job,
        retries=one.run.id,
        repeats_all=request.all_steps,
    )
    return StoredLaunch(launch, lambda unit, operation: require_no_other(unit, one.pipeline_id, subject=one.run.id))


def _published(unit: Unit, one: Owned) -> sa.Row[tuple[object, ...]]:
    """Returns the published row of the pipeline of a run. Raises `Conflict` if it is not published or is blocked."""
    row = unit.connection.execute(
        sa.select(PUBLISHED_PIPELINE).where(PUBLISHED_PIPELINE.c.id == one.pipeline_id)
    ).first()
    if row is None:
        raise Conflict("The pipeline of this run is not published any more. Publish it first.")
    if row.blocked:
        raise Conflict(f"The pipeline can't run: {row.blocked}")
    return row
