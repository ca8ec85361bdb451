"""Entities: what features describe, such as a customer or a flight, with the keys that identify one."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field

from api.kernel.kinds.resource import Level, NoStatus, Resource, Spec, Text, Title
from api.kernel.kinds.resource_kind import ResourceKind
from api.kernel.kinds.unit import Unit
from api.kernel.models import Request
from api.kernel.references import RefersTo

EntityReference = Annotated[str, Field(max_length=128), RefersTo(("ai_catalog.entity",))]
"""An entity."""

KeyName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}$")]
"""Name of a key."""


class KeyType(StrEnum):
    """Type of a key. Numbers with fractions are no keys, because equal ones may differ in their last digit."""

    INTEGER = "INTEGER"
    TEXT = "TEXT"
    BOOLEAN = "BOOLEAN"
    DATE = "DATE"


class EntityKey(Request):
    """A key of an entity."""

    name: KeyName
    """Name of the key, by which requests give its value."""

    type: Annotated[KeyType, Field(strict=False)] = KeyType.TEXT
    """Type of its values."""

    description: Text = ""
    """Meaning of the key."""


def _distinct(keys: list[EntityKey]) -> list[EntityKey]:
    names = [key.name for key in keys]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"has two keys named {twice[0]}")
    return keys


class EntitySpec(Spec):
    """An entity."""

    title: Title
    """Display name."""

    description: Text = ""
    """What one entity is."""

    keys: Annotated[list[EntityKey], Field(min_length=1, max_length=10), AfterValidator(_distinct)]
    """The keys that together identify one entity. They never change, because features are found by them."""


class Entity(Resource[EntitySpec, NoStatus]):
    """What features describe, such as a customer or a flight, with the keys that identify one."""


ENTITY = ResourceKind(
    Entity, plural="entities", prefix="ent", level=Level.PROJECT, immutable=("keys",), filter_by=("spec.title",)
)


@ENTITY.after("create", "update", "delete", "restore")
def end_epoch(unit: Unit, entity: Entity) -> None:
    """Makes every process forget the definitions that it keeps in memory."""
    unit.forget()
