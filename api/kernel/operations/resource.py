"""The resource of a long-running operation."""

from __future__ import annotations

from datetime import datetime

from pydantic import JsonValue

from api.kernel.models import Model
from api.kernel.operations.store import Executor, OperationRow, OperationState
from api.kernel.sagas.steps import StepState

WITHHELD = "Withheld: the text can contain values of rows that you can't read."
"""What a caller gets instead of a text of a run."""


class Progress(Model):
    """Progress of an operation. Backfills count partitions, runs and sagas count steps."""

    done: int
    """Number of finished steps or partitions. For sagas, number of steps in effect."""

    total: int
    """Total number of steps or partitions. 0 while it is unknown."""


class ProducedVersion(Model):
    """A version that the operation produced."""

    asset: str
    """Id of the asset."""

    data_version: str | None
    """Data version, `<table id>@<table version>`. Null if the asset reports none."""

    partition: str | None
    """Key of the partition. Null if the asset has no partitions."""


class OperationStep(Model):
    """A step of a saga."""

    name: str
    """Name of the step."""

    state: StepState
    """State of the step. DONE: in effect. COMPENSATED: undone. FAILED: could not be done or undone."""

    attempts: int
    """Number of attempts."""

    error: str | None
    """Error of the last attempt. Null if it succeeded."""

    started_at: datetime | None
    """Start of the first attempt. Null before it."""

    finished_at: datetime | None
    """Time at which the step was done or undone, or failed permanently."""


class Operation(Model):
    """A long-running operation with its state, progress, and result."""

    id: str
    """Id of the operation."""

    action: str
    """Permission of the request, such as `ai_catalog.asset.materialize`."""

    subject: str
    """Subject of the request: the id in the path, or the collection."""

    executor: Executor
    """Executor of the operation. LAUNCH: Dagster. SAGA: the API, in steps that are all done or all undone."""

    organization_id: str | None
    """Organization of the operation, if any."""

    project_id: str | None
    """Project of the operation, if any."""

    state: OperationState
    """State of the operation. SUCCEEDED, FAILED, and CANCELED are final."""

    progress: Progress
    """Progress of the operation."""

    assets: list[str]
    """Assets that the operation materializes."""

    partitions: list[str]
    """Requested partitions. Empty if all were requested, or if the assets have no partitions."""

    runs: list[str]
    """Dagster runs that the operation launched."""

    backfill: str | None
    """Dagster backfill that the operation launched. Null if it launched runs."""

    produced: list[ProducedVersion]
    """Versions that the operation produced. Empty until the operation is final."""

    steps: list[OperationStep]
    """Steps of a saga. Empty for launches."""

    result: dict[str, JsonValue] | None
    """Result of a saga. Null before it succeeds, and for launches."""

    error: str | None
    """Reason why the operation failed or is being undone. Null otherwise. The reason why a run failed is only for those
    who can read all rows of its assets, because it can contain values."""

    created_by: str
    """Name of the principal that started the operation."""

    request_id: str
    """Id of the request that started the operation."""

    created_at: datetime
    """Time at which the operation was accepted."""

    updated_at: datetime
    """Time of the last observed change."""

    finished_at: datetime | None
    """Time at which the operation became final. Null before it."""


def to_resource(row: OperationRow, *, messages: bool) -> Operation:
    """Returns the resource of a stored operation. `messages` is whether the caller gets what its runs wrote."""
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
            ProducedVersion(asset=version.asset, data_version=version.data_version, partition=version.partition)
            for version in row.produced
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
        error=row.error if messages or row.error is None else WITHHELD,
        created_by=row.principal,
        request_id=row.request_id,
        created_at=row.created_at,
        updated_at=row.updated_at,
        finished_at=row.finished_at,
    )
