"""Groups: who is granted something together."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated

import sqlalchemy as sa
from pydantic import Field

from api.kernel.kinds.resource import Level, NoStatus, Resource, Spec, Text, Title
from api.kernel.kinds.resource_kind import ResourceKind
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Query, Request
from api.kernel.permissions import grants
from api.kernel.roles import Role
from api.kernel.tables import MEMBER, RESOURCE
from api.services.admin.logic.lockout import refuse_lockout
from core.errors import Conflict


class GroupSource(StrEnum):
    """Who says who is in it: people here, a SCIM client, or claims at login."""

    LOCAL = "LOCAL"
    SCIM = "SCIM"
    CLAIM = "CLAIM"


class GroupSpec(Spec):
    """What a group is."""

    title: Title
    """Name for people."""

    description: Text = ""
    """Who is in it."""

    external_id: Annotated[str, Field(max_length=256)] | None = None
    """How the identity provider calls it."""

    source: Annotated[GroupSource, Field(strict=False)] = GroupSource.LOCAL
    """Who says who is in it."""


class Group(Resource[GroupSpec, NoStatus]):
    """Users, service accounts and other groups that are granted something together."""


class Member(Model):
    """One member."""

    id: str
    """Id of the user, service account or group."""

    kind: str
    """Which of these it is."""

    name: str
    """Its name."""

    direct: bool
    """Whether it is a member itself, not only through another group."""

    added_at: datetime | None
    """When it was added; null if it is a member through another group."""


class Members(Model):
    """Who is in a group."""

    items: list[Member]
    """The members by name."""


class MembersQuery(Query):
    """Which members."""

    transitive: bool = False
    """Also who is a member through another group."""


class MemberChange(Request):
    """Members to add or remove."""

    members: Annotated[list[Annotated[str, Field(max_length=64)]], Field(min_length=1, max_length=1000)]
    """Ids of users, service accounts and groups."""


GROUP = ResourceKind(
    Group,
    plural="groups",
    prefix="grp",
    level=Level.ORGANIZATION,
    name=r"[a-z][a-z0-9._-]{0,127}",
    immutable=("source",),
    filter_by=("spec.external_id", "spec.source"),
    writers=Role.ADMIN,
    readers=Role.ADMIN,
)


@GROUP.after("delete", "restore")
def tell_everybody(unit: Unit, group: Group) -> None:
    """What its members may do by it ends with it."""
    unit.rights_changed()
    refuse_lockout(unit)


@GROUP.view("members", query=MembersQuery, result=Members)
def get_group_members(unit: Unit, group: Group, query: MembersQuery) -> Members:
    """Lists who is in a group; also through other groups, if that is asked for."""
    return members_of(unit, group, transitive=query.transitive)


@GROUP.command("add-members", request=MemberChange, result=Members, past="members_added")
def add_members(unit: Unit, group: Group, request: MemberChange) -> Members:
    """Adds members. A group that is in this one already cannot become its member: rights would run in a circle."""
    above = {group.id, *grants.groups_of(unit.connection, group.id)}
    here = {member.id for member in members_of(unit, group).items}
    for n, id in enumerate(dict.fromkeys(request.members)):
        row = unit.holder(id, f"/members/{n}")
        if id in above:
            raise Conflict(f"{row.name} cannot be a member of {group.name}: that group is in it.")
        if id not in here:
            add = {"group_id": group.id, "member_id": id, "added_at": unit.now, "added_by": unit.principal.name}
            unit.connection.execute(MEMBER.insert().values(**add))
    unit.ctx.note(added=request.members)
    unit.rights_changed()
    return members_of(unit, group)


@GROUP.command("remove-members", request=MemberChange, result=Members, past="members_removed")
def remove_members(unit: Unit, group: Group, request: MemberChange) -> Members:
    """Removes members: what they could do by the group ends within a second. Removing one twice is no error."""
    gone = MEMBER.delete().where(MEMBER.c.group_id == group.id, MEMBER.c.member_id.in_(request.members))
    unit.connection.execute(gone)
    unit.ctx.note(removed=request.members)
    unit.rights_changed()
    refuse_lockout(unit)
    return members_of(unit, group)


def members_of(unit: Unit, group: Group, *, transitive: bool = False) -> Members:
    """Who is in a group now."""
    found: dict[str, Member] = {}
    wave, direct = [group.id], True
    while wave:
        rows = unit.connection.execute(
            sa.select(RESOURCE.c.id, RESOURCE.c.kind, RESOURCE.c.name, MEMBER.c.added_at)
            .join(MEMBER, MEMBER.c.member_id == RESOURCE.c.id)
            .where(MEMBER.c.group_id.in_(wave), RESOURCE.c.deleted_at.is_(None))
        ).all()
        wave = []
        for id, kind, name, added_at in rows:
            if id in found:
                continue
            found[id] = Member(id=id, kind=kind, name=name, direct=direct, added_at=added_at if direct else None)
            if transitive and kind == "admin.group":
                wave.append(id)
        direct = False
    return Members(items=sorted(found.values(), key=lambda member: member.name))
