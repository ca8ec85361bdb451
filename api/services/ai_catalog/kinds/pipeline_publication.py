"""Publication of pipelines: a pipeline becomes a job of Dagster with a schedule, and is withdrawn."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from api.kernel.kinds import standard
from api.kernel.kinds.context import Context
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Query, Request
from api.kernel.permissions.projects import Projects
from api.services.ai_catalog.kinds.pipeline import PIPELINE, Pipeline, PipelineSpec, PipelineState
from api.services.ai_catalog.logic import pipelines
from api.services.ai_catalog.logic.automation import AutomationState, Tick, shared
from api.services.ai_catalog.logic.publisher_access import publisher_of
from core.errors import Conflict, InvalidPayload, Unavailable
from core.pipelines import PUBLISHED_PIPELINE as TABLE
from core.pipelines import find


class PipelineFault(Model):
    """A reason why a pipeline can't be published."""

    pointer: str
    """JSON pointer to the field."""

    detail: str
    """What is wrong with it."""


class PipelineGate(Model):
    """A blocking check. If it fails, the run stops before the assets downstream."""

    asset: str
    """Id of the asset that it checks."""

    check: str
    """Name of the check."""


class PipelineReport(Model):
    """Whether a pipeline can be published."""

    publishable: bool
    """Whether the caller can publish it."""

    errors: list[PipelineFault]
    """Reasons why not."""

    assets: list[str]
    """The assets that it would run, as its selection selects them now."""

    gates: list[PipelineGate]
    """Blocking checks of its assets that the caller can see."""


class PipelinePublication(Model):
    """What Dagster runs of a pipeline."""

    state: PipelineState
    """Whether it is published."""

    job: str | None
    """Name of its job in Dagster. Null if it is not published."""

    revision: int | None
    """Version of the pipeline that is published."""

    modified: bool
    """Whether the spec was changed since."""

    loaded: bool
    """Whether Dagster has the job with all assets. If it stays false, the description of the job names the reason."""

    assets: list[str]
    """Assets that it runs, as far as the caller can see them. A selection was evaluated at the publication."""

    published_by: str | None
    """Name of the user whose rights its schedule has."""

    error: str | None
    """Why it can't run. Null if it can."""

    missing_assets: list[str]
    """Assets of the published version that nothing produces any more, as far as the caller can see them."""

    hidden_assets: int
    """Number of assets of the published version that the caller can't see."""


class PipelineTimes(Model):
    """The schedule of a pipeline."""

    schedule: str | None
    """Id of the schedule in Dagster, which `schedules` shows, starts, and stops. Null before Dagster has loaded it."""

    state: AutomationState
    """Whether it is active."""

    cron: str
    """Times as a cron expression."""

    timezone: str
    """Time zone of the cron expression."""

    next_at: list[datetime]
    """The next five times, as Dagster computes them. Empty while it is stopped."""

    last_tick: Tick | None
    """Its last evaluation. Null before the first one."""


@PIPELINE.action("validate", request=Request, result=PipelineReport, reads=True)
async def validate_pipeline(ctx: Context, pipeline: str, request: Request) -> PipelineReport:
    """Returns whether the caller can publish a pipeline, and the checks that stop its runs. Changes nothing."""
    found = await ctx.read(lambda unit: PIPELINE.get_for(unit, pipeline, "validate"))
    (spec, faults), view = await pipelines.faults_of(ctx, found), ctx.view()
    states = {asset: view.states.get(asset) for asset in spec.assets if asset in view.nodes}
    checks = [(asset, check) for asset, state in states.items() if state for check in state.checks if check.blocking]
    return PipelineReport(
        publishable=not faults,
        errors=[PipelineFault(**fault) for fault in faults],
        assets=list(states),
        gates=[PipelineGate(asset=asset, check=check.name) for asset, check in checks],
    )


@PIPELINE.action(
    "publish", request=Request, result=Pipeline, past="published", timeout_seconds=180, outside=True, versioned=True
)
async def publish_pipeline(ctx: Context, pipeline: str, request: Request) -> Pipeline:
    """Makes a pipeline a job of Dagster with its schedule, under the rights of the caller.

    The caller must be able to materialize all assets. If they lose that right, the pipeline no longer runs, until a
    user who has it publishes it again. Runs in progress continue as they were planned.
    """
    found = await ctx.read(lambda unit: PIPELINE.get_for(unit, pipeline, "publish"))
    ctx.require_match(found.etag)
    spec, faults = await pipelines.faults_of(ctx, found)
    if faults:
        raise InvalidPayload(f"{found.name} can't be published. See errors.", errors=faults)
    published = await ctx.write(lambda unit: _publish(unit, found, spec))
    await _show(ctx)
    return published


@PIPELINE.action(
    "unpublish", request=Request, result=Pipeline, past="unpublished", timeout_seconds=180, outside=True, versioned=True
)
async def unpublish_pipeline(ctx: Context, pipeline: str, request: Request) -> Pipeline:
    """Removes the job and the schedule of a pipeline. Runs in progress continue, and all runs stay readable."""
    withdrawn = await ctx.write(lambda unit: _unpublish(unit, pipeline))
    await _show(ctx)
    return withdrawn


@PIPELINE.part("publication", query=Query, result=PipelinePublication)
async def get_pipeline_publication(ctx: Context, pipeline: str, query: Query) -> PipelinePublication:
    """Returns what Dagster runs of a pipeline, and why it can't run, if so."""
    found = await ctx.read(lambda unit: PIPELINE.get_for(unit, pipeline, "publication"))
    row = await ctx.query(find, found.id)
    if row is None:
        return PipelinePublication(
            state=found.status.state,
            job=None,
            revision=None,
            modified=False,
            loaded=False,
            assets=[],
            published_by=None,
            error=None,
            missing_assets=[],
            hidden_assets=0,
        )
    everything, assets = ctx.orchestrator.view(), row.spec["assets"]
    missing, concealed = pipelines.missing_assets(everything, assets), pipelines.hidden_among(ctx, assets)
    error = row.blocked or ("Assets can't be materialized any more. Publish it without them." if missing else None)
    return PipelinePublication(
        state=found.status.state,
        job=row.job,
        revision=row.revision,
        modified=found.status.published_generation != found.generation,
        loaded=all(asset in everything.nodes and row.job in everything.nodes[asset].jobs for asset in assets),
        assets=[asset for asset in assets if asset not in concealed],
        published_by=row.published_by,
        error=error,
        missing_assets=[asset for asset in missing if asset not in concealed],
        hidden_assets=len(concealed),
    )


@PIPELINE.part("schedule", query=Query, result=PipelineTimes)
async def get_pipeline_schedule(ctx: Context, pipeline: str, query: Query) -> PipelineTimes:
    """Returns the published schedule of a pipeline, with its next times and its last evaluation.

    `schedules/{id}:stop` and `:start` pause and resume it.
    """
    found = await ctx.read(lambda unit: PIPELINE.get_for(unit, pipeline, "schedule"))
    row = await ctx.query(find, found.id)
    if row is None or row.spec["schedule"] is None:
        raise Conflict(f"{found.name} has no published schedule. Add one to its spec, and publish it.")
    planned = row.spec["schedule"]
    automation = ctx.orchestrator.view().schedules.get(f"{row.job}_schedule")
    running = automation is not None and automation.running
    tick: Any = shared(automation)["last_tick"] if automation else None
    return PipelineTimes(
        schedule=automation.id if automation else None,
        state=AutomationState.RUNNING if running else AutomationState.STOPPED,
        cron=planned["cron"],
        timezone=planned["timezone"],
        next_at=list(automation.upcoming) if automation else [],
        last_tick=tick,
    )


def _publish(unit: Unit, checked: Pipeline, spec: PipelineSpec) -> Pipeline:
    row = unit.row(PIPELINE, checked.id, permission=PIPELINE.permission("publish"))
    unit.subject(row)
    pipeline = PIPELINE.resource(row)
    if pipeline.generation != checked.generation:
        raise Conflict(f"{pipeline.name} was changed meanwhile. Publish it again.")
    status = pipeline.status
    status.state, status.published_generation, status.published_at = PipelineState.PUBLISHED, row.generation, unit.now
    saved = standard.write(unit, PIPELINE, row, pipeline, "publish")
    before = find(unit.connection, saved.id)
    values = {
        "project": unit.platform.part(Projects).name_of(saved.project_id or ""),
        "revision": saved.version,
        "spec": spec.model_dump(mode="json"),
        "config": pipelines.config_of(spec, pipelines.defaults_of(spec)),
        "published_at": unit.now,
        "published_by": unit.principal.name,
        "published_by_id": unit.principal.id,
        "blocked": None,
    }
    if before is None:
        unit.connection.execute(TABLE.insert().values(id=saved.id, job=pipelines.job_name(saved), **values))
    else:
        unit.connection.execute(TABLE.update().where(TABLE.c.id == saved.id).values(values))
    unit.call.note(revision=saved.version)
    return saved


def _unpublish(unit: Unit, id: str) -> Pipeline:
    row = unit.row(PIPELINE, id, permission=PIPELINE.permission("unpublish"))
    unit.subject(row)
    pipeline = PIPELINE.resource(row)
    if pipeline.status.state is not PipelineState.PUBLISHED:
        raise Conflict(f"{pipeline.name} is not published.")
    pipeline.status.state, pipeline.status.published_generation = PipelineState.DRAFT, None
    unit.connection.execute(sa.delete(TABLE).where(TABLE.c.id == pipeline.id))
    return standard.write(unit, PIPELINE, row, pipeline, "unpublish")


async def _show(ctx: Context) -> None:
    """Has Dagster load the committed change. If it can't now, the publisher tries again within a minute."""
    with suppress(Unavailable, Conflict):
        await publisher_of(ctx).reconcile()
        await ctx.orchestrator.refresh()
