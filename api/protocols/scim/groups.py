"""Groups of the platform as SCIM `Group` resources."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, ClassVar

import scim2_models
import sqlalchemy as sa
from pydantic import Field
from scim2_models import (
    CaseExact,
    ComplexAttribute,
    InvalidValueException,
    Meta,
    Mutability,
    Reference,
    ResourceType,
    Returned,
    User,
)
from scim2_models.path import AttributeBinding

from api.kernel.kinds import standard
from api.kernel.kinds.holders import visible_holders
from api.kernel.kinds.unit import Unit
from api.kernel.storage.store import Stored
from api.kernel.tables import MEMBER, RESOURCE
from api.protocols.scim.filtering import Attribute, Instant, Related, Text, name_of
from api.protocols.scim.rendering import organization, refusing_invalid, version
from api.services.admin.kinds.group import (
    GROUP,
    Group,
    GroupSource,
    GroupSpec,
    MemberChange,
    Members,
    add_members,
    remove_members,
)

_TYPES = {"admin.user": "User", "admin.group": "Group"}
"""Kinds of members in SCIM. A directory neither sees nor removes service accounts in a group."""

_BATCH_SIZE = 1000
_Member = sa.Row[*tuple[str, str, str, str, str, datetime]]
_ChangeMembers = Callable[[Unit, Group, MemberChange], Members]


class GroupMember(ComplexAttribute):
    """A member. `display` is only returned on request, because the member's own resource contains it."""

    value: Annotated[str | None, Mutability.immutable, CaseExact.true] = None
    ref: Annotated[Reference[User[Any] | scim2_models.Group] | None, Mutability.immutable] = Field(
        None, serialization_alias="$ref", validation_alias="$ref"
    )
    type: Annotated[str | None, Mutability.immutable] = Field(None, examples=["User", "Group"])
    display: Annotated[str | None, Mutability.read_only, Returned.request] = None


class ScimGroup(scim2_models.Group):
    """A SCIM group with the members of this platform."""

    members: list[GroupMember] | None = None  # type: ignore[assignment]
    Members: ClassVar[type[ComplexAttribute]] = GroupMember


_MEMBER = RESOURCE.alias("member_of_group")
_LOCAL_MEMBERS = (
    sa.select(_MEMBER.c.id)
    .join(MEMBER, MEMBER.c.member_id == _MEMBER.c.id)
    .where(MEMBER.c.group_id == RESOURCE.c.id, _MEMBER.c.organization_id == RESOURCE.c.organization_id)
    .where(_MEMBER.c.kind.in_(tuple(_TYPES)), _MEMBER.c.deleted_at.is_(None))
    .correlate(RESOURCE)
)
_LAST_ADDED = _LOCAL_MEMBERS.with_only_columns(sa.func.max(MEMBER.c.added_at)).scalar_subquery()
_ATTRIBUTES: Mapping[str, Attribute] = {
    "id": Text(RESOURCE.c.id),
    "externalId": Text(RESOURCE.c.spec["external_id"].as_string()),
    "displayName": Text(RESOURCE.c.spec["title"].as_string()),
    "meta.created": Instant(RESOURCE.c.created_at),
    "meta.lastModified": Instant(
        sa.case((RESOURCE.c.updated_at < _LAST_ADDED, _LAST_ADDED), else_=RESOURCE.c.updated_at)
    ),
}


def group_name(display_name: str, taken: Callable[[str], bool]) -> str:
    """Returns a free name for a group with this display name. It does not change when the display name does."""
    plain = unicodedata.normalize("NFKD", display_name).encode("ascii", "ignore").decode().lower()
    stem = re.sub(r"[^a-z0-9._-]+", "-", plain).strip("-.")[:100]
    stem = stem if stem[:1].isalpha() else f"group-{stem}".rstrip("-")
    number, name = 1, stem
    while taken(name):
        number += 1
        name = f"{stem}-{number}"
    return name


class Groups:
    """Groups of the caller's organization."""

    kind = GROUP

    def __init__(self, unit: Unit, type: ResourceType, model: type[ScimGroup]) -> None:
        self._unit = unit
        self._type = type
        self.model = model

    def rendered(self, rows: list[Stored]) -> list[ScimGroup]:
        """Returns the rows as SCIM resources, in the same order."""
        members = self._members([row.id for row in rows])
        return [self._rendered(GROUP.resource(row), members.get(row.id, [])) for row in rows]

    def attribute(self, binding: AttributeBinding) -> Attribute | None:
        """Returns an attribute of a group in SQL, or None if the library evaluates it."""
        name = name_of(binding)[1]
        if name in ("members", "members.value"):
            return Related(_MEMBER.c.id, _LOCAL_MEMBERS.where(visible_holders(self._unit, _MEMBER)))
        return _ATTRIBUTES.get(name)

    def create(self, given: ScimGroup) -> str:
        """Stores a new group with its members, and returns its id."""
        unit = self._unit
        scope = organization(unit)
        unit.require(GROUP.permission("create"), scope)
        spec = _spec(given, GroupSpec(title="-", source=GroupSource.SCIM))
        group = unit.new(GROUP, scope, group_name(spec.title, self._taken), spec)
        standard.insert(unit, GROUP, group)
        self._set_members(group, given)
        return group.id

    def update(self, row: Stored, given: ScimGroup) -> None:
        """Replaces the group by the directory's version, with exactly the members in it."""
        group = GROUP.resource(row)
        group.spec = _spec(given, group.spec)
        self._unit.subject(row)
        standard.write(self._unit, GROUP, row, group, "update")
        self._set_members(group, given)

    def _set_members(self, group: Group, given: ScimGroup) -> None:
        requested = list(dict.fromkeys(member.value for member in given.members or [] if member.value))
        present = {member.id for member in self._members([group.id]).get(group.id, [])}
        added = [id for id in requested if id not in present]
        self._check(added)
        self._change(group, "add-members", "members_added", add_members, added)
        self._change(group, "remove-members", "members_removed", remove_members, sorted(present.difference(requested)))

    def _change(self, group: Group, verb: str, past: str, change: _ChangeMembers, ids: list[str]) -> None:
        unit = self._unit
        if ids:
            unit.require(GROUP.permission(verb), GROUP.stored(group, scope_id="").securable)
        for batch in _batches(ids):
            with unit.part(GROUP, verb, past=past):
                change(unit, group, MemberChange(members=batch))

    def _check(self, ids: list[str]) -> None:
        """Requires users or groups of the organization. Members are ids in SCIM, so names are not resolved."""
        for batch in _batches(ids):
            select = sa.select(RESOURCE.c.id).where(
                RESOURCE.c.id.in_(batch),
                RESOURCE.c.kind.in_(tuple(_TYPES)),
                RESOURCE.c.organization_id == self._unit.principal.organization_id,
                RESOURCE.c.deleted_at.is_(None),
            )
            if unknown := sorted(set(batch).difference(self._unit.connection.execute(select).scalars())):
                raise InvalidValueException(detail=f"members: there is no user or group {unknown[0][:64]!r}.")

    def _taken(self, name: str) -> bool:
        select = sa.select(RESOURCE.c.id).where(
            RESOURCE.c.kind == GROUP.full_name,
            RESOURCE.c.scope_id == self._unit.principal.organization_id,
            RESOURCE.c.name == name,
            RESOURCE.c.deleted_at.is_(None),
        )
        return self._unit.connection.execute(select).first() is not None

    def _members(self, ids: list[str]) -> dict[str, list[_Member]]:
        """Returns the direct members of each group that belong to its organization and that the caller can see."""
        members: dict[str, list[_Member]] = {}
        title = RESOURCE.c.spec["title"].as_string().label("title")
        select = (
            sa.select(MEMBER.c.group_id, RESOURCE.c.id, RESOURCE.c.kind, RESOURCE.c.name, title, MEMBER.c.added_at)
            .join(RESOURCE, RESOURCE.c.id == MEMBER.c.member_id)
            .where(MEMBER.c.group_id.in_(ids), RESOURCE.c.kind.in_(tuple(_TYPES)), RESOURCE.c.deleted_at.is_(None))
            .where(RESOURCE.c.organization_id == self._unit.principal.organization_id, visible_holders(self._unit))
            .order_by(RESOURCE.c.id)
        )
        for row in self._unit.connection.execute(select):
            members.setdefault(row.group_id, []).append(row)
        return members

    def _rendered(self, group: Group, members: Sequence[_Member]) -> ScimGroup:
        resource = self.model.model_validate(
            {
                "id": group.id,
                "displayName": group.spec.title,
                "externalId": group.spec.external_id,
                "members": [
                    {
                        "value": member.id,
                        "$ref": f"{_TYPES[member.kind]}s/{member.id}",
                        "type": _TYPES[member.kind],
                        "display": member.title or member.name,
                    }
                    for member in members
                ]
                or None,
            }
        )
        resource.meta = Meta(
            resource_type=self._type.name,
            created=group.created_at,
            last_modified=max([group.updated_at, *(member.added_at for member in members)]),
            version=version(group.version, *(f"{member.id}={member.title or member.name}" for member in members)),
        )
        return resource


def _batches(ids: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(ids), _BATCH_SIZE):
        yield ids[start : start + _BATCH_SIZE]


def _spec(given: ScimGroup, before: GroupSpec) -> GroupSpec:
    values = before.model_dump() | {"title": given.display_name or "", "external_id": given.external_id}
    with refusing_invalid({"title": "displayName", "external_id": "externalId"}):
        return GroupSpec.model_validate(values)
