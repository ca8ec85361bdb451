"""Runs: single trials of an experiment, with the parameters, metrics, tags, and inputs that were logged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from api.kernel.kinds.table_kind import Row, TableKind
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Request, Timestamp
from api.kernel.permissions.graph import visible_assets
from api.services.ai_catalog.kinds.experiment import EXPERIMENT, ExperimentReference, Tags
from api.services.ai_catalog.logic.metric_values import MetricValue, nan_if_null, time_of, written
from api.services.ai_catalog.logic.run_rows import RunValues, put
from api.services.ai_catalog.run_tables import RUN as TABLE
from api.services.ai_catalog.run_tables import RUN_TAG
from core.errors import Conflict, InvalidPayload
from core.ids import new_id


class ExperimentRunStatus(StrEnum):
    """Status of a run. The client reports it; RUNNING can mean that the client was killed."""

    SCHEDULED = "SCHEDULED"
    RUNNING = "RUNNING"
    FINISHED = "FINISHED"
    FAILED = "FAILED"
    KILLED = "KILLED"


class RunSource(StrEnum):
    """What executed a run: an asset of the PLATFORM, or an EXTERNAL program, whose claims the platform can't check."""

    PLATFORM = "PLATFORM"
    EXTERNAL = "EXTERNAL"


class LatestMetric(Model):
    """The latest value of a metric: the one with the highest step, then time, then value."""

    value: MetricValue
    """The value."""

    step: int
    """Step at which it was logged."""

    at: datetime
    """Time that the client reported."""


class RunInput(Model):
    """A dataset that a run read."""

    name: str
    """Name of the dataset."""

    digest: str
    """Digest of its content, as the client computed it."""

    asset: str | None
    """Id of the asset that it is. Null for data outside the platform."""

    version: str | None
    """Data version that was read. Null if it is unknown."""

    source_type: str
    """Type of the source, such as `delta_table` or `local`."""

    tags: dict[str, str]
    """Tags, such as `mlflow.data.context`."""


class Run(Model):
    """A single trial of an experiment, with the parameters, metrics, tags, and inputs that were logged."""

    id: str
    """Id of the run."""

    organization_id: str
    """Id of the organization that it belongs to."""

    project_id: str
    """Id of the project that it belongs to."""

    experiment_id: str
    """Id of the experiment."""

    name: str
    """Display name. It doesn't have to be unique."""

    status: ExperimentRunStatus
    """Status, as the client reported it last."""

    source: RunSource
    """Whether the platform or an external program executed it."""

    started_at: datetime
    """Start, as the client reported it."""

    ended_at: datetime | None
    """End, as the client reported it. Null until then."""

    created_at: datetime
    """Time at which it was created here."""

    created_by: str
    """Name of the principal that created it."""

    params: dict[str, str]
    """Parameters."""

    metrics: dict[str, LatestMetric]
    """The latest value of each metric."""

    tags: dict[str, str]
    """Tags."""

    inputs: list[RunInput]
    """Datasets that it read and that the caller can see."""


class NewRun(Request):
    """A run to create."""

    experiment_id: ExperimentReference
    """Id of the experiment."""

    name: Annotated[str, Field(max_length=500)] = ""
    """Display name. Defaults to one that is made from the id."""

    started_at: Timestamp | None = None
    """Start. Defaults to now."""

    tags: Tags = {}
    """Tags."""


class RunChange(Request):
    """Changes of a run."""

    name: Annotated[str, Field(min_length=1, max_length=500)] | None = None
    """New display name."""

    tags: dict[Annotated[str, Field(min_length=1, max_length=250)], Annotated[str, Field(max_length=8000)] | None] = {}
    """Tags to set. Null removes a tag."""


class FinishRun(Request):
    """The end of a run."""

    status: ExperimentRunStatus = ExperimentRunStatus.FINISHED
    """Status: FINISHED, FAILED, or KILLED. RUNNING or SCHEDULED continues a run that had ended."""

    ended_at: Timestamp | None = None
    """End. Defaults to now."""


class MoveRun(Request):
    """Where to move a run."""

    experiment_id: ExperimentReference
    """Id of another experiment of the same project."""


def runs(unit: Unit, rows: Sequence[Row]) -> list[Run]:
    """Returns what callers see of runs."""
    values = RunValues(unit.connection, [row.id for row in rows])
    is_visible = visible_assets(unit.platform, unit.principal.access)
    return [_run(row, values, is_visible) for row in rows]


RUN = TableKind(
    Run,
    TABLE,
    plural="runs",
    prefix="run",
    filter_by=("experiment_id", "name", "status", "source", "created_by", "started_at", "ended_at"),
    items=runs,
)


@RUN.creation(request=NewRun, result=Run)
def create_run(unit: Unit, request: NewRun) -> Run:
    """Starts a run in an experiment."""
    return add_run(unit, request, RunSource.EXTERNAL)


@RUN.modification(request=RunChange, result=Run)
def update_run(unit: Unit, run: Row, request: RunChange) -> Run:
    """Renames a run, and sets or removes tags."""
    for key, value in request.tags.items():
        if value is None:
            unit.connection.execute(RUN_TAG.delete().where(RUN_TAG.c.run_id == run.id, RUN_TAG.c.key == key))
    put(unit.connection, RUN_TAG, run.id, {key: text for key, text in request.tags.items() if text is not None})
    return RUN.change(unit, run, name=request.name or run.name)


@RUN.command("finish", request=FinishRun, result=Run, past="finished")
def finish_run(unit: Unit, run: Row, request: FinishRun) -> Run:
    """Records the end of a run, or that it continues."""
    require_external(run)
    ended = request.status not in (ExperimentRunStatus.RUNNING, ExperimentRunStatus.SCHEDULED)
    return RUN.change(
        unit, run, status=request.status.value, ended_at=(request.ended_at or unit.now) if ended else None
    )


@RUN.command("move", request=MoveRun, result=Run)
def move_run(unit: Unit, run: Row, request: MoveRun) -> Run:
    """Moves a run to another experiment of its project."""
    experiment = unit.row(EXPERIMENT, request.experiment_id, permission=EXPERIMENT.permission("update"))
    if experiment.project_id != run.project_id:
        fault = {"pointer": "/experiment_id", "detail": "is in another project"}
        raise InvalidPayload("Runs can only move within their project.", errors=[fault])
    unit.call.note(before=run.experiment_id, after=experiment.id)
    return RUN.change(unit, run, experiment_id=experiment.id)


@RUN.deletion()
def delete_run(unit: Unit, run: Row) -> None:
    """Deletes a run. It can be restored."""
    unit.connection.execute(TABLE.update().where(TABLE.c.id == run.id).values(deleted_at=unit.now))


@RUN.command("restore", request=Request, result=Run, on_deleted=True)
def restore_run(unit: Unit, run: Row, request: Request) -> Run:
    """Restores a deleted run, unless its experiment is deleted."""
    unit.row(EXPERIMENT, run.experiment_id)
    return RUN.change(unit, run, deleted_at=None)


def add_run(unit: Unit, request: NewRun, source: RunSource) -> Run:
    """Stores a new run, and returns it.

    Raises:
        NotFound: there is no such experiment, or it is deleted.
        PermissionDenied: the caller may not create runs in its project.
    """
    experiment = unit.row(EXPERIMENT, request.experiment_id)
    id = new_id(RUN.prefix)
    run = RUN.add(
        unit,
        organization_id=experiment.organization_id,
        project_id=experiment.project_id,
        id=id,
        experiment_id=experiment.id,
        name=request.name or f"run-{id[-6:]}",
        status=ExperimentRunStatus.RUNNING.value,
        source=source.value,
        started_at=request.started_at or unit.now,
        created_at=unit.now,
        created_by=unit.principal.name,
    )
    put(unit.connection, RUN_TAG, id, request.tags)
    return run.model_copy(update={"tags": request.tags})


def require_external(run: Row) -> None:
    """Raises `Conflict` for a run that the platform executed: no client can say what happened in it."""
    if run.source == RunSource.PLATFORM.value:
        raise Conflict(f"The platform executed the run {run.id}, so what it logged can't change. Use another run.")


def _run(row: Row, values: RunValues, is_visible: Callable[[str], bool]) -> Run:
    columns = {name: row._mapping[name] for name in Run.model_fields if name in row._mapping}
    return Run(
        **columns,
        params=values.params[row.id],
        tags=values.tags[row.id],
        metrics={
            key: LatestMetric(value=written(nan_if_null(one.value)), step=one.step, at=time_of(one.at_ms))
            for key, one in values.metrics[row.id].items()
        },
        inputs=[
            RunInput(**{name: one._mapping[name] for name in RunInput.model_fields})
            for one in values.inputs[row.id].values()
            if one.asset is None or is_visible(one.asset)
        ],
    )
