"""Prompts of the AI catalog as MLflow's registered models with a tag."""

from __future__ import annotations

from functools import partial
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
from api.protocols.mlflow.prompt_versions import (
    IS_PROMPT,
    OWN_TAGS,
    foreign_tags,
    numbered,
    rendered_version,
    require_prompt,
    visible_versions,
)
from api.protocols.mlflow.runs import milliseconds, pairs
from api.services.ai_catalog.kinds.prompt import (
    PROMPT,
    PromptSpec,
    RemovePromptAlias,
    SetPromptAlias,
    remove_prompt_alias,
    set_prompt_alias,
)
from api.services.ai_catalog.kinds.registered_model import REGISTERED_MODEL
from api.services.ai_catalog.logic import search_language
from api.services.ai_catalog.logic.derived_names import derived_name
from api.services.ai_catalog.logic.search_language import Key, invalid
from api.services.ai_catalog.prompt_tables import PROMPT_VERSION as TABLE
from core.errors import Conflict, InvalidArgument, NotFound

_MAX_PAGE = 1000


async def create(call: MlflowCall) -> dict[str, Any]:
    """Creates a prompt in the project of the request."""
    name, description, tags = normal(call.text("name")), call.text("description", ""), foreign_tags(call.tags())
    if "/" in name or ":" in name:
        raise InvalidArgument("The name of a prompt must not contain / or :.")

    def write(unit: Unit) -> dict[str, Any]:
        project = project_of(unit, call.workspace)
        if named(unit, REGISTERED_MODEL, project, name) is not None:
            raise Conflict(f"A registered model has the name {name[:256]}. Choose another name for the prompt.")
        spec = validated(PromptSpec, {"title": name, "description": description, "tags": tags})
        made = standard.create(unit, PROMPT, Draft[PromptSpec](name=derived_name(name), project_id=project, spec=spec))
        return _rendered(unit, unit.row(PROMPT, made.id))

    return {"registered_model": await call.write("create_prompt", write)}


async def get(call: MlflowCall) -> dict[str, Any]:
    """Returns a prompt by its name."""
    return {"registered_model": await call.read("get_prompt", lambda unit: _rendered(unit, require_prompt(unit, call)))}


async def update(call: MlflowCall) -> dict[str, Any]:
    """Changes the description."""
    return await _changed(call, {"spec": {"description": call.text("description", "")}})


async def set_tag(call: MlflowCall) -> dict[str, Any]:
    """Sets a tag. The client sets the tag that makes it a prompt, too."""
    if (key := call.text("key")) not in OWN_TAGS:
        await _changed(call, {"spec": {"tags": {key: call.text("value", "")}}})
    return {}


async def delete_tag(call: MlflowCall) -> dict[str, Any]:
    """Removes a tag."""
    await _changed(call, {"spec": {"tags": {call.text("key"): None}}})
    return {}


async def delete(call: MlflowCall) -> dict[str, Any]:
    """Deletes a prompt with its versions."""
    await call.write("delete_prompt", lambda unit: standard.delete(unit, PROMPT, require_prompt(unit, call).id))
    return {}


async def search(call: MlflowCall) -> dict[str, Any]:
    """Searches prompts by name and tags, in the order of their names."""
    condition = search_language.parse(call.text("filter", ""))
    size = min(max(call.number("max_results", 100), 1), _MAX_PAGE)
    token = call.text("page_token", "")

    def read(unit: Unit) -> dict[str, Any]:
        select = standard.visible(unit, PROMPT)
        if call.workspace:
            select = select.where(RESOURCE.c.project_id == project_of(unit, call.workspace))
        rows = [store.stored(row) for row in unit.connection.execute(select)]
        found = [row for row in rows if search_language.matches(condition, partial(_value, row))]
        found.sort(key=lambda row: (mlflow_name(PROMPT.resource(row)), row.id))
        ids = [row.id for row in found]
        if token and token not in ids:
            raise InvalidArgument("page_token is not valid for this search.")
        start = ids.index(token) + 1 if token else 0
        page = found[start : start + size]
        rest = {"next_page_token": page[-1].id} if len(found) > start + size else {}
        return {"registered_models": [_rendered(unit, row) for row in page], **rest}

    return await call.read("list_prompts", read)


async def set_alias(call: MlflowCall) -> dict[str, Any]:
    """Makes an alias name a version."""
    body = validated(SetPromptAlias, {"alias": call.text("alias"), "version": call.number("version")})

    def write(unit: Unit) -> None:
        row = require_prompt(unit, call)
        unit.require(PROMPT.permission("set-alias"), row.securable)
        unit.subject(row)
        standard.write(unit, PROMPT, row, set_prompt_alias(unit, PROMPT.resource(row), body), "set-alias")

    await call.write("set_alias_prompt", write)
    return {}


async def delete_alias(call: MlflowCall) -> dict[str, Any]:
    """Removes an alias."""
    body = validated(RemovePromptAlias, {"alias": call.text("alias")})

    def write(unit: Unit) -> None:
        row = require_prompt(unit, call)
        unit.require(PROMPT.permission("remove-alias"), row.securable)
        unit.subject(row)
        standard.write(unit, PROMPT, row, remove_prompt_alias(unit, PROMPT.resource(row), body), "remove-alias")

    await call.write("remove_alias_prompt", write)
    return {}


async def get_by_alias(call: MlflowCall) -> dict[str, Any]:
    """Returns the version that an alias names."""
    alias = call.text("alias")

    def read(unit: Unit) -> dict[str, Any]:
        row = require_prompt(unit, call)
        number = PROMPT.resource(row).status.aliases.get(alias)
        if alias == "latest":  # reserved: the client asks for the newest version by it
            newest = sa.select(sa.func.max(TABLE.c.version)).where(*visible_versions(unit), TABLE.c.prompt_id == row.id)
            number = unit.connection.execute(newest).scalar()
        if number is None:
            raise NotFound(f"Registered model alias {alias[:64]} not found.")
        return {"model_version": rendered_version(row, numbered(unit, row, number))}

    return await call.read("list_prompt_versions", read)


def find(unit: Unit, call: MlflowCall, name: str) -> Stored | None:
    """Returns the prompt with a name in the project of the request, if the caller can see it."""
    try:
        project = project_of(unit, call.workspace)
    except (InvalidArgument, NotFound):
        return None  # the handler of models reports it
    return named(unit, PROMPT, project, name)


async def _changed(call: MlflowCall, change: dict[str, Any]) -> dict[str, Any]:
    body = validated(Change[PromptSpec], change)

    def write(unit: Unit) -> dict[str, Any]:
        made = standard.update(unit, PROMPT, require_prompt(unit, call).id, body)
        return _rendered(unit, unit.row(PROMPT, made.id))

    return {"registered_model": await call.write("update_prompt", write)}


def _rendered(unit: Unit, row: Stored) -> dict[str, Any]:
    prompt = PROMPT.resource(row)
    newest = (
        sa.select(TABLE).where(*visible_versions(unit), TABLE.c.prompt_id == row.id).order_by(TABLE.c.version.desc())
    )
    versions = unit.connection.execute(newest.limit(1)).all()
    return {
        "name": mlflow_name(prompt),
        "creation_timestamp": milliseconds(prompt.created_at),
        "last_updated_timestamp": milliseconds(prompt.updated_at),
        "description": prompt.spec.description,
        "latest_versions": [rendered_version(row, one) for one in versions],
        "tags": pairs({IS_PROMPT: "true", **prompt.spec.tags}),
        "aliases": [{"alias": name, "version": str(number)} for name, number in prompt.status.aliases.items()],
    }


def _value(row: Stored, key: Key) -> Any:
    prompt = PROMPT.resource(row)
    if key.group == "tags":
        return "true" if key.name == IS_PROMPT else prompt.spec.tags.get(key.name)
    attributes = {"name": mlflow_name(prompt), "creation_timestamp": milliseconds(prompt.created_at)}
    if key.group or key.name not in attributes:
        raise invalid(str(key), f"is not an attribute of prompts. Attributes are {', '.join(attributes)}")
    return attributes[key.name]
