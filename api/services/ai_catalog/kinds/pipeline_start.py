"""Starts of pipelines: a run of all assets, or a backfill of partitions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

import sqlalchemy as sa
from pydantic import Field

from api.kernel.kinds.context import Context
from api.kernel.kinds.refusals import denied
from api.kernel.kinds.unit import Unit
from api.kernel.lake.names import PartitionKey
from api.kernel.models import Request
from api.kernel.operations.stored_launch import StoredLaunch
from api.kernel.permissions.graph import asset_securable
from api.kernel.securable import Securable
from api.services.ai_catalog.kinds.asset import ASSET
from api.services.ai_catalog.kinds.pipeline import PIPELINE, Pipeline, PipelineSpec, Value
from api.services.ai_catalog.logic import pipelines, selection
from api.services.ai_catalog.logic.pipeline_turns import require_no_other
from api.services.ai_catalog.logic.selection import ACCEPT_TAG
from core.errors import Conflict, InvalidPayload
from core.pipelines import PIPELINE_TAG, Overlap, find, tags_of
from core.runs import Launch, RunStatus

ACTIVE = (RunStatus.QUEUED, RunStatus.STARTING, RunStatus.RUNNING, RunStatus.CANCELING)
"""Statuses of runs that have not ended."""

Parameters = Annotated[dict[Annotated[str, Field(max_length=64)], Value], Field(max_length=20)]
"""Values of parameters by name."""


class RunPipeline(Request):
    """How to run a pipeline."""

    parameters: Parameters = {}
    """Values of parameters. The others have their defaults."""

    accept_unchecked: bool = False
    """Whether to read inputs that did not pass their blocking checks. The run and its outputs record it."""


class BackfillPipeline(Request):
    """Partitions to materialize."""

    partitions: Annotated[list[PartitionKey], Field(max_length=10_000)] = []
    """Keys of partitions."""

    all_partitions: bool = False
    """Whether to materialize all partitions."""

    parameters: Parameters = {}
    """Values of parameters. The others have their defaults."""


@PIPELINE.action("run", request=RunPipeline, long=True)
async def run_pipeline(ctx: Context, pipeline: str, request: RunPipeline) -> StoredLaunch:
    """Runs the published version of a pipeline. Returns an operation immediately.

    The caller must be able to materialize all of its assets. The run reads one version of each input, and so do its
    retries. Send an `Idempotency-Key`, so that a repeated request starts no second run.
    """
    found, row, spec = await _runnable(ctx, pipeline, "run")
    if any(ctx.orchestrator.view().nodes[asset].partitioned for asset in spec.assets):
        raise Conflict(f"The assets of {found.name} have partitions. Use `:backfill`.")
    await require_turn(ctx, found.id, spec)
    values = pipelines.values_of(spec, request.parameters)
    tags = tags_of(found.id, row.revision, spec.overlap, values)
    if request.accept_unchecked:
        tags[ACCEPT_TAG] = "true"
    launch = Launch(tuple(spec.assets), config=_ops(ctx, spec, values), tags=tags, job=row.job)
    return _in_turn(launch, found, spec)


@PIPELINE.action("backfill", request=BackfillPipeline, long=True)
async def backfill_pipeline(ctx: Context, pipeline: str, request: BackfillPipeline) -> StoredLaunch:
    """Materializes partitions of the assets of a pipeline. Returns an operation immediately, which counts partitions.

    To repeat only the partitions that failed, send their keys.
    """
    found, row, spec = await _runnable(ctx, pipeline, "backfill")
    await require_turn(ctx, found.id, spec)
    values = pipelines.values_of(spec, request.parameters)
    launch = await selection.plan(
        ctx.orchestrator,
        ctx.view(),
        spec.assets,
        upstream=False,
        partitions=request.partitions,
        all_partitions=request.all_partitions,
        config=pipelines.config_of(spec, values),
    )
    tags = {**launch.tags, **tags_of(found.id, row.revision, spec.overlap, values)}
    return _in_turn(replace(launch, tags=tags), found, spec)


async def _runnable(ctx: Context, id: str, verb: str) -> tuple[Pipeline, sa.Row[Any], PipelineSpec]:
    """Returns a pipeline with its published row and spec, if the caller can start it.

    Raises:
        Conflict: it is not published, is blocked, or lacks an asset.
        PermissionDenied: the caller can't materialize one of its assets. The error does not name it.
    """
    found = await ctx.read(lambda unit: PIPELINE.get_for(unit, id, verb))
    row = await ctx.query(find, found.id)
    if row is None:
        raise Conflict(f"{found.name} is not published. Publish it first.")
    spec = PipelineSpec.model_validate(row.spec, strict=False)
    require_materialize(ctx, spec.assets)
    if row.blocked:
        raise Conflict(f"{found.name} can't run: {row.blocked}")
    if missing := pipelines.missing_assets(ctx.orchestrator.view(), spec.assets):
        raise Conflict(f"{found.name} can't run: {', '.join(missing)} can't be materialized any more.")
    ctx.subject = found.id
    ctx.securable = Securable(PIPELINE.full_name, found.id, found.organization_id, found.project_id)
    return found, row, spec


def require_materialize(ctx: Context, assets: list[str]) -> None:
    """Raises `PermissionDenied`, without a name, unless the caller can see and materialize all these assets."""
    permission = ASSET.permission("materialize")
    if pipelines.hidden_among(ctx, assets):
        raise denied(permission)
    for asset in assets:
        ctx.require(permission, asset_securable(ctx.platform, asset))


async def require_turn(ctx: Context, pipeline: str, spec: PipelineSpec) -> None:
    """Raises `Conflict` if a run is active and the pipeline skips runs then."""
    if spec.overlap is not Overlap.SKIP:
        return
    if await ctx.orchestrator.find_runs({PIPELINE_TAG: pipeline}, statuses=ACTIVE, limit=1):
        raise Conflict("A run of the pipeline is active, and it has overlap SKIP. Wait until it ends, or cancel it.")


def _in_turn(launch: Launch, pipeline: Pipeline, spec: PipelineSpec) -> StoredLaunch:
    """Returns the launch, which is refused if another request has just started the pipeline and it skips runs then."""

    def store(unit: Unit, operation: str) -> None:
        if spec.overlap is Overlap.SKIP:
            require_no_other(unit, pipeline.id, subject=pipeline.id)

    return StoredLaunch(launch, store)


def _ops(ctx: Context, spec: PipelineSpec, values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Returns the config of a run by op, as the job of the pipeline takes it."""
    nodes = ctx.orchestrator.view().nodes
    config = {}
    for asset, fields in pipelines.config_of(spec, values).items():
        if (op := nodes[asset].op) is None:
            raise InvalidPayload(f"{asset} takes no parameters.")
        config[op] = fields
    return config
