"""Prompts of the AI catalog as MLflow's client reads and writes them.

MLflow stores prompts as registered models and model versions with certain tags. The routes of both decide by the tag of
the request, or by the name, whether it is about a prompt.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

import sqlalchemy as sa

from api.kernel.kinds import standard
from api.kernel.kinds.resource import Change, Draft
from api.kernel.kinds.table_kind import Row
from api.kernel.kinds.unit import Unit
from api.kernel.storage import store
from api.kernel.storage.store import Stored
from api.kernel.tables import RESOURCE
from api.protocols.mlflow.call import MlflowCall, project_of, validated
from api.protocols.mlflow.names import mlflow_name, named, normal
from api.protocols.mlflow.runs import milliseconds, pairs
from api.services.ai_catalog.kinds.prompt import (
    PROMPT,
    PromptSpec,
    RemovePromptAlias,
    SetPromptAlias,
    numbered_prompt,
    remove_prompt_alias,
    set_prompt_alias,
)
from api.services.ai_catalog.kinds.prompt_version import (
    PROMPT_VERSION,
    NewPromptVersion,
    PromptVersionChange,
    create_prompt_version,
    delete_prompt_version,
    update_prompt_version,
)
from api.services.ai_catalog.kinds.registered_model import MAX_VERSION, REGISTERED_MODEL
from api.services.ai_catalog.logic import search_language
from api.services.ai_catalog.logic.derived_names import derived_name
from api.services.ai_catalog.logic.search_language import Key, invalid
from api.services.ai_catalog.prompt_tables import PROMPT_VERSION as TABLE
from core.errors import Conflict, InvalidArgument, NotFound

IS_PROMPT = "mlflow.prompt.is_prompt"
TEXT, TYPE = "mlflow.prompt.text", "_mlflow_prompt_type"
FORMAT, SETTINGS = "_mlflow_prompt_response_format", "_mlflow_prompt_model_config"
_OWN = (IS_PROMPT, TEXT, TYPE, FORMAT, SETTINGS)
"""Tags that stand for fields of a prompt."""

Handler = Callable[[MlflowCall], Awaitable[dict[str, Any]]]
Route = tuple[str, str]
_MAX_PAGE = 1000


def routes(models: Mapping[Route, Handler], versions: Mapping[Route, Handler]) -> dict[Route, Handler]:
    """Returns the routes of models and versions, which are about prompts as well."""
    combined = {**models, **versions}
    for (method, path), prompts in _PROMPTS.items():
        route = method, f"/api/2.0/mlflow/{path}"
        combined[route] = _CHOICES.get(path, _by_name)(combined[route], prompts)
    return combined


def _by_name(models: Handler, prompts: Handler) -> Handler:
    """Returns the handler of a request that is about a prompt if a prompt has its name."""

    async def handle(call: MlflowCall) -> dict[str, Any]:
        return await (prompts if await _is_prompt(call) else models)(call)

    return handle


def _by_tag(models: Handler, prompts: Handler) -> Handler:
    """Returns the handler of a request that creates a prompt if its tags say so. Models and prompts share names."""

    async def handle(call: MlflowCall) -> dict[str, Any]:
        if call.tags().get(IS_PROMPT) == "true":
            return await prompts(call)
        if await _is_prompt(call):
            raise Conflict(f"A prompt has the name {call.text('name')[:256]}. Choose another name for the model.")
        return await models(call)

    return handle


def _by_filter(models: Handler, prompts: Handler) -> Handler:
    """Returns the handler of a search for prompts if its filter requires their tag."""

    async def handle(call: MlflowCall) -> dict[str, Any]:
        compared = search_language.comparisons(search_language.parse(call.text("filter", "")))
        wanted = any(one.key.name == IS_PROMPT and one.operator == "=" and one.value == "true" for one in compared)
        return await (prompts if wanted else models)(call)

    return handle


async def _is_prompt(call: MlflowCall) -> bool:
    name = call.values.get("name")
    if not isinstance(name, str):
        return False
    return await call.read("get_prompt", lambda unit: _find(unit, call, name) is not None)


async def create(call: MlflowCall) -> dict[str, Any]:
    """Creates a prompt in the project of the request."""
    name, description, tags = normal(call.text("name")), call.text("description", ""), _foreign(call.tags())
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
    return {"registered_model": await call.read("get_prompt", lambda unit: _rendered(unit, _require(unit, call)))}


async def update(call: MlflowCall) -> dict[str, Any]:
    """Changes the description."""
    return await _changed(call, {"spec": {"description": call.text("description", "")}})


async def set_tag(call: MlflowCall) -> dict[str, Any]:
    """Sets a tag. The client sets the tag that makes it a prompt, too."""
    if (key := call.text("key")) not in _OWN:
        await _changed(call, {"spec": {"tags": {key: call.text("value", "")}}})
    return {}


async def delete_tag(call: MlflowCall) -> dict[str, Any]:
    """Removes a tag."""
    await _changed(call, {"spec": {"tags": {call.text("key"): None}}})
    return {}


async def delete(call: MlflowCall) -> dict[str, Any]:
    """Deletes a prompt with its versions."""
    await call.write("delete_prompt", lambda unit: standard.delete(unit, PROMPT, _require(unit, call).id))
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
        row = _require(unit, call)
        unit.require(PROMPT.permission("set-alias"), row.securable)
        unit.subject(row)
        standard.write(unit, PROMPT, row, set_prompt_alias(unit, PROMPT.resource(row), body), "set-alias")

    await call.write("set_alias_prompt", write)
    return {}


async def delete_alias(call: MlflowCall) -> dict[str, Any]:
    """Removes an alias."""
    body = validated(RemovePromptAlias, {"alias": call.text("alias")})

    def write(unit: Unit) -> None:
        row = _require(unit, call)
        unit.require(PROMPT.permission("remove-alias"), row.securable)
        unit.subject(row)
        standard.write(unit, PROMPT, row, remove_prompt_alias(unit, PROMPT.resource(row), body), "remove-alias")

    await call.write("remove_alias_prompt", write)
    return {}


async def get_by_alias(call: MlflowCall) -> dict[str, Any]:
    """Returns the version that an alias names."""
    alias = call.text("alias")

    def read(unit: Unit) -> dict[str, Any]:
        row = _require(unit, call)
        number = PROMPT.resource(row).status.aliases.get(alias)
        if alias == "latest":  # reserved: the client asks for the newest version by it
            newest = sa.select(sa.func.max(TABLE.c.version)).where(*_visible(unit), TABLE.c.prompt_id == row.id)
            number = unit.connection.execute(newest).scalar()
        if number is None:
            raise NotFound(f"Registered model alias {alias[:64]} not found.")
        return {"model_version": _rendered_version(row, _numbered(unit, row, number))}

    return await call.read("list_prompt_versions", read)


async def create_version(call: MlflowCall) -> dict[str, Any]:
    """Creates the next version of a prompt from the tags that hold its text and settings."""
    tags = call.tags()
    text = tags.get(TEXT, "")
    content = _json(text, "the messages") if tags.get(TYPE) == "chat" else [{"content": text}]

    def write(unit: Unit) -> dict[str, Any]:
        row = _require(unit, call)
        body = {
            "prompt_id": row.id,
            "messages": content,
            "response_format": _json(tags[FORMAT], "the response format") if FORMAT in tags else None,
            "settings": _json(tags[SETTINGS], "the model configuration") if SETTINGS in tags else None,
            "description": call.text("description", ""),
            "tags": _foreign(tags),
        }
        made = create_prompt_version(unit, validated(NewPromptVersion, body))
        return _rendered_version(row, _numbered(unit, row, made.version))

    return {"model_version": await call.write("create_prompt_version", write)}


async def get_version(call: MlflowCall) -> dict[str, Any]:
    """Returns a version."""
    number = call.number("version")

    def read(unit: Unit) -> dict[str, Any]:
        row = _require(unit, call)
        return {"model_version": _rendered_version(row, _numbered(unit, row, number))}

    return await call.read("get_prompt_version", read)


async def update_version(call: MlflowCall) -> dict[str, Any]:
    """Changes the description of a version."""
    return await _changed_version(call, {"description": call.text("description", "")})


async def set_version_tag(call: MlflowCall) -> dict[str, Any]:
    """Sets a tag of a version. Its text and settings never change."""
    key = call.text("key")
    if key in _OWN:
        raise InvalidArgument(f"The tag {key} is a part of the version, which never changes. Create another version.")
    await _changed_version(call, {"tags": {key: call.text("value", "")}})
    return {}


async def delete_version_tag(call: MlflowCall) -> dict[str, Any]:
    """Removes a tag of a version."""
    await _changed_version(call, {"tags": {call.text("key"): None}})
    return {}


async def delete_version(call: MlflowCall) -> dict[str, Any]:
    """Deletes a version."""
    number = call.number("version")

    def write(unit: Unit) -> None:
        id = _numbered(unit, _require(unit, call), number).id
        unit.call.subject = id
        delete_prompt_version(unit, PROMPT_VERSION.row(unit, id, "delete"))

    await call.write("delete_prompt_version", write)
    return {}


async def search_versions(call: MlflowCall) -> dict[str, Any]:
    """Returns the versions of the prompts that a filter names, newest first."""
    condition = search_language.parse(call.text("filter", ""))
    size = min(max(call.number("max_results", 1000), 1), _MAX_PAGE)

    def read(unit: Unit) -> dict[str, Any]:
        select = standard.visible(unit, PROMPT)
        if call.workspace:
            select = select.where(RESOURCE.c.project_id == project_of(unit, call.workspace))
        prompts = {row.id: store.stored(row) for row in unit.connection.execute(select)}
        versions = [
            _rendered_version(prompts[row.prompt_id], row)
            for row in unit.connection.execute(sa.select(TABLE).where(*_visible(unit)).order_by(TABLE.c.id.desc()))
            if row.prompt_id in prompts
        ]
        found = [one for one in versions if search_language.matches(condition, partial(_version_value, one))]
        return {"model_versions": found[:size]}

    return await call.read("list_prompt_versions", read)


def _find(unit: Unit, call: MlflowCall, name: str) -> Stored | None:
    try:
        project = project_of(unit, call.workspace)
    except (InvalidArgument, NotFound):
        return None  # the handler of models reports it
    return named(unit, PROMPT, project, name)


def _require(unit: Unit, call: MlflowCall) -> Stored:
    name = call.text("name")
    row = named(unit, PROMPT, project_of(unit, call.workspace), name)
    if row is None:
        raise NotFound(f"Prompt with name={name[:256]} not found")
    return unit.row(PROMPT, row.id)


def _numbered(unit: Unit, prompt: Stored, number: int) -> Row:
    if not 0 < number <= MAX_VERSION:
        raise NotFound(f"Prompt version {number} not found")
    return numbered_prompt(unit, PROMPT.resource(prompt), number)


def _visible(unit: Unit) -> tuple[sa.ColumnElement[bool], ...]:
    return PROMPT_VERSION.visible(unit), PROMPT_VERSION.present()


async def _changed(call: MlflowCall, change: dict[str, Any]) -> dict[str, Any]:
    body = validated(Change[PromptSpec], change)

    def write(unit: Unit) -> dict[str, Any]:
        made = standard.update(unit, PROMPT, _require(unit, call).id, body)
        return _rendered(unit, unit.row(PROMPT, made.id))

    return {"registered_model": await call.write("update_prompt", write)}


async def _changed_version(call: MlflowCall, change: dict[str, Any]) -> dict[str, Any]:
    number, body = call.number("version"), validated(PromptVersionChange, change)

    def write(unit: Unit) -> dict[str, Any]:
        prompt = _require(unit, call)
        id = _numbered(unit, prompt, number).id
        unit.call.subject = id
        update_prompt_version(unit, PROMPT_VERSION.row(unit, id, "update"), body)
        return _rendered_version(prompt, _numbered(unit, prompt, number))

    return {"model_version": await call.write("update_prompt_version", write)}


def _rendered(unit: Unit, row: Stored) -> dict[str, Any]:
    prompt = PROMPT.resource(row)
    newest = sa.select(TABLE).where(*_visible(unit), TABLE.c.prompt_id == row.id).order_by(TABLE.c.version.desc())
    versions = unit.connection.execute(newest.limit(1)).all()
    return {
        "name": mlflow_name(prompt),
        "creation_timestamp": milliseconds(prompt.created_at),
        "last_updated_timestamp": milliseconds(prompt.updated_at),
        "description": prompt.spec.description,
        "latest_versions": [_rendered_version(row, one) for one in versions],
        "tags": pairs({IS_PROMPT: "true", **prompt.spec.tags}),
        "aliases": [{"alias": name, "version": str(number)} for name, number in prompt.status.aliases.items()],
    }


def _rendered_version(prompt: Stored, row: Row) -> dict[str, Any]:
    resource = PROMPT.resource(prompt)
    return {
        "name": mlflow_name(resource),
        "version": str(row.version),
        "creation_timestamp": milliseconds(row.created_at),
        "last_updated_timestamp": milliseconds(row.updated_at),
        "user_id": row.created_by,
        "current_stage": "None",
        "description": row.description,
        "source": "prompt-template",
        "run_id": "",
        "status": "READY",
        "tags": pairs(_own_tags(row.messages, row) | row.tags),
        "aliases": [name for name, number in resource.status.aliases.items() if number == row.version],
    }


def _own_tags(messages: Sequence[dict[str, str]], row: Row) -> dict[str, str]:
    is_text = len(messages) == 1 and not messages[0]["role"]
    tags = {
        IS_PROMPT: "true",
        TEXT: messages[0]["content"] if is_text else json.dumps(messages),
        TYPE: "text" if is_text else "chat",
    }
    for key, value in ((FORMAT, row.response_format), (SETTINGS, row.model_config)):
        if value is not None:
            tags[key] = json.dumps(value)
    return tags


def _foreign(tags: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in tags.items() if key not in _OWN}


def _json(text: str, noun: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidArgument(f"The tag with {noun} is not valid JSON.") from None


def _value(row: Stored, key: Key) -> Any:
    prompt = PROMPT.resource(row)
    if key.group == "tags":
        return "true" if key.name == IS_PROMPT else prompt.spec.tags.get(key.name)
    attributes = {"name": mlflow_name(prompt), "creation_timestamp": milliseconds(prompt.created_at)}
    if key.group or key.name not in attributes:
        raise invalid(str(key), f"is not an attribute of prompts. Attributes are {', '.join(attributes)}")
    return attributes[key.name]


def _version_value(one: dict[str, Any], key: Key) -> Any:
    if key.group == "tags":
        return next((tag["value"] for tag in one["tags"] if tag["key"] == key.name), None)
    if key.group or key.name not in ("name", "version_number", "creation_timestamp"):
        raise invalid(str(key), "is not an attribute of versions of prompts. Attributes are name and version_number")
    return int(one["version"]) if key.name == "version_number" else one[key.name]


_PROMPTS: dict[Route, Handler] = {
    ("POST", "registered-models/create"): create,
    ("GET", "registered-models/get"): get,
    ("PATCH", "registered-models/update"): update,
    ("POST", "registered-models/set-tag"): set_tag,
    ("DELETE", "registered-models/delete-tag"): delete_tag,
    ("DELETE", "registered-models/delete"): delete,
    ("GET", "registered-models/search"): search,
    ("POST", "registered-models/alias"): set_alias,
    ("DELETE", "registered-models/alias"): delete_alias,
    ("GET", "registered-models/alias"): get_by_alias,
    ("POST", "model-versions/create"): create_version,
    ("GET", "model-versions/get"): get_version,
    ("PATCH", "model-versions/update"): update_version,
    ("POST", "model-versions/set-tag"): set_version_tag,
    ("DELETE", "model-versions/delete-tag"): delete_version_tag,
    ("DELETE", "model-versions/delete"): delete_version,
    ("GET", "model-versions/search"): search_versions,
}
_CHOICES = {
    "registered-models/create": _by_tag,
    "registered-models/search": _by_filter,
    "model-versions/search": _by_filter,
}
EXECUTES = tuple(
    f"ai_catalog_{operation}"
    for operation in (
        *("create_prompt", "get_prompt", "update_prompt", "delete_prompt", "list_prompts"),
        *("set_alias_prompt", "remove_alias_prompt", "create_prompt_version", "get_prompt_version"),
        *("update_prompt_version", "delete_prompt_version", "list_prompt_versions"),
    )
)
