"""Prompts: names under which versions of a text for models are published, with aliases such as `production`."""

from __future__ import annotations

import difflib
from typing import Annotated

import sqlalchemy as sa
from pydantic import Field

from api.kernel.kinds.resource import Level, Resource, Spec, Status, Text
from api.kernel.kinds.resource_kind import ResourceKind
from api.kernel.kinds.table_kind import Row
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Query, Request
from api.kernel.tables import RESOURCE
from api.services.ai_catalog.kinds.experiment import Tags
from api.services.ai_catalog.kinds.registered_model import MAX_VERSION, Alias
from api.services.ai_catalog.prompt_tables import PROMPT_VERSION
from core.errors import InvalidArgument, NotFound


class PromptSpec(Spec):
    """A prompt."""

    title: Annotated[Text, Field(min_length=1, max_length=256)]
    """Display name."""

    description: Annotated[str, Field(max_length=50_000)] = ""
    """Purpose of the prompt, in Markdown."""

    tags: Tags = {}
    """Free key-value pairs."""


class PromptStatus(Status):
    """The aliases of a prompt."""

    aliases: dict[str, int] = {}
    """Number of the version of each alias."""


class Prompt(Resource[PromptSpec, PromptStatus]):
    """A name under which versions of a text for models are published, with aliases such as `production`."""


class SetPromptAlias(Request):
    """An alias to set."""

    alias: Alias
    """Name of the alias."""

    version: Annotated[int, Field(ge=1, le=MAX_VERSION)]
    """Number of the version."""


class RemovePromptAlias(Request):
    """An alias to remove."""

    alias: Annotated[str, Field(max_length=64)]
    """Name of the alias."""


class PromptDiffQuery(Query):
    """Versions to compare."""

    from_: Annotated[int | None, Field(alias="from", ge=1, le=MAX_VERSION)] = None
    """Number of the earlier version. Defaults to the one before `to`."""

    to: Annotated[int | None, Field(ge=1, le=MAX_VERSION)] = None
    """Number of the later version. Defaults to the newest."""


class PromptDiff(Model):
    """The difference of two versions of a prompt."""

    from_version: int
    """Number of the earlier version."""

    to_version: int
    """Number of the later version."""

    lines: list[str]
    """Unified diff of the texts, line by line. Empty if they are equal."""

    variables_added: list[str]
    """Variables that only the later version has."""

    variables_removed: list[str]
    """Variables that only the earlier version has."""

    model_config_changed: bool
    """Whether the settings for the model differ."""

    response_format_changed: bool
    """Whether the format of the response differs."""


PROMPT = ResourceKind(Prompt, plural="prompts", prefix="prm", level=Level.PROJECT, filter_by=("spec.title",))


@PROMPT.command("set-alias", request=SetPromptAlias, result=Prompt, past="alias_set")
def set_prompt_alias(unit: Unit, prompt: Prompt, request: SetPromptAlias) -> Prompt:
    """Makes an alias name a version. The revisions of the prompt contain its moves."""
    numbered_prompt(unit, prompt, request.version)
    unit.call.note(alias=request.alias, before=prompt.status.aliases.get(request.alias), after=request.version)
    prompt.status.aliases = {**prompt.status.aliases, request.alias: request.version}
    return prompt


@PROMPT.command("remove-alias", request=RemovePromptAlias, result=Prompt, past="alias_removed")
def remove_prompt_alias(unit: Unit, prompt: Prompt, request: RemovePromptAlias) -> Prompt:
    """Removes an alias. The versions stay."""
    if request.alias not in prompt.status.aliases:
        raise NotFound(f"{prompt.name} has no alias {request.alias!r}.")
    unit.call.note(alias=request.alias, before=prompt.status.aliases[request.alias])
    prompt.status.aliases = {name: number for name, number in prompt.status.aliases.items() if name != request.alias}
    return prompt


@PROMPT.view("diff", query=PromptDiffQuery, result=PromptDiff)
def get_prompt_diff(unit: Unit, prompt: Prompt, query: PromptDiffQuery) -> PromptDiff:
    """Compares the texts, variables, and settings of two versions."""
    newest = sa.select(sa.func.max(PROMPT_VERSION.c.version)).where(_of(prompt))
    to = query.to or unit.connection.execute(newest).scalar()
    if to is None:
        raise NotFound(f"{prompt.name} has no version.")
    earlier = query.from_
    if earlier is None:
        earlier = unit.connection.execute(newest.where(PROMPT_VERSION.c.version < to)).scalar()
    if earlier is None:
        raise InvalidArgument(f"Version {to} of {prompt.name} is its first one. Name the version to compare with.")
    before, after = numbered_prompt(unit, prompt, earlier), numbered_prompt(unit, prompt, to)
    names = f"version {earlier}", f"version {to}"
    return PromptDiff(
        from_version=earlier,
        to_version=to,
        lines=list(difflib.unified_diff(_lines(before), _lines(after), *names, lineterm="")),
        variables_added=sorted(set(after.variables) - set(before.variables)),
        variables_removed=sorted(set(before.variables) - set(after.variables)),
        model_config_changed=before.model_config != after.model_config,
        response_format_changed=before.response_format != after.response_format,
    )


@PROMPT.after("delete")
def delete_versions(unit: Unit, prompt: Prompt) -> None:
    """Deletes the versions with their prompt, at the same time, so that they can be restored together."""
    unit.connection.execute(PROMPT_VERSION.update().where(_of(prompt)).values(deleted_at=prompt.deleted_at))


@PROMPT.before("restore")
def restore_versions(unit: Unit, prompt: Prompt) -> None:
    """Restores the versions that were deleted with their prompt."""
    deleted_at = sa.select(RESOURCE.c.deleted_at).where(RESOURCE.c.id == prompt.id).scalar_subquery()
    versions = sa.and_(PROMPT_VERSION.c.prompt_id == prompt.id, PROMPT_VERSION.c.deleted_at == deleted_at)
    unit.connection.execute(PROMPT_VERSION.update().where(versions).values(deleted_at=None))


def numbered_prompt(unit: Unit, prompt: Prompt, number: int) -> Row:
    """Returns the version of a prompt with this number. Raises `NotFound` if there is none."""
    select = sa.select(PROMPT_VERSION).where(_of(prompt), PROMPT_VERSION.c.version == number)
    row = unit.connection.execute(select).first()
    if row is None:
        raise NotFound(f"{prompt.name} has no version {number}.")
    return row


def _of(prompt: Prompt) -> sa.ColumnElement[bool]:
    return sa.and_(PROMPT_VERSION.c.prompt_id == prompt.id, PROMPT_VERSION.c.deleted_at.is_(None))


def _lines(version: Row) -> list[str]:
    lines: list[str] = []
    for message in version.messages:
        if message["role"]:
            lines.append(f"[{message['role']}]")
        lines += message["content"].splitlines()
    return lines
