"""Logged models of the AI catalog as MLflow's logged models, and the models that a run produced."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import sqlalchemy as sa

from api.kernel.kinds.table_kind import Row
from api.kernel.kinds.unit import Unit
from api.protocols.mlflow.artifacts import children
from api.protocols.mlflow.call import MlflowCall, validated
from api.protocols.mlflow.experiments import add_default_experiment, default_experiment
from api.protocols.mlflow.runs import milliseconds, pairs, run_id
from api.services.ai_catalog.kinds.logged_model import (
    LOGGED_MODEL,
    FinalizeModel,
    LoggedModelChange,
    LoggedModelState,
    NewLoggedModel,
    create_logged_model,
    delete_logged_model,
    finalize_logged_model,
    record_producers,
    update_logged_model,
)
from api.services.ai_catalog.kinds.logged_model_metrics import MeasuredMetric, measured
from api.services.ai_catalog.kinds.run import RUN, require_external
from api.services.ai_catalog.logic import search_language
from api.services.ai_catalog.logic.search_language import Key, invalid
from api.services.ai_catalog.model_tables import LOGGED_MODEL as TABLE
from api.services.ai_catalog.model_tables import RUN_OUTPUT
from core.db import insert
from core.errors import InvalidArgument, NotFound

_STATES = {
    "LOGGED_MODEL_PENDING": LoggedModelState.PENDING,
    "LOGGED_MODEL_READY": LoggedModelState.READY,
    "LOGGED_MODEL_UPLOAD_FAILED": LoggedModelState.FAILED,
}
_STATUSES = {state.value: name for name, state in _STATES.items()}
_MAX_PAGE = 1000


async def create(call: MlflowCall) -> dict[str, Any]:
    """Logs a model. Its files follow."""
    experiment = call.text("experiment_id")

    def write(unit: Unit) -> dict[str, Any]:
        body = {
            "experiment_id": add_default_experiment(unit, call.workspace) if experiment == "0" else experiment,
            "run": call.text("source_run_id", ""),
            "name": call.text("name", ""),
            "model_type": call.text("model_type", ""),
            "params": call.tags("params"),
            "tags": call.tags(),
        }
        made = create_logged_model(unit, validated(NewLoggedModel, body))
        return rendered(unit, _any(unit, made.id))

    return {"model": await call.write("create_logged_model", write)}


async def get(call: MlflowCall) -> dict[str, Any]:
    """Returns a logged model."""
    id = call.text("model_id")
    return {"model": await call.read("get_logged_model", lambda unit: rendered(unit, LOGGED_MODEL.row(unit, id)))}


async def finalize(call: MlflowCall) -> dict[str, Any]:
    """Records that the files of a model are complete, or that logging failed."""
    id, status = call.text("model_id"), call.text("status", "")
    if status not in _STATES:
        raise InvalidArgument(f"status must be one of {', '.join(_STATES)}.")

    def write(unit: Unit) -> dict[str, Any]:
        finalize_logged_model(unit, LOGGED_MODEL.row(unit, id, "finalize"), FinalizeModel(state=_STATES[status]))
        return rendered(unit, _any(unit, id))

    return {"model": await call.write("finalize_logged_model", write, id)}


async def delete(call: MlflowCall) -> dict[str, Any]:
    """Deletes a logged model."""
    id = call.text("model_id")
    await call.write(
        "delete_logged_model", lambda unit: delete_logged_model(unit, LOGGED_MODEL.row(unit, id, "delete")), id
    )
    return {}


async def log_params(call: MlflowCall) -> dict[str, Any]:
    """Adds parameters. A parameter never changes."""
    id, params = call.text("model_id"), call.tags("params")

    def write(unit: Unit) -> None:
        row = LOGGED_MODEL.row(unit, id, "update")
        changed = [key for key, value in params.items() if row.params.get(key, value) != value]
        if changed:
            raise InvalidArgument(f"The parameter {changed[0][:250]!r} has another value already.")
        body = validated(NewLoggedModel, {"experiment_id": row.experiment_id, "params": {**row.params, **params}})
        LOGGED_MODEL.change(unit, row, params=body.params, updated_at=unit.now)

    await call.write("update_logged_model", write, id)
    return {}


async def set_tags(call: MlflowCall) -> dict[str, Any]:
    """Sets tags."""
    id, tags = call.text("model_id"), call.tags()
    return {"model": await _changed(call, id, dict(tags))}


async def delete_tag(call: MlflowCall) -> dict[str, Any]:
    """Removes a tag."""
    id, key = call.text("model_id"), call.text("tag_key")
    await _changed(call, id, {key: None})
    return {}


async def search(call: MlflowCall) -> dict[str, Any]:
    """Searches the logged models of experiments, newest first."""
    experiments = [str(id) for id in call.list("experiment_ids")]
    condition = search_language.parse(call.text("filter", ""))
    size = min(max(call.number("max_results", 100), 1), _MAX_PAGE)
    token = call.text("page_token", "")

    def read(unit: Unit) -> dict[str, Any]:
        default = default_experiment(unit, call.workspace) if "0" in experiments else None
        ids = [default.id if id == "0" and default else id for id in experiments]
        select = sa.select(TABLE).where(
            TABLE.c.experiment_id.in_(ids), LOGGED_MODEL.visible(unit), LOGGED_MODEL.present()
        )
        if token:
            select = select.where(TABLE.c.id < token)
        rows = unit.connection.execute(select.order_by(TABLE.c.id.desc())).all()
        metrics = measured(unit, [row.id for row in rows])
        found = [row for row in rows if search_language.matches(condition, partial(_value, row, metrics[row.id]))]
        rest = {"next_page_token": found[size - 1].id} if len(found) > size else {}
        return {"models": [_rendered(row, metrics[row.id]) for row in found[:size]], **rest}

    return await call.read("list_logged_models", read)


async def list_files(call: MlflowCall) -> dict[str, Any]:
    """Lists the files and folders of a model."""
    id, folder = call.text("model_id"), call.text("artifact_directory_path", "")

    def read(unit: Unit) -> dict[str, Any]:
        row = LOGGED_MODEL.row(unit, id)
        return {"root_uri": _uri(row), "files": children(unit, id, folder)}

    return await call.read("list_artifacts", read)


async def log_outputs(call: MlflowCall) -> dict[str, Any]:
    """Records the models that a run produced."""
    id, models = run_id(call), call.list("models")

    def write(unit: Unit) -> None:
        run = RUN.row(unit, id, "update")
        require_external(run)
        for one in models:
            if not isinstance(one, dict) or not isinstance(one.get("model_id"), str):
                raise InvalidArgument("Each of 'models' must have a model_id.")
            model = LOGGED_MODEL.row(unit, one["model_id"])
            if model.project_id != run.project_id:
                raise InvalidArgument(f"The model {model.id} is in another project.")
            row = {"run_id": run.id, "model_id": model.id, "step": replace(call, values=one).number("step", 0)}
            unit.connection.execute(insert(unit.connection, RUN_OUTPUT).values(row).on_conflict_do_nothing())
            if model.state == LoggedModelState.READY.value:
                record_producers(unit, model)
        unit.call.note(models=len(models))

    await call.write("update_run", write, id)
    return {}


def rendered(unit: Unit, row: Row) -> dict[str, Any]:
    """Returns a logged model as MLflow writes it."""
    return _rendered(row, measured(unit, [row.id])[row.id])


def _rendered(row: Row, metrics: Sequence[MeasuredMetric]) -> dict[str, Any]:
    info = {
        "model_id": row.id,
        "experiment_id": row.experiment_id,
        "name": row.name,
        "creation_timestamp_ms": milliseconds(row.created_at),
        "last_updated_timestamp_ms": milliseconds(row.updated_at),
        "artifact_uri": _uri(row),
        "status": _STATUSES[row.state],
        "model_type": row.model_type,
        "tags": pairs(row.tags),
    }
    if row.run_id:
        info["source_run_id"] = row.run_id
    return {"info": info, "data": {"params": pairs(row.params), "metrics": [_metric(row, one) for one in metrics]}}


def _metric(row: Row, one: MeasuredMetric) -> dict[str, Any]:
    named = {"dataset_name": one.dataset_name, "dataset_digest": one.dataset_digest, "run_id": one.run_id}
    known = {name: value for name, value in named.items() if value}
    measured_at = {"step": one.step, "timestamp": milliseconds(one.at)}
    return {"key": one.key, "value": one.value, "model_id": row.id, **measured_at, **known}


def _uri(row: Row) -> str:
    return f"mlflow-artifacts:/{row.experiment_id}/{row.id}/artifacts"


def _any(unit: Unit, id: str) -> Row:
    row = unit.connection.execute(sa.select(TABLE).where(TABLE.c.id == id, LOGGED_MODEL.visible(unit))).first()
    if row is None:
        raise NotFound(f"There is no logged model {id[:64]}.")
    return row


async def _changed(call: MlflowCall, id: str, tags: dict[str, str | None]) -> dict[str, Any]:
    body = validated(LoggedModelChange, {"tags": tags})

    def write(unit: Unit) -> dict[str, Any]:
        update_logged_model(unit, LOGGED_MODEL.row(unit, id, "update"), body)
        return rendered(unit, _any(unit, id))

    return await call.write("update_logged_model", write, id)


def _value(row: Row, metrics: Sequence[MeasuredMetric], key: Key) -> Any:
    if key.group == "metrics":
        return next((one.value for one in metrics if one.key == key.name), None)
    if key.group == "tags":
        return row.tags.get(key.name)
    if key.group == "params":
        return row.params.get(key.name)
    attributes = {
        "name": row.name,
        "model_id": row.id,
        "model_type": row.model_type,
        "status": row.state,
        "source_run_id": row.run_id,
        "creation_timestamp": milliseconds(row.created_at),
        "creation_time": milliseconds(row.created_at),
        "last_updated_timestamp": milliseconds(row.updated_at),
    }
    if key.group or key.name not in attributes:
        raise invalid(str(key), f"is not an attribute of logged models. Attributes are {', '.join(attributes)}")
    return attributes[key.name]


_PATH = "/api/2.0/mlflow/logged-models"
ROUTES = {
    ("POST", _PATH): create,
    ("POST", f"{_PATH}/search"): search,
    ("GET", f"{_PATH}/{{model_id}}"): get,
    ("PATCH", f"{_PATH}/{{model_id}}"): finalize,
    ("DELETE", f"{_PATH}/{{model_id}}"): delete,
    ("POST", f"{_PATH}/{{model_id}}/params"): log_params,
    ("PATCH", f"{_PATH}/{{model_id}}/tags"): set_tags,
    ("DELETE", f"{_PATH}/{{model_id}}/tags/{{tag_key}}"): delete_tag,
    ("GET", f"{_PATH}/{{model_id}}/artifacts/directories"): list_files,
    ("POST", "/api/2.0/mlflow/runs/outputs"): log_outputs,
}
