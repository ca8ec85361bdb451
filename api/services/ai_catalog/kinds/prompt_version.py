"""Versions of prompts. Their text never changes."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Annotated, Any

import sqlalchemy as sa
from pydantic import Field

from api.kernel.kinds.table_kind import Row, TableKind
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Request
from api.kernel.references import RefersTo
from api.services.ai_catalog.kinds.experiment import Tags
from api.services.ai_catalog.kinds.prompt import PROMPT
from api.services.ai_catalog.logic.prompt_templates import filled, require_values, variables
from api.services.ai_catalog.prompt_tables import PROMPT_VERSION as TABLE
from core.errors import Conflict, InvalidPayload

_MAX_BYTES = 1_000_000
"""Size of the messages, the settings, and the response format of a version, as JSON."""


class PromptMessage(Request):
    """A message of a prompt."""

    role: Annotated[str, Field(max_length=64)] = ""
    """Role of the author, such as `system` or `user`. Empty if the prompt is one text."""

    content: Annotated[str, Field(min_length=1, max_length=200_000)]
    """Text, with variables in double braces."""


class PromptVersion(Model):
    """A version of a prompt. Its text never changes."""

    id: str
    """Id of the version."""

    organization_id: str
    """Id of the organization that it belongs to."""

    project_id: str
    """Id of the project that it belongs to."""

    prompt_id: str
    """Id of the prompt."""

    version: int
    """Number of the version."""

    messages: list[PromptMessage]
    """The messages. A prompt that is one text has one message without a role."""

    variables: list[str]
    """Names of the variables of all messages."""

    response_format: dict[str, Any] | None
    """JSON Schema that the response of the model should have. Null if there is none."""

    settings: dict[str, Any] | None
    """Settings for the model, such as its name and temperature. Null if there are none."""

    digest: str
    """SHA-256 of messages, response format, and settings."""

    description: str
    """What changed with this version."""

    tags: dict[str, str]
    """Tags."""

    created_at: datetime
    """Time at which it was created."""

    created_by: str
    """Name of the principal that created it."""

    updated_at: datetime
    """Time of its last change."""


class NewPromptVersion(Request):
    """A version to create."""

    prompt_id: Annotated[str, Field(max_length=128), RefersTo(("ai_catalog.prompt",))]
    """Id of the prompt."""

    messages: Annotated[list[PromptMessage], Field(min_length=1, max_length=100)]
    """The messages, or one message without a role."""

    response_format: dict[str, Any] | None = None
    """JSON Schema that the response of the model should have."""

    settings: dict[str, Any] | None = None
    """Settings for the model, such as its name and temperature."""

    description: Annotated[str, Field(max_length=50_000)] = ""
    """What changed with this version."""

    tags: Tags = {}
    """Tags."""


class PromptVersionChange(Request):
    """Changes of a version. Its text never changes."""

    description: Annotated[str, Field(max_length=50_000)] | None = None
    """New description."""

    tags: dict[Annotated[str, Field(min_length=1, max_length=250)], Annotated[str, Field(max_length=8000)] | None] = {}
    """Tags to set. Null removes a tag."""


class RenderPrompt(Request):
    """Values to fill in."""

    values: Annotated[
        dict[Annotated[str, Field(max_length=250)], Annotated[str, Field(max_length=100_000)]], Field(max_length=500)
    ] = {}
    """Value of each variable."""


class RenderedPrompt(Model):
    """A prompt with the values of its variables."""

    prompt_id: str
    """Id of the prompt."""

    version: int
    """Number of the version."""

    messages: list[PromptMessage]
    """The messages, filled in."""


def _version(unit: Unit, row: Row) -> PromptVersion:
    named = {"messages": [PromptMessage(**message) for message in row.messages], "settings": row.model_config}
    columns = [name for name in PromptVersion.model_fields if name not in named]
    return PromptVersion(**{name: row._mapping[name] for name in columns}, **named)


PROMPT_VERSION = TableKind(
    PromptVersion,
    TABLE,
    plural="prompt-versions",
    prefix="prv",
    filter_by=("prompt_id", "version", "digest", "created_by", "created_at"),
    item=_version,
)


@PROMPT_VERSION.creation(request=NewPromptVersion, result=PromptVersion)
def create_prompt_version(unit: Unit, request: NewPromptVersion) -> PromptVersion:
    """Creates the next version of a prompt."""
    prompt = unit.row(PROMPT, request.prompt_id, permission=PROMPT.permission("update"))
    if len(request.messages) > 1 and not all(message.role for message in request.messages):
        fault = {"pointer": "/messages", "detail": "each of several messages needs a role"}
        raise InvalidPayload("A prompt of several messages needs a role for each.", errors=[fault])
    messages = [message.model_dump() for message in request.messages]
    content = {"messages": messages, "response_format": request.response_format, "settings": request.settings}
    text = json.dumps(content, sort_keys=True)
    if len(text) > _MAX_BYTES:
        raise InvalidPayload(f"A version of a prompt has at most {_MAX_BYTES:,} bytes. This one has {len(text):,}.")
    numbers = sa.select(sa.func.max(TABLE.c.version)).where(TABLE.c.prompt_id == prompt.id)
    return PROMPT_VERSION.add(
        unit,
        organization_id=prompt.organization_id,
        project_id=prompt.project_id,
        prompt_id=prompt.id,
        version=(unit.connection.execute(numbers).scalar() or 0) + 1,
        messages=messages,
        variables=sorted({name for message in request.messages for name in variables(message.content)}),
        response_format=request.response_format,
        model_config=request.settings,
        digest=hashlib.sha256(text.encode()).hexdigest(),
        description=request.description,
        tags=request.tags,
        created_at=unit.now,
        created_by=unit.principal.name,
        updated_at=unit.now,
    )


@PROMPT_VERSION.modification(request=PromptVersionChange, result=PromptVersion)
def update_prompt_version(unit: Unit, version: Row, request: PromptVersionChange) -> PromptVersion:
    """Changes the description of a version, and sets or removes tags. Its text never changes."""
    tags = {key: value for key, value in {**version.tags, **request.tags}.items() if value is not None}
    description = version.description if request.description is None else request.description
    return PROMPT_VERSION.change(unit, version, description=description, tags=tags, updated_at=unit.now)


@PROMPT_VERSION.command("render", request=RenderPrompt, result=RenderedPrompt, reads=True)
def render_prompt_version(unit: Unit, version: Row, request: RenderPrompt) -> RenderedPrompt:
    """Fills in the variables of a version. Every variable needs a value, and the values are not templates."""
    require_values(version.variables, request.values)
    return RenderedPrompt(
        prompt_id=version.prompt_id,
        version=version.version,
        messages=[
            PromptMessage(role=message["role"], content=filled(message["content"], request.values))
            for message in version.messages
        ],
    )


@PROMPT_VERSION.deletion()
def delete_prompt_version(unit: Unit, version: Row) -> None:
    """Deletes a version. An alias that names it must be moved first. Its number is never used again."""
    prompt = unit.get(PROMPT, version.prompt_id)
    if named := sorted(name for name, number in prompt.status.aliases.items() if number == version.version):
        raise Conflict(f"The alias {named[0]} names version {version.version}. Move or remove it first.")
    unit.connection.execute(TABLE.update().where(TABLE.c.id == version.id).values(deleted_at=unit.now))
