"""Tags: the vocabulary by which an organization classifies assets, columns, models, and feature views."""

from __future__ import annotations

from typing import Annotated

import sqlalchemy as sa
from pydantic import AfterValidator, Field

from api.kernel.kinds.resource import Level, NoStatus, Resource, Spec, Text, Title
from api.kernel.kinds.resource_kind import ResourceKind
from api.kernel.kinds.unit import Unit
from api.kernel.roles import Role
from api.services.ai_catalog.tag_tables import TAG_ASSIGNMENT as TABLE
from core.errors import Conflict

TagValue = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
"""A value of a tag. Lower-case ASCII, so that no two values look alike."""


def _distinct(values: list[str]) -> list[str]:
    if len(set(values)) < len(values):
        raise ValueError("contains a value twice")
    return values


class TagSpec(Spec):
    """A tag."""

    title: Title
    """Display name."""

    description: Text = ""
    """What the tag means, and when to assign it."""

    values: Annotated[list[TagValue], Field(max_length=200), AfterValidator(_distinct)] = []
    """Values that the tag can have. Empty if it has none, or if `free_values` is set."""

    free_values: bool = False
    """Whether the tag can have any value."""

    propagates: bool = True
    """Whether columns that are computed from a tagged column get the tag. Never changes."""


class Tag(Resource[TagSpec, NoStatus]):
    """A key by which an organization classifies assets and columns, such as `pii`, with the values that it can have.

    Its name is the key and never changes, because policies refer to it.
    """


TAG = ResourceKind(
    Tag,
    plural="tags",
    prefix="tag",
    level=Level.ORGANIZATION,
    writers=Role.ADMIN,
    immutable=("propagates",),
    filter_by=("spec.title", "spec.propagates"),
)


@TAG.validate
def require_consistent_values(unit: Unit, tag: Tag, before: Tag | None) -> None:
    """Refuses another key, and a removal of values that are assigned."""
    if tag.spec.values and tag.spec.free_values:
        raise Conflict("A tag has either `values` or `free_values`.")
    if before is None:
        return
    if tag.name != before.name:
        raise Conflict(f"The key {before.name} never changes. Change its title, or create another tag.")
    if tag.spec.free_values:
        return
    used = unit.connection.execute(sa.select(TABLE.c.value).where(*_assigned(tag)).distinct()).scalars()
    if missing := sorted(set(used) - set(tag.spec.values or [""])):
        raise Conflict(f"{tag.name} is assigned with the value {missing[0]!r}. Remove these assignments first.")


@TAG.before("delete")
def keep_assigned_tag(unit: Unit, tag: Tag) -> None:
    """Refuses to delete a tag that is assigned, because policies may protect what has it."""
    if unit.connection.execute(sa.select(TABLE.c.id).where(*_assigned(tag)).limit(1)).first():
        raise Conflict(f"{tag.name} is assigned. Remove all its assignments first.")


def _assigned(tag: Tag) -> tuple[sa.ColumnElement[bool], ...]:
    return TABLE.c.tag_id == tag.id, TABLE.c.ended_at.is_(None), TABLE.c.origin == "STATED"
