"""Logged models: models that runs produced, with their files, parameters, and tags."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated

import sqlalchemy as sa
from pydantic import Field

from api.kernel.kinds.table_kind import Row, TableKind
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Request
from api.services.ai_catalog.artifact_tables import ARTIFACT
from api.services.ai_catalog.kinds.experiment import EXPERIMENT, ExperimentReference, Tags
from api.services.ai_catalog.kinds.run import RUN
from api.services.ai_catalog.logic.model_lineage import ModelNodes, Recorder
from api.services.ai_catalog.model_tables import LOGGED_MODEL as TABLE
from api.services.ai_catalog.model_tables import RUN_OUTPUT
from core.errors import Conflict, InvalidPayload
from core.ids import new_id

Params = Annotated[
    dict[Annotated[str, Field(min_length=1, max_length=250)], Annotated[str, Field(max_length=6000)]],
    Field(max_length=1000),
]
"""Parameters of a model."""


class LoggedModelState(StrEnum):
    """State of a logged model. The files of a READY one are complete."""

    PENDING = "PENDING"
    READY = "READY"
    FAILED = "FAILED"


class LoggedModel(Model):
    """A model that a run produced, with its files, parameters, and tags."""

    id: str
    """Id of the model."""

    organization_id: str
    """Id of the organization that it belongs to."""

    project_id: str
    """Id of the project that it belongs to."""

    experiment_id: str
    """Id of the experiment."""

    run_id: str | None
    """Id of the run that produced it. Null if it was logged without a run."""

    name: str
    """Display name. It doesn't have to be unique."""

    model_type: str
    """Type, as the client names it."""

    state: LoggedModelState
    """Whether its files are complete."""

    params: dict[str, str]
    """Parameters."""

    tags: dict[str, str]
    """Tags."""

    created_at: datetime
    """Time at which it was created."""

    created_by: str
    """Name of the principal that created it."""

    updated_at: datetime
    """Time of its last change."""


class NewLoggedModel(Request):
    """A model to log."""

    experiment_id: ExperimentReference
    """Id of the experiment."""

    run: Annotated[str, Field(max_length=64)] = ""
    """Id of the run that produced it."""

    name: Annotated[str, Field(max_length=500)] = ""
    """Display name. Defaults to one that is made from the id."""

    model_type: Annotated[str, Field(max_length=250)] = ""
    """Type."""

    params: Params = {}
    """Parameters."""

    tags: Tags = {}
    """Tags."""


class LoggedModelChange(Request):
    """Changes of a logged model."""

    name: Annotated[str, Field(min_length=1, max_length=500)] | None = None
    """New display name."""

    tags: dict[Annotated[str, Field(min_length=1, max_length=250)], Annotated[str, Field(max_length=8000)] | None] = {}
    """Tags to set. Null removes a tag."""


class FinalizeModel(Request):
    """The end of logging a model."""

    state: LoggedModelState = LoggedModelState.READY
    """READY, or FAILED if its files are not complete."""


LOGGED_MODEL = TableKind(
    LoggedModel,
    TABLE,
    plural="logged-models",
    prefix="lmd",
    filter_by=("experiment_id", "run_id", "name", "model_type", "state", "created_by", "created_at"),
)


@LOGGED_MODEL.creation(request=NewLoggedModel, result=LoggedModel)
def create_logged_model(unit: Unit, request: NewLoggedModel) -> LoggedModel:
    """Logs a model. Upload its files, and then finalize it."""
    experiment = unit.row(EXPERIMENT, request.experiment_id)
    if request.run and RUN.row(unit, request.run).project_id != experiment.project_id:
        fault = {"pointer": "/run", "detail": "is in another project"}
        raise InvalidPayload("The run of a model must be in its project.", errors=[fault])
    id = new_id(LOGGED_MODEL.prefix)
    return LOGGED_MODEL.add(
        unit,
        id=id,
        organization_id=experiment.organization_id,
        project_id=experiment.project_id,
        experiment_id=experiment.id,
        run_id=request.run or None,
        name=request.name or f"model-{id[-6:]}",
        model_type=request.model_type,
        state=LoggedModelState.PENDING.value,
        params=request.params,
        tags=request.tags,
        created_at=unit.now,
        created_by=unit.principal.name,
        updated_at=unit.now,
    )


@LOGGED_MODEL.modification(request=LoggedModelChange, result=LoggedModel)
def update_logged_model(unit: Unit, model: Row, request: LoggedModelChange) -> LoggedModel:
    """Renames a logged model, and sets or removes tags."""
    tags = {key: value for key, value in {**model.tags, **request.tags}.items() if value is not None}
    return LOGGED_MODEL.change(unit, model, name=request.name or model.name, tags=tags, updated_at=unit.now)


@LOGGED_MODEL.command("finalize", request=FinalizeModel, result=LoggedModel, past="finalized")
def finalize_logged_model(unit: Unit, model: Row, request: FinalizeModel) -> LoggedModel:
    """Records that the files of a model are complete, or that logging failed. A model without files can't be READY."""
    if request.state is LoggedModelState.READY and not has_files(unit, model.id):
        raise Conflict(f"The model {model.id} has no files. Upload them before you finalize it.")
    if request.state is LoggedModelState.READY:
        record_producers(unit, model)
    return LOGGED_MODEL.change(unit, model, state=request.state.value, updated_at=unit.now)


@LOGGED_MODEL.deletion()
def delete_logged_model(unit: Unit, model: Row) -> None:
    """Deletes a logged model. It can be restored."""
    unit.connection.execute(TABLE.update().where(TABLE.c.id == model.id).values(deleted_at=unit.now))


@LOGGED_MODEL.command("restore", request=Request, result=LoggedModel, on_deleted=True)
def restore_logged_model(unit: Unit, model: Row, request: Request) -> LoggedModel:
    """Restores a deleted logged model, unless its experiment is deleted."""
    unit.row(EXPERIMENT, model.experiment_id)
    return LOGGED_MODEL.change(unit, model, deleted_at=None)


def record_producers(unit: Unit, model: Row) -> None:
    """Records what produced a model as edges of the lineage graph. Its files must be complete.

    That is its run. Only if it was logged without one, it is the runs that list it as an output.
    """
    outputs = sa.select(RUN_OUTPUT.c.run_id).where(RUN_OUTPUT.c.model_id == model.id)
    runs = [model.run_id] if model.run_id else list(unit.connection.execute(outputs).scalars())
    nodes = ModelNodes(unit.connection, model.project_id)
    recorder = Recorder(unit.connection, unit.principal.name, at=unit.now)
    for run in sorted(runs):
        recorder.record(run, "train", nodes.logged_model(model.id), [nodes.run(run)])


def has_files(unit: Unit, parent: str) -> bool:
    """Returns whether a run or logged model has an artifact."""
    select = sa.select(ARTIFACT.c.id).where(ARTIFACT.c.parent_id == parent).limit(1)
    return unit.connection.execute(select).first() is not None
