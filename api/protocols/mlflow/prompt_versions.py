"""Versions of prompts as MLflow's model versions: text and settings are in certain tags."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import Any

import sqlalchemy as sa

from api.kernel.kinds import standard
from api.kernel.kinds.table_kind import Row
from api.kernel.kinds.unit import Unit
from api.kernel.storage import store
from api.kernel.storage.store import Stored
from api.kernel.tables import RESOURCE
from api.protocols.mlflow.call import MlflowCall, project_of, validated
from api.protocols.mlflow.names import mlflow_name, named
from api.protocols.mlflow.runs import milliseconds, pairs
from api.services.ai_catalog.kinds.prompt import PROMPT, numbered_prompt
from api.services.ai_catalog.kinds.prompt_version import (
    PROMPT_VERSION,
    NewPromptVersion,
    PromptVersionChange,
    create_prompt_version,
    delete_prompt_version,
    update_prompt_version,
)
from api.services.ai_catalog.kinds.registered_model import MAX_VERSION
from api.services.ai_catalog.logic import search_language
from api.services.ai_catalog.logic.search_language import Key, invalid
from api.services.ai_catalog.prompt_tables import PROMPT_VERSION as TABLE
from core.errors import InvalidArgument, NotFound

IS_PROMPT = "mlflow.prompt.is_prompt"
TEXT, TYPE = "mlflow.prompt.text", "_mlflow_prompt_type"
FORMAT, SETTINGS = "_mlflow_prompt_response_format", "_mlflow_prompt_model_config"
OWN_TAGS = (IS_PROMPT, TEXT, TYPE, FORMAT, SETTINGS)
"""Tags that stand for fields of a prompt."""

_MAX_PAGE = 1000


async def create(call: MlflowCall) -> dict[str, Any]:
    """Creates the next version of a prompt from the tags that hold its text and settings."""
    tags = call.tags()
    text = tags.get(TEXT, "")
    content = _json(text, "the messages") if tags.get(TYPE) == "chat" else [{"content": text}]

    def write(unit: Unit) -> dict[str, Any]:
        row = require_prompt(unit, call)
        body = {
            "prompt_id": row.id,
            "messages": content,
            "response_format": _json(tags[FORMAT], "the response format") if FORMAT in tags else None,
            "settings": _json(tags[SETTINGS], "the model configuration") if SETTINGS in tags else None,
            "description": call.text("description", ""),
            "tags": foreign_tags(tags),
        }
        made = create_prompt_version(unit, validated(NewPromptVersion, body))
        return rendered_version(row, numbered(unit, row, made.version))

    return {"model_version": await call.write("create_prompt_version", write)}


async def get(call: MlflowCall) -> dict[str, Any]:
    """Returns a version."""
    number = call.number("version")

    def read(unit: Unit) -> dict[str, Any]:
        row = require_prompt(unit, call)
        return {"model_version": rendered_version(row, numbered(unit, row, number))}

    return await call.read("get_prompt_version", read)


async def update(call: MlflowCall) -> dict[str, Any]:
    """Changes the description of a version."""
    return await _changed(call, {"description": call.text("description", "")})


async def set_tag(call: MlflowCall) -> dict[str, Any]:
    """Sets a tag of a version. Its text and settings never change."""
    key = call.text("key")
    if key in OWN_TAGS:
        raise InvalidArgument(f"The tag {key} is a part of the version, which never changes. Create another version.")
    await _changed(call, {"tags": {key: call.text("value", "")}})
    return {}


async def delete_tag(call: MlflowCall) -> dict[str, Any]:
    """Removes a tag of a version."""
    await _changed(call, {"tags": {call.text("key"): None}})
    return {}


async def delete(call: MlflowCall) -> dict[str, Any]:
    """Deletes a version."""
    number = call.number("version")

    def write(unit: Unit) -> None:
        id = numbered(unit, require_prompt(unit, call), number).id
        unit.call.subject = id
        delete_prompt_version(unit, PROMPT_VERSION.row(unit, id, "delete"))

    await call.write("delete_prompt_version", write)
    return {}


async def search(call: MlflowCall) -> dict[str, Any]:
    """Returns the versions of the prompts that a filter names, newest first."""
    condition = search_language.parse(call.text("filter", ""))
    size = min(max(call.number("max_results", 1000), 1), _MAX_PAGE)
    token = call.text("page_token", "")

    def read(unit: Unit) -> dict[str, Any]:
        select = standard.visible(unit, PROMPT)
        if call.workspace:
            select = select.where(RESOURCE.c.project_id == project_of(unit, call.workspace))
        prompts = {row.id: store.stored(row) for row in unit.connection.execute(select)}
        versions = [
            rendered_version(prompts[row.prompt_id], row)
            for row in unit.connection.execute(
                sa.select(TABLE).where(*visible_versions(unit)).order_by(TABLE.c.id.desc())
            )
            if row.prompt_id in prompts
        ]
        found = [one for one in versions if search_language.matches(condition, partial(_value, one))]
        marks = [f"{one['name']}/{one['version']}" for one in found]
        if token and token not in marks:
            raise InvalidArgument("page_token is not valid for this search.")
        start = marks.index(token) + 1 if token else 0
        rest = {"next_page_token": marks[start + size - 1]} if len(found) > start + size else {}
        return {"model_versions": found[start : start + size], **rest}

    return await call.read("list_prompt_versions", read)


def require_prompt(unit: Unit, call: MlflowCall) -> Stored:
    """Returns the prompt that a request names. Raises `NotFound` if the caller can see none in its project."""
    name = call.text("name")
    row = named(unit, PROMPT, project_of(unit, call.workspace), name)
    if row is None:
        raise NotFound(f"Prompt with name={name[:256]} not found")
    return unit.row(PROMPT, row.id)


def numbered(unit: Unit, prompt: Stored, number: int) -> Row:
    """Returns a version by its number. Raises `NotFound` if there is none."""
    if not 0 < number <= MAX_VERSION:
        raise NotFound(f"Prompt version {number} not found")
    return numbered_prompt(unit, PROMPT.resource(prompt), number)


def visible_versions(unit: Unit) -> tuple[sa.ColumnElement[bool], ...]:
    """Returns the conditions for the versions that the caller can see."""
    return PROMPT_VERSION.visible(unit), PROMPT_VERSION.present()


async def _changed(call: MlflowCall, change: dict[str, Any]) -> dict[str, Any]:
    number, body = call.number("version"), validated(PromptVersionChange, change)

    def write(unit: Unit) -> dict[str, Any]:
        prompt = require_prompt(unit, call)
        id = numbered(unit, prompt, number).id
        unit.call.subject = id
        update_prompt_version(unit, PROMPT_VERSION.row(unit, id, "update"), body)
        return rendered_version(prompt, numbered(unit, prompt, number))

    return {"model_version": await call.write("update_prompt_version", write)}


def rendered_version(prompt: Stored, row: Row) -> dict[str, Any]:
    """Returns a version of a prompt as MLflow writes it."""
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


def foreign_tags(tags: dict[str, str]) -> dict[str, str]:
    """Returns the tags that do not stand for fields of a prompt."""
    return {key: value for key, value in tags.items() if key not in OWN_TAGS}


def _json(text: str, noun: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidArgument(f"The tag with {noun} is not valid JSON.") from None


def _value(one: dict[str, Any], key: Key) -> Any:
    if key.group == "tags":
        return next((tag["value"] for tag in one["tags"] if tag["key"] == key.name), None)
    if key.group or key.name not in ("name", "version_number", "creation_timestamp"):
        raise invalid(str(key), "is not an attribute of versions of prompts. Attributes are name and version_number")
    return int(one["version"]) if key.name == "version_number" else one[key.name]
