"""The operation as callers see it."""

from __future__ import annotations

from datetime import datetime

from pydantic import JsonValue

from api.kernel.models import Model
from api.kernel.operations.store import Executor, OperationRow, OperationState
from api.kernel.sagas.steps import StepState


class Progress(Model):
    """How far it is. A backfill counts partitions, a run or a saga its steps."""

    done: int
    """Finished steps or partitions; of a saga, steps in effect."""

    total: int
    """All of them; 0 while unknown."""


class ProducedVersion(Model):
    """A version the operation made."""

    asset: str
    """Id of the asset."""

    data_version: str | None
    """The version, `<table id>@<table version>`; null if the asset reports none."""

    partition: str | None
    """Key of the partition, if the asset has partitions."""


class OperationStep(Model):
    """A step of a saga."""

    name: str
    """Name of the step."""

    state: StepState
    """DONE steps are in effect; COMPENSATED ones were undone; a FAILED one could not be done, or not be undone."""

    attempts: int
    """How often it was tried."""

    error: str | None
    """Why the last try failed; null otherwise."""

    started_at: datetime | None
    """When its first try began."""

    finished_at: datetime | None
    """When it was done, undone or given up."""


class Operation(Model):
    """Long work: where it stands, what it started and what came of it."""

    id: str
    """Id of the operation."""

    action: str
    """The permission it was started with, such as `ai_catalog.asset.materialize`."""

    subject: str
    """What it was asked of: the id in the path, or the collection."""

    executor: Executor
    """LAUNCH: Dagster runs. SAGA: steps that are all done, or all undone."""

    organization_id: str | None
    """Organization it works in, if any."""

    project_id: str | None
    """Project it works in, if any."""

    state: OperationState
    """SUCCEEDED, FAILED and CANCELED are final."""

    progress: Progress
    """How far it is."""

    assets: list[str]
    """Assets it materializes."""

    partitions: list[str]
    """Partitions it was asked for; empty means all, or that there are none."""

    runs: list[str]
    """Dagster runs it started."""

    backfill: str | None
    """Dagster backfill it started, if it is one."""

    produced: list[ProducedVersion]
    """Versions it made; filled when it is final."""

    steps: list[OperationStep]
    """Steps of a saga; empty for launches."""

    result: dict[str, JsonValue] | None
    """What a saga answered; null until it has succeeded, and for launches."""

    error: str | None
    """Why it failed, or is being undone; null otherwise."""

    created_by: str
    """Name of the principal that started it."""

    request_id: str
    """The request that started it."""

    created_at: datetime
    """When it was accepted."""

    updated_at: datetime
    """When it was last seen to change."""

    finished_at: datetime | None
    """When it became final."""


def to_resource(row: OperationRow) -> Operation:
    """The stored operation as its resource."""
    return Operation(
        id=row.id,
        action=row.action,
        subject=row.subject,
        executor=row.executor,
        organization_id=row.organization_id,
        project_id=row.project_id,
        state=row.state,
        progress=Progress(done=row.done, total=row.total),
        assets=list(row.assets),
        partitions=list(row.partitions),
        runs=list(row.runs),
        backfill=row.backfill,
        produced=[
            ProducedVersion(asset=made.asset, data_version=made.data_version, partition=made.partition)
            for made in row.produced
        ],
        steps=[
            OperationStep(
                name=step.name,
                state=step.state,
                attempts=step.attempts,
                error=step.error,
                started_at=step.started_at,
                finished_at=step.finished_at,
            )
            for step in row.steps
        ],
        result=dict(row.result) if row.result is not None else None,
        error=row.error,
        created_by=row.principal,
        request_id=row.request_id,
        created_at=row.created_at,
        updated_at=row.updated_at,
        finished_at=row.finished_at,
    )
