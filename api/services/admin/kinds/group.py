"""Groups of principals."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated

import sqlalchemy as sa
from pydantic import Field

from api.kernel import references
from api.kernel.kinds import escalation
from api.kernel.kinds.holders import holder, visible_holders
from api.kernel.kinds.resource import Level, NoStatus, Resource, Spec, Text, Title
from api.kernel.kinds.resource_kind import ResourceKind
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Query, Request
from api.kernel.permissions import grants
from api.kernel.permissions.power import Power
from api.kernel.roles import Role
from api.kernel.tables import MEMBER, RESOURCE
from core.errors import Conflict
from core.ids import is_generated_id


class GroupSource(StrEnum):
    """Where the members of a group come from: this platform, a SCIM client, or claims at login."""

    LOCAL = "LOCAL"
    SCIM = "SCIM"
    CLAIM = "CLAIM"


class GroupSpec(Spec):
    """A group."""

    title: Title
    """Display name."""

    description: Text = ""
    """Who the members are."""

    external_id: references.ExternalId | None = None
    """Id of the group at the identity provider."""

    source: Annotated[GroupSource, Field(strict=False)] = GroupSource.LOCAL
    """Where the members come from: LOCAL, SCIM, or CLAIM."""


class Group(Resource[GroupSpec, NoStatus]):
    """A set of users, service accounts, and other groups. Grants of a group hold for its members."""


class Member(Model):
    """A member of a group."""

    id: str
    """Id of the user, service account, or group."""

    kind: str
    """Kind of the member."""

    name: str
    """Name of the member."""

    direct: bool
    """Whether it is a direct member, and not only a member of a group in the group."""

    added_at: datetime | None
    """Time at which it was added. Null for indirect members."""


class Members(Model):
    """Members of a group that the caller can see."""

    items: list[Member]
    """The members, ordered by name."""

    hidden: bool
    """Whether members that the caller can't see are left out."""


class MembersQuery(Query):
    """Selection of members."""

    transitive: bool = False
    """Whether to include members of groups in the group."""


class MemberChange(Request):
    """Members to add or remove."""

    members: Annotated[list[references.PrincipalReference], Field(min_length=1, max_length=1000)]
    """Ids of users, service accounts, and groups."""


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
    powers={
        "create": Power.NOTHING,
        "update": Power.NOTHING,
        "delete": Power.REMOVES_LIMIT,
        "restore": Power.GRANTS,
        "add-members": Power.GRANTS,
        "remove-members": Power.REMOVES_LIMIT,
    },
)


@GROUP.before("delete")
def require_denied_rights(unit: Unit, group: Group) -> None:
    """Requires the rights that the group denies its members, because the denial ends with the group."""
    escalation.require_removal(unit, escalation.rules_of(unit, [group.id]))
    escalation.require_policies_kept(unit, group.id)


@GROUP.before("restore")
def require_group_rights(unit: Unit, group: Group) -> None:
    """Requires the rights of the group, because its members hold them again."""
    escalation.require_control(unit, group.id)
    escalation.require_policies_kept(unit, group.id)


@GROUP.after("delete", "restore")
def reload_rights(unit: Unit, group: Group) -> None:
    """Reloads the rights of the members."""
    unit.rights_changed()


@GROUP.view("members", query=MembersQuery, result=Members)
def get_group_members(unit: Unit, group: Group, query: MembersQuery) -> Members:
    """Lists the members of a group that the caller can see. With `transitive`, includes members of groups in it."""
    return members_of(unit, group, transitive=query.transitive)


@GROUP.command("add-members", request=MemberChange, result=Members, past="members_added")
def add_members(unit: Unit, group: Group, request: MemberChange) -> Members:
    """Adds members to a group.

    A group that contains this group can't become its member, because rights would run in a circle.
    """
    escalation.require_control(unit, group.id)
    escalation.require_policies_kept(unit, group.id)
    passed_on = escalation.rules_of(unit, [group.id])
    above = {group.id, *grants.groups_of(unit.connection, group.id)}
    present = set(unit.connection.execute(sa.select(MEMBER.c.member_id).where(MEMBER.c.group_id == group.id)).scalars())
    for n, id in enumerate(dict.fromkeys(request.members)):
        row = holder(unit, id, f"/members/{n}")
        escalation.require_restricted_alike(unit, row.id, passed_on)
        if id in above:
            raise Conflict(f"{row.name} can't be a member of {group.name}, because that group is a member of it.")
        if id not in present:
            add = {"group_id": group.id, "member_id": id, "added_at": unit.now, "added_by": unit.principal.name}
            unit.connection.execute(MEMBER.insert().values(**add))
    unit.call.note(added=request.members)
    unit.rights_changed()
    return members_of(unit, group)


@GROUP.command("remove-members", request=MemberChange, result=Members, past="members_removed")
def remove_members(unit: Unit, group: Group, request: MemberChange) -> Members:
    """Removes members from a group. The rights that they had through it end within a second.

    Ids that aren't members are ignored.
    """
    escalation.require_removal(unit, escalation.rules_of(unit, [group.id]))
    escalation.require_policies_kept(unit, group.id)
    for n, id in enumerate(request.members):
        if not is_generated_id(id):  # An id can be that of a former member. A name must resolve.
            holder(unit, id, f"/members/{n}")
    removal = MEMBER.delete().where(MEMBER.c.group_id == group.id, MEMBER.c.member_id.in_(request.members))
    unit.connection.execute(removal)
    unit.call.note(removed=request.members)
    unit.rights_changed()
    return members_of(unit, group)


def members_of(unit: Unit, group: Group, *, transitive: bool = False) -> Members:
    """Returns the present members of a group that the caller can see."""
    members: dict[str, Member] = {}
    hidden: set[str] = set()
    wave, direct = [group.id], True
    visible = visible_holders(unit).label("visible")
    while wave:
        rows = unit.connection.execute(
            sa.select(RESOURCE.c.id, RESOURCE.c.kind, RESOURCE.c.name, MEMBER.c.added_at, visible)
            .join(MEMBER, MEMBER.c.member_id == RESOURCE.c.id)
            .where(MEMBER.c.group_id.in_(wave), RESOURCE.c.deleted_at.is_(None))
        ).all()
        wave = []
        for id, kind, name, added_at, is_visible in rows:
            if id in members or id in hidden:
                continue
            if is_visible:
                members[id] = Member(id=id, kind=kind, name=name, direct=direct, added_at=added_at if direct else None)
            else:
                hidden.add(id)
            if transitive and kind == "admin.group":
                wave.append(id)
        direct = False
    return Members(items=sorted(members.values(), key=lambda member: member.name), hidden=bool(hidden))
