"""Jobs and schedules of published pipelines.

A pipeline that can't run becomes a job that fails with the reason. So no pipeline keeps its code location from loading,
and none runs with fewer assets than it names.
"""

from collections.abc import Iterable, Mapping
from datetime import timedelta

import dagster as dg

from core import clock
from core.ids import asset_key
from core.pipelines import PIPELINE_TAG, CatchUp, Overlap, PublishedPipeline

LATE = timedelta(minutes=5)
"""Delay after which a time of a schedule counts as missed."""

_ACTIVE = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def pipelines_of(pipelines: Iterable[PublishedPipeline], assets: dg.Definitions) -> dg.Definitions:
    """Returns the jobs and schedules of pipelines.

    Args:
        pipelines: the published pipelines of a project.
        assets: the assets of the project in this code location.
    """
    steps = {
        key: asset.node_def.name
        for asset in assets.assets or ()
        if isinstance(asset, dg.AssetsDefinition) and asset.is_executable
        for key in asset.keys
    }
    jobs, schedules = [], []
    for pipeline in pipelines:
        keys = {name: dg.AssetKey(asset_key(name)) for name in pipeline.assets}
        missing = sorted(name for name, key in keys.items() if key not in steps)
        error = pipeline.error
        if missing and not error:
            error = f"{', '.join(missing)} can't be materialized any more."
        config = (
            {steps[keys[name]]: {"config": dict(values)} for name, values in pipeline.config.items()}
            if not error
            else {}
        )
        job = _refusing_job(pipeline, error) if error else _job(pipeline, list(keys.values()), config)
        jobs.append(job)
        if pipeline.cron:
            schedules.append(_schedule(pipeline, job, error))
    return dg.Definitions(jobs=jobs, schedules=schedules)


def _job(pipeline: PublishedPipeline, keys: list[dg.AssetKey], config: Mapping[str, object]) -> dg.JobDefinition:
    policy = dg.RetryPolicy(max_retries=pipeline.retries, delay=pipeline.retry_delay_seconds)
    return dg.define_asset_job(  # type: ignore[return-value]
        pipeline.job,
        selection=dg.AssetSelection.assets(*keys),
        description=_description(pipeline),
        tags=pipeline.tags,
        config={"ops": dict(config)} if config else None,
        op_retry_policy=policy if pipeline.retries else None,
    )


def _refusing_job(pipeline: PublishedPipeline, error: str) -> dg.JobDefinition:
    @dg.op(name=f"{pipeline.job}_refusal", description=error)
    def refuse() -> None:
        raise dg.Failure(f"The pipeline can't run: {error}", allow_retries=False)

    @dg.job(name=pipeline.job, description=f"This pipeline can't run: {error}", tags=pipeline.tags)
    def refusing() -> None:
        refuse()

    return refusing


def _schedule(pipeline: PublishedPipeline, job: dg.JobDefinition, error: str) -> dg.ScheduleDefinition:
    @dg.schedule(
        name=pipeline.schedule,
        job=job,
        cron_schedule=pipeline.cron,
        execution_timezone=pipeline.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=_description(pipeline),
        tags={PIPELINE_TAG: pipeline.id},
    )
    def times(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        if error:
            return dg.SkipReason(f"The pipeline can't run: {error}")
        due = context.scheduled_execution_time
        if pipeline.catch_up == CatchUp.SKIP and clock.now() - due > LATE:
            return dg.SkipReason(f"{due.isoformat()} was missed, and the pipeline skips missed times.")
        if pipeline.overlap == Overlap.SKIP and _is_running(context.instance, pipeline.id):
            return dg.SkipReason("A run of the pipeline is active.")
        principal = f"schedule:{pipeline.schedule}"
        return dg.RunRequest(run_key=due.isoformat(), tags={**pipeline.tags, "headwater/principal": principal})

    return times


def _is_running(instance: dg.DagsterInstance, pipeline: str) -> bool:
    return bool(instance.get_runs(dg.RunsFilter(tags={PIPELINE_TAG: pipeline}, statuses=_ACTIVE), limit=1))


def _description(pipeline: PublishedPipeline) -> str:
    return "\n\n".join(filter(None, (pipeline.title, pipeline.description, f"Published by {pipeline.published_by}.")))
