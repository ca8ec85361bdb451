"""Experiments of the AI catalog as MLflow's experiments."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from api.kernel.kinds import standard
from api.kernel.kinds.resource import Change, Draft
from api.kernel.kinds.unit import Unit
from api.kernel.storage import store
from api.kernel.storage.store import Stored
from api.kernel.tables import RESOURCE
from api.protocols.mlflow.call import MlflowCall, project_of, validated
from api.protocols.mlflow.names import mlflow_name, named, normal
from api.services.ai_catalog.kinds.experiment import EXPERIMENT, Experiment, ExperimentSpec
from api.services.ai_catalog.logic import search_language
from api.services.ai_catalog.logic.derived_names import derived_name
from api.services.ai_catalog.logic.search_language import Key, invalid
from core.errors import InvalidArgument, NotFound

DEFAULT = "Default"
"""Name of the experiment that MLflow uses if the client names none. Its id there is `0`."""

_MAX_PAGE = 1000


async def create(call: MlflowCall) -> dict[str, Any]:
    """Creates an experiment in the project of the request."""
    name, location = call.text("name"), call.text("artifact_location", "")
    if location and not location.startswith("mlflow-artifacts:"):
        raise InvalidArgument("The platform stores artifacts itself. Leave artifact_location out.")
    tags = call.tags()
    return {
        "experiment_id": await call.write(
            "create_experiment", lambda unit: _created(unit, call.workspace, name, tags).id
        )
    }


async def get(call: MlflowCall) -> dict[str, Any]:
    """Returns an experiment by id, also a deleted one."""
    id = call.text("experiment_id")
    return {"experiment": await call.read("list_experiments", lambda unit: _rendered(_require(unit, call, id)))}


async def get_by_name(call: MlflowCall) -> dict[str, Any]:
    """Returns an experiment by its name. A deleted one does not count, because its name can be used again."""
    name = normal(call.text("experiment_name"))

    def read(unit: Unit) -> dict[str, Any]:
        project = project_of(unit, call.workspace)
        row = named(unit, EXPERIMENT, project, name)
        if row is None:
            raise NotFound(f"Could not find experiment with name '{name}'")
        return _rendered(row)

    return {"experiment": await call.read("list_experiments", read)}


async def search(call: MlflowCall) -> dict[str, Any]:
    """Searches experiments by name, tags, and times, newest first."""
    view = call.text("view_type", "ACTIVE_ONLY")
    condition = search_language.parse(call.text("filter", ""))
    size = min(max(call.number("max_results", 100), 1), _MAX_PAGE)
    token = call.text("page_token", "")
    orders = [search_language.parse_order(str(one)) for one in call.list("order_by")]

    def read(unit: Unit) -> dict[str, Any]:
        select = standard.visible(unit, EXPERIMENT, deleted=True)
        if call.workspace:
            select = select.where(RESOURCE.c.project_id == project_of(unit, call.workspace))
        if view != "ALL":
            is_deleted = RESOURCE.c.deleted_at.is_not(None)
            select = select.where(is_deleted if view == "DELETED_ONLY" else sa.not_(is_deleted))
        rows = [store.stored(row) for row in unit.connection.execute(select.order_by(RESOURCE.c.id.desc()))]
        found = [item for item in map(_rendered, rows) if search_language.matches(condition, _value(item))]
        for key, descending in reversed(orders):
            found.sort(key=lambda item: _value(item)(key) or "", reverse=descending)
        ids = [item["experiment_id"] for item in found]
        if token and token not in ids:
            raise InvalidArgument("page_token is not valid for this search.")
        start = ids.index(token) + 1 if token else 0
        page = found[start : start + size]
        rest = {"next_page_token": page[-1]["experiment_id"]} if len(found) > start + size else {}
        return {"experiments": page, **rest}

    return await call.read("list_experiments", read)


async def update(call: MlflowCall) -> dict[str, Any]:
    """Renames an experiment."""
    id, name = call.text("experiment_id"), normal(call.text("new_name"))
    change = {"name": derived_name(name), "spec": {"title": name}}
    await _changed(call, id, change)
    return {}


async def set_tag(call: MlflowCall) -> dict[str, Any]:
    """Sets a tag."""
    await _changed(call, call.text("experiment_id"), {"spec": {"tags": {call.text("key"): call.text("value", "")}}})
    return {}


async def delete_tag(call: MlflowCall) -> dict[str, Any]:
    """Removes a tag."""
    await _changed(call, call.text("experiment_id"), {"spec": {"tags": {call.text("key"): None}}})
    return {}


async def delete(call: MlflowCall) -> dict[str, Any]:
    """Deletes an experiment with its runs."""
    id = call.text("experiment_id")
    await call.write("delete_experiment", lambda unit: standard.delete(unit, EXPERIMENT, _id(unit, call, id)), id)
    return {}


async def restore(call: MlflowCall) -> dict[str, Any]:
    """Restores an experiment with the runs that were deleted with it."""
    id = call.text("experiment_id")
    await call.write("restore_experiment", lambda unit: standard.restore(unit, EXPERIMENT, id), id)
    return {}


def default_experiment(unit: Unit, workspace: str) -> Stored | None:
    """Returns the experiment `Default` of the project, which stands for MLflow's experiment `0`."""
    return named(unit, EXPERIMENT, project_of(unit, workspace), DEFAULT)


def add_default_experiment(unit: Unit, workspace: str) -> str:
    """Creates the experiment `Default` of the project unless it exists. Returns its id."""
    if row := default_experiment(unit, workspace):
        return row.id
    with unit.part(EXPERIMENT, "create"):
        return _created(unit, workspace, DEFAULT, {}).id


def experiment_id(unit: Unit, workspace: str, id: str) -> str:
    """Returns the id of an experiment. MLflow's experiment `0` is created when something is stored in it."""
    if id != "0":
        return id
    if unit.writes:
        return add_default_experiment(unit, workspace)
    default = default_experiment(unit, workspace)
    return default.id if default else id


def _created(unit: Unit, workspace: str, name: str, tags: dict[str, str]) -> Experiment:
    spec = validated(ExperimentSpec, {"title": name, "tags": tags})
    draft = Draft[ExperimentSpec](name=derived_name(spec.title), project_id=project_of(unit, workspace), spec=spec)
    return standard.create(unit, EXPERIMENT, draft)


async def _changed(call: MlflowCall, id: str, change: dict[str, Any]) -> None:
    body = validated(Change[ExperimentSpec], change)
    await call.write("update_experiment", lambda unit: standard.update(unit, EXPERIMENT, _id(unit, call, id), body))


def _id(unit: Unit, call: MlflowCall, id: str) -> str:
    return _require(unit, call, id).id if id == "0" else id


def _require(unit: Unit, call: MlflowCall, id: str) -> Stored:
    if id == "0":
        default = default_experiment(unit, call.workspace)
        if default is None:
            raise NotFound("The experiment Default is created with its first run.")
        return default
    select = standard.visible(unit, EXPERIMENT, deleted=True)
    row = unit.connection.execute(select.where(RESOURCE.c.id == id)).first()
    if row is None:
        raise NotFound(f"No Experiment with id={id[:64]} exists")
    return store.stored(row)


def _rendered(row: Stored) -> dict[str, Any]:
    experiment = EXPERIMENT.resource(row)
    return {
        "experiment_id": experiment.id,
        "name": mlflow_name(experiment),
        "artifact_location": f"mlflow-artifacts:/{experiment.id}",
        "lifecycle_stage": "deleted" if experiment.deleted_at else "active",
        "creation_time": int(experiment.created_at.timestamp() * 1000),
        "last_update_time": int(experiment.updated_at.timestamp() * 1000),
        "tags": [{"key": key, "value": value} for key, value in experiment.spec.tags.items()],
    }


def _value(item: dict[str, Any]) -> Any:
    def value(key: Key) -> Any:
        if key.group == "tags":
            return next((tag["value"] for tag in item["tags"] if tag["key"] == key.name), None)
        name = {"id": "experiment_id"}.get(key.name, key.name)
        if key.group or name not in ("name", "experiment_id", "creation_time", "last_update_time"):
            raise invalid(str(key), "is not an attribute of experiments: name, creation_time, or last_update_time")
        return item[name]

    return value


_PATH = "/api/2.0/mlflow/experiments"
ROUTES = {
    ("POST", f"{_PATH}/create"): create,
    ("GET", f"{_PATH}/get"): get,
    ("GET", f"{_PATH}/get-by-name"): get_by_name,
    ("GET", f"{_PATH}/search"): search,
    ("POST", f"{_PATH}/search"): search,
    ("POST", f"{_PATH}/update"): update,
    ("POST", f"{_PATH}/set-experiment-tag"): set_tag,
    ("POST", f"{_PATH}/delete-experiment-tag"): delete_tag,
    ("POST", f"{_PATH}/delete"): delete,
    ("POST", f"{_PATH}/restore"): restore,
}
