"""Cancellation and retries of runs of assets."""

from __future__ import annotations

from api.kernel.kinds.context import Context
from api.kernel.models import Request
from api.services.ai_catalog.kinds.asset_run import ASSET_RUN, AssetRun, find, resource_of
from api.services.ai_catalog.kinds.pipeline_start import require_materialize
from api.services.ai_catalog.logic.pipeline_runs import ROOT_TAG
from core.errors import Conflict
from core.pipelines import PIPELINE_TAG
from core.runs import Launch, Launched, RunStatus


class RetryAssetRun(Request):
    """How to retry a run."""

    all_steps: bool = False
    """Whether to repeat the steps that succeeded, too."""


@ASSET_RUN.action("cancel", request=Request, result=AssetRun, past="canceled", outside=True)
async def cancel_asset_run(ctx: Context, asset_run: str, request: Request) -> AssetRun:
    """Stops a run. What it has produced stays. A run that has ended doesn't change.

    The caller must be able to materialize all its assets.
    """
    one = await find(ctx, asset_run, "cancel")
    require_materialize(ctx, list(one.assets))
    if not one.run.status.final:
        await ctx.orchestrator.terminate(Launched((one.run.id,)))
    return resource_of(ctx, await find(ctx, asset_run, "cancel"))


@ASSET_RUN.action("retry", request=RetryAssetRun, long=True)
async def retry_asset_run(ctx: Context, asset_run: str, request: RetryAssetRun) -> Launch:
    """Repeats the steps of a failed run that did not succeed. Returns an operation immediately.

    The caller must be able to materialize all its assets. Only the newest of a run and its retries can be retried.
    """
    one = await find(ctx, asset_run, "retry")
    require_materialize(ctx, list(one.assets))
    if one.run.status not in (RunStatus.FAILED, RunStatus.CANCELED):
        raise Conflict(f"The run is {one.run.status}. Only a run that FAILED or was CANCELED can be retried.")
    if PIPELINE_TAG in one.run.tags:
        raise Conflict("It is a run of a pipeline, which reads pinned versions. Retry it as a pipeline run.")
    if not one.assets:
        raise Conflict("The job of this run makes no assets. Launch it again where it was launched.")
    known = ctx.orchestrator.view().nodes
    if missing := [asset for asset in one.assets if asset not in known]:
        raise Conflict(f"{', '.join(missing)} can't be materialized any more.")
    retries = await ctx.orchestrator.find_runs({ROOT_TAG: one.run.tags.get(ROOT_TAG) or one.run.id}, limit=1)
    if retries and retries[0].id != one.run.id:
        raise Conflict(
            f"The newest retry is {retries[0].id}, which is {retries[0].status}. Retry that one if it failed."
        )
    return Launch(one.assets, job=one.run.job, retries=one.run.id, repeats_all=request.all_steps)
