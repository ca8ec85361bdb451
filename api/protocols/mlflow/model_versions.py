"""Versions of registered models as MLflow's model versions."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import sqlalchemy as sa

from api.kernel.kinds.table_kind import Row
from api.kernel.kinds.unit import Unit
from api.kernel.storage.store import Stored
from api.protocols.mlflow.call import MlflowCall, project_of, validated
from api.protocols.mlflow.names import mlflow_name, named
from api.protocols.mlflow.runs import milliseconds, pairs
from api.services.ai_catalog.kinds.logged_model import LOGGED_MODEL
from api.services.ai_catalog.kinds.model_version import (
    MODEL_VERSION,
    ModelVersionChange,
    NewModelVersion,
    create_model_version,
    delete_model_version,
    update_model_version,
)
from api.services.ai_catalog.kinds.model_version_stages import RequestStage, request_model_version_stage
from api.services.ai_catalog.kinds.registered_model import MAX_VERSION, REGISTERED_MODEL, ModelStage
from api.services.ai_catalog.kinds.run import RUN
from api.services.ai_catalog.kinds.stage_request import StageRequest, StageRequestState
from api.services.ai_catalog.logic import search_language
from api.services.ai_catalog.logic.search_language import Key, invalid
from api.services.ai_catalog.model_tables import LOGGED_MODEL as LOGGED_MODELS
from api.services.ai_catalog.model_tables import MODEL_VERSION as TABLE
from api.services.ai_catalog.run_tables import RUN as RUNS
from core.errors import Conflict, InvalidArgument, NotFound, PermissionDenied

_MAX_PAGE = 1000

STAGES = {
    ModelStage.NONE: "None",
    ModelStage.STAGING: "Staging",
    ModelStage.PRODUCTION: "Production",
    ModelStage.ARCHIVED: "Archived",
}
"""Stages as MLflow names them."""

WITHOUT_TAG = {"mlflow.prompt.is_prompt": "false"}
"""What searches see of tags that a model doesn't have. The client excludes prompts by this tag."""


async def create(call: MlflowCall) -> dict[str, Any]:
    """Registers files as the next version of a model. A source without files is refused."""

    def write(unit: Unit) -> dict[str, Any]:
        model = _require_model(unit, call)
        body = {
            "registered_model_id": model.id,
            "source": call.text("source"),
            "description": call.text("description", ""),
            "tags": call.tags(),
        }
        made = create_model_version(unit, validated(NewModelVersion, body))
        return rendered_version(model, numbered(unit, model, made.version))

    return {"model_version": await call.write("create_model_version", write)}


async def get(call: MlflowCall) -> dict[str, Any]:
    """Returns a version."""
    number = call.number("version")

    def read(unit: Unit) -> dict[str, Any]:
        model = _require_model(unit, call)
        return rendered_version(model, numbered(unit, model, number))

    return {"model_version": await call.read("get_model_version", read)}


async def update(call: MlflowCall) -> dict[str, Any]:
    """Changes the description of a version."""
    return await _changed(call, {"description": call.text("description", "")})


async def set_tag(call: MlflowCall) -> dict[str, Any]:
    """Sets a tag."""
    await _changed(call, {"tags": {call.text("key"): call.text("value", "")}})
    return {}


async def delete_tag(call: MlflowCall) -> dict[str, Any]:
    """Removes a tag."""
    await _changed(call, {"tags": {call.text("key"): None}})
    return {}


async def delete(call: MlflowCall) -> dict[str, Any]:
    """Deletes a version."""
    number = call.number("version")

    def write(unit: Unit) -> None:
        id = numbered(unit, _require_model(unit, call), number).id
        unit.call.subject = id
        delete_model_version(unit, MODEL_VERSION.row(unit, id, "delete"))

    await call.write("delete_model_version", write)
    return {}


async def transition_stage(call: MlflowCall) -> dict[str, Any]:
    """Moves a version to a stage.

    If the policy of the model requires an approval, this makes a request, and the answer is an error that names it.
    """
    number, stage = call.number("version"), stage_of(call.text("stage"))
    archive = call.values.get("archive_existing_versions") in (True, "true")

    def write(unit: Unit) -> tuple[dict[str, Any], StageRequest | None]:
        model = _require_model(unit, call)
        row = numbered(unit, model, number)
        if row.stage == stage.value:
            return rendered_version(model, row), None
        version = MODEL_VERSION.row(unit, row.id, "request-stage")
        made = request_model_version_stage(unit, version, RequestStage(stage=stage, archive_existing=archive))
        return rendered_version(model, numbered(unit, model, number)), made

    try:
        version, made = await call.write("request_stage_model_version", write)
    except Conflict as error:
        raise InvalidArgument(error.detail, metadata=error.metadata) from None
    if made is not None and made.state is StageRequestState.OPEN:
        raise PermissionDenied(
            f"The stage {STAGES[stage]} needs {made.approvals} approval(s), so the request {made.id} was made. "
            f"A principal that may approve posts to /api/v1/ai-catalog/model-versions/{made.model_version_id}:approve."
        )
    return {"model_version": version}


async def download_uri(call: MlflowCall) -> dict[str, Any]:
    """Returns where the files of a version are."""
    number = call.number("version")

    def read(unit: Unit) -> dict[str, Any]:
        row = numbered(unit, _require_model(unit, call), number)
        table = LOGGED_MODELS if row.parent_id.startswith(f"{LOGGED_MODEL.prefix}_") else RUNS
        kind = LOGGED_MODEL if table is LOGGED_MODELS else RUN
        select = sa.select(table.c.experiment_id).where(table.c.id == row.parent_id, kind.visible(unit))
        experiment = unit.connection.execute(select).scalar()
        path = f"/{row.path}" if row.path else ""
        return {"artifact_uri": f"mlflow-artifacts:/{experiment}/{row.parent_id}/artifacts{path}"}

    return await call.read("get_model_version", read)


async def search(call: MlflowCall) -> dict[str, Any]:
    """Searches versions by the name of their model, their run, and tags, newest first."""
    condition = search_language.parse(call.text("filter", ""))
    size = min(max(call.number("max_results", 1000), 1), _MAX_PAGE)
    token = call.text("page_token", "")
    orders = [search_language.parse_order(str(one)) for one in call.list("order_by")]

    def read(unit: Unit) -> dict[str, Any]:
        select = sa.select(TABLE).where(MODEL_VERSION.visible(unit), MODEL_VERSION.present())
        if call.workspace:
            select = select.where(TABLE.c.project_id == project_of(unit, call.workspace))
        rows = unit.connection.execute(select.order_by(TABLE.c.id.desc())).all()
        models = _models(unit, {row.registered_model_id for row in rows})
        known = [rendered_version(models[id], row) for row in rows if (id := row.registered_model_id) in models]
        found = [one for one in known if search_language.matches(condition, partial(_value, one))]
        for key, descending in reversed(orders):
            found.sort(key=lambda one: _value(one, key) or "", reverse=descending)
        marks = [f"{one['name']}/{one['version']}" for one in found]
        if token and token not in marks:
            raise InvalidArgument("page_token is not valid for this search.")
        start = marks.index(token) + 1 if token else 0
        page = found[start : start + size]
        rest = {"next_page_token": marks[start + size - 1]} if len(found) > start + size else {}
        return {"model_versions": page, **rest}

    return await call.read("list_model_versions", read)


def rendered_version(model: Stored, row: Row) -> dict[str, Any]:
    """Returns a version of a model as MLflow writes it."""
    resource = REGISTERED_MODEL.resource(model)
    logged = row.parent_id if row.parent_id.startswith(f"{LOGGED_MODEL.prefix}_") else ""
    return {
        "name": mlflow_name(resource),
        "version": str(row.version),
        "creation_timestamp": milliseconds(row.created_at),
        "last_updated_timestamp": milliseconds(row.updated_at),
        "user_id": row.created_by,
        "current_stage": STAGES[ModelStage(row.stage)],
        "description": row.description,
        "source": row.source,
        "run_id": row.run_id or "",
        "status": "READY",
        "tags": pairs(row.tags),
        "aliases": [name for name, number in resource.status.aliases.items() if number == row.version],
        **({"model_id": logged} if logged else {}),
    }


def numbered(unit: Unit, model: Stored, number: int) -> Row:
    """Returns a version by its number. Raises `NotFound` if there is none."""
    select = sa.select(TABLE).where(
        TABLE.c.registered_model_id == model.id,
        TABLE.c.version == number,
        MODEL_VERSION.visible(unit),
        MODEL_VERSION.present(),
    )
    row = unit.connection.execute(select).first() if 0 < number <= MAX_VERSION else None
    if row is None:
        name = mlflow_name(REGISTERED_MODEL.resource(model))
        raise NotFound(f"Model Version (name={name}, version={number}) not found")
    return row


def latest(unit: Unit, model: str, stages: Sequence[ModelStage] = tuple(ModelStage)) -> Sequence[Row]:
    """Returns the newest version of a model at each of these stages, as far as there is one."""
    select = sa.select(TABLE).where(
        TABLE.c.registered_model_id == model, MODEL_VERSION.visible(unit), MODEL_VERSION.present()
    )
    numbers = select.with_only_columns(sa.func.max(TABLE.c.version)).group_by(TABLE.c.stage)
    of_stages = numbers.where(TABLE.c.stage.in_([stage.value for stage in stages]))
    return unit.connection.execute(select.where(TABLE.c.version.in_(of_stages)).order_by(TABLE.c.version)).all()


def stage_of(text: str) -> ModelStage:
    """Returns the stage that MLflow names, in upper or lower case."""
    for stage, name in STAGES.items():
        if text.lower() == name.lower():
            return stage
    raise InvalidArgument(
        f"Invalid Model Version stage: {text[:50]}. Value must be one of {', '.join(STAGES.values())}."
    )


def _require_model(unit: Unit, call: MlflowCall) -> Stored:
    name = call.text("name")
    row = named(unit, REGISTERED_MODEL, project_of(unit, call.workspace), name)
    if row is None:
        raise NotFound(f"Registered Model with name={name[:256]} not found")
    return row


def _models(unit: Unit, ids: set[str]) -> dict[str, Stored]:
    found = {}
    for id in ids:
        row = unit.find(REGISTERED_MODEL, id)
        if row is not None and not row.deleted_at and unit.allows(REGISTERED_MODEL.permission("get"), row.securable):
            found[id] = row
    return found


async def _changed(call: MlflowCall, change: dict[str, Any]) -> dict[str, Any]:
    number, body = call.number("version"), validated(ModelVersionChange, change)

    def write(unit: Unit) -> dict[str, Any]:
        model = _require_model(unit, call)
        id = numbered(unit, model, number).id
        unit.call.subject = id
        update_model_version(unit, MODEL_VERSION.row(unit, id, "update"), body)
        return rendered_version(model, numbered(unit, model, number))

    return {"model_version": await call.write("update_model_version", write)}


def _value(one: dict[str, Any], key: Key) -> Any:
    if key.group == "tags":
        return next((tag["value"] for tag in one["tags"] if tag["key"] == key.name), WITHOUT_TAG.get(key.name))
    names = {"source_path": "source", "version_number": "version"}
    attributes = ("name", "run_id", "source_path", "version_number", "creation_timestamp", "last_updated_timestamp")
    if key.group or key.name not in attributes:
        raise invalid(str(key), f"is not an attribute of model versions. Attributes are {', '.join(attributes)}")
    found = one[names.get(key.name, key.name)]
    return int(found) if key.name == "version_number" else found


_PATH = "/api/2.0/mlflow/model-versions"
ROUTES = {
    ("POST", f"{_PATH}/create"): create,
    ("GET", f"{_PATH}/get"): get,
    ("PATCH", f"{_PATH}/update"): update,
    ("POST", f"{_PATH}/set-tag"): set_tag,
    ("DELETE", f"{_PATH}/delete-tag"): delete_tag,
    ("DELETE", f"{_PATH}/delete"): delete,
    ("POST", f"{_PATH}/transition-stage"): transition_stage,
    ("GET", f"{_PATH}/get-download-uri"): download_uri,
    ("GET", f"{_PATH}/search"): search,
}
