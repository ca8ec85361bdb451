"""Registered models of the AI catalog as MLflow's registered models, with their aliases."""

from __future__ import annotations

from functools import partial
from typing import Any

from api.kernel.kinds import standard
from api.kernel.kinds.resource import Change, Draft
from api.kernel.kinds.unit import Unit
from api.kernel.storage import store
from api.kernel.storage.store import Stored
from api.kernel.tables import RESOURCE
from api.protocols.mlflow.call import MlflowCall, project_of, validated
from api.protocols.mlflow.model_versions import WITHOUT_TAG, latest, numbered, rendered_version, stage_of
from api.protocols.mlflow.names import mlflow_name, named, normal
from api.protocols.mlflow.runs import milliseconds, pairs
from api.services.ai_catalog.kinds.registered_model import (
    REGISTERED_MODEL,
    ModelStage,
    RegisteredModelSpec,
    RemoveAlias,
    SetAlias,
    remove_registered_model_alias,
    set_registered_model_alias,
)
from api.services.ai_catalog.logic import search_language
from api.services.ai_catalog.logic.derived_names import derived_name
from api.services.ai_catalog.logic.search_language import Key, invalid
from core.errors import InvalidArgument, NotFound

_MAX_PAGE = 1000


async def create(call: MlflowCall) -> dict[str, Any]:
    """Registers a model in the project of the request."""
    name, description, tags = normal(call.text("name")), call.text("description", ""), call.tags()
    if "/" in name or ":" in name:
        raise InvalidArgument("The name of a registered model must not contain / or :.")

    def write(unit: Unit) -> dict[str, Any]:
        spec = validated(RegisteredModelSpec, {"title": name, "description": description, "tags": tags})
        draft = Draft[RegisteredModelSpec](
            name=derived_name(name), project_id=project_of(unit, call.workspace), spec=spec
        )
        made = standard.create(unit, REGISTERED_MODEL, draft)
        return _rendered(unit, unit.row(REGISTERED_MODEL, made.id))

    return {"registered_model": await call.write("create_registered_model", write)}


async def get(call: MlflowCall) -> dict[str, Any]:
    """Returns a registered model by its name."""
    return {
        "registered_model": await call.read(
            "get_registered_model", lambda unit: _rendered(unit, require_model(unit, call))
        )
    }


async def update(call: MlflowCall) -> dict[str, Any]:
    """Changes the description."""
    return await _changed(call, {"spec": {"description": call.text("description", "")}})


async def rename(call: MlflowCall) -> dict[str, Any]:
    """Renames a registered model."""
    name = normal(call.text("new_name"))
    if "/" in name or ":" in name:
        raise InvalidArgument("The name of a registered model must not contain / or :.")
    return await _changed(call, {"name": derived_name(name), "spec": {"title": name}})


async def set_tag(call: MlflowCall) -> dict[str, Any]:
    """Sets a tag."""
    await _changed(call, {"spec": {"tags": {call.text("key"): call.text("value", "")}}})
    return {}


async def delete_tag(call: MlflowCall) -> dict[str, Any]:
    """Removes a tag."""
    await _changed(call, {"spec": {"tags": {call.text("key"): None}}})
    return {}


async def delete(call: MlflowCall) -> dict[str, Any]:
    """Deletes a registered model with its versions."""
    await call.write(
        "delete_registered_model",
        lambda unit: standard.delete(unit, REGISTERED_MODEL, require_model(unit, call).id),
    )
    return {}


async def search(call: MlflowCall) -> dict[str, Any]:
    """Searches registered models by name and tags, in the order of their names."""
    condition = search_language.parse(call.text("filter", ""))
    orders = [search_language.parse_order(str(one)) for one in call.list("order_by")]
    size = min(max(call.number("max_results", 100), 1), _MAX_PAGE)
    token = call.text("page_token", "")

    def read(unit: Unit) -> dict[str, Any]:
        select = standard.visible(unit, REGISTERED_MODEL)
        if call.workspace:
            select = select.where(RESOURCE.c.project_id == project_of(unit, call.workspace))
        rows = [store.stored(row) for row in unit.connection.execute(select)]
        found = [row for row in rows if search_language.matches(condition, partial(_value, row))]
        found.sort(key=lambda row: (mlflow_name(REGISTERED_MODEL.resource(row)), row.id))
        for key, descending in reversed(orders):
            found.sort(key=lambda row: _value(row, key), reverse=descending)
        ids = [row.id for row in found]
        if token and token not in ids:
            raise InvalidArgument("page_token is not valid for this search.")
        start = ids.index(token) + 1 if token else 0
        page = found[start : start + size]
        rest = {"next_page_token": page[-1].id} if len(found) > start + size else {}
        return {"registered_models": [_rendered(unit, row) for row in page], **rest}

    return await call.read("list_registered_models", read)


async def latest_versions(call: MlflowCall) -> dict[str, Any]:
    """Returns the newest version at each stage, or at each of the stages that the client names."""
    stages = [stage_of(str(one)) for one in call.list("stages")] or list(ModelStage)

    def read(unit: Unit) -> dict[str, Any]:
        row = require_model(unit, call)
        return {"model_versions": [rendered_version(row, one) for one in latest(unit, row.id, stages)]}

    return await call.read("list_model_versions", read)


async def set_alias(call: MlflowCall) -> dict[str, Any]:
    """Makes an alias name a version."""
    body = validated(SetAlias, {"alias": call.text("alias"), "version": call.number("version")})

    def write(unit: Unit) -> None:
        row = require_model(unit, call)
        unit.require(REGISTERED_MODEL.permission("set-alias"), row.securable)
        unit.subject(row)
        model = set_registered_model_alias(unit, REGISTERED_MODEL.resource(row), body)
        standard.write(unit, REGISTERED_MODEL, row, model, "set-alias")

    await call.write("set_alias_registered_model", write)
    return {}


async def delete_alias(call: MlflowCall) -> dict[str, Any]:
    """Removes an alias."""
    body = validated(RemoveAlias, {"alias": call.text("alias")})

    def write(unit: Unit) -> None:
        row = require_model(unit, call)
        unit.require(REGISTERED_MODEL.permission("remove-alias"), row.securable)
        unit.subject(row)
        model = remove_registered_model_alias(unit, REGISTERED_MODEL.resource(row), body)
        standard.write(unit, REGISTERED_MODEL, row, model, "remove-alias")

    await call.write("remove_alias_registered_model", write)
    return {}


async def get_by_alias(call: MlflowCall) -> dict[str, Any]:
    """Returns the version that an alias names."""
    alias = call.text("alias")

    def read(unit: Unit) -> dict[str, Any]:
        row = require_model(unit, call)
        number = REGISTERED_MODEL.resource(row).status.aliases.get(alias)
        if number is None:
            raise NotFound(f"Registered model alias {alias[:64]} not found.")
        return {"model_version": rendered_version(row, numbered(unit, row, number))}

    return await call.read("list_model_versions", read)


def require_model(unit: Unit, call: MlflowCall) -> Stored:
    """Returns the registered model that a request names.

    Raises:
        NotFound: there is none in the project of the request that the caller can see.
    """
    name = call.text("name")
    row = named(unit, REGISTERED_MODEL, project_of(unit, call.workspace), name)
    if row is None:
        raise NotFound(f"Registered Model with name={name[:256]} not found")
    return unit.row(REGISTERED_MODEL, row.id)


async def _changed(call: MlflowCall, change: dict[str, Any]) -> dict[str, Any]:
    body = validated(Change[RegisteredModelSpec], change)

    def write(unit: Unit) -> dict[str, Any]:
        made = standard.update(unit, REGISTERED_MODEL, require_model(unit, call).id, body)
        return _rendered(unit, unit.row(REGISTERED_MODEL, made.id))

    return {"registered_model": await call.write("update_registered_model", write)}


def _rendered(unit: Unit, row: Stored) -> dict[str, Any]:
    model = REGISTERED_MODEL.resource(row)
    return {
        "name": mlflow_name(model),
        "creation_timestamp": milliseconds(model.created_at),
        "last_updated_timestamp": milliseconds(model.updated_at),
        "description": model.spec.description,
        "latest_versions": [rendered_version(row, one) for one in latest(unit, row.id)],
        "tags": pairs(model.spec.tags),
        "aliases": [{"alias": name, "version": str(number)} for name, number in model.status.aliases.items()],
    }


def _value(row: Stored, key: Key) -> Any:
    model = REGISTERED_MODEL.resource(row)
    if key.group == "tags":
        return model.spec.tags.get(key.name, WITHOUT_TAG.get(key.name))
    attributes = {
        "name": mlflow_name(model),
        "creation_timestamp": milliseconds(model.created_at),
        "last_updated_timestamp": milliseconds(model.updated_at),
        "timestamp": milliseconds(model.updated_at),
    }
    if key.group or key.name not in attributes:
        raise invalid(str(key), f"is not an attribute of registered models. Attributes are {', '.join(attributes)}")
    return attributes[key.name]


_PATH = "/api/2.0/mlflow/registered-models"
ROUTES = {
    ("POST", f"{_PATH}/create"): create,
    ("GET", f"{_PATH}/get"): get,
    ("PATCH", f"{_PATH}/update"): update,
    ("POST", f"{_PATH}/rename"): rename,
    ("POST", f"{_PATH}/set-tag"): set_tag,
    ("DELETE", f"{_PATH}/delete-tag"): delete_tag,
    ("DELETE", f"{_PATH}/delete"): delete,
    ("GET", f"{_PATH}/search"): search,
    ("GET", f"{_PATH}/get-latest-versions"): latest_versions,
    ("POST", f"{_PATH}/get-latest-versions"): latest_versions,
    ("POST", f"{_PATH}/alias"): set_alias,
    ("DELETE", f"{_PATH}/alias"): delete_alias,
    ("GET", f"{_PATH}/alias"): get_by_alias,
}
