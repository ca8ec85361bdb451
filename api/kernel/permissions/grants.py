"""Rows of grants, and the rights that they give to a principal."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.permissions.access import Access, Permissions
from api.kernel.permissions.row_policies import reader_of
from api.kernel.permissions.rule import Rule
from api.kernel.roles import Role
from api.kernel.tables import GRANT, MEMBER, RESOURCE

BUILT_IN = {f"rol_{role.value.lower()}": role for role in Role}
"""Ids of the built-in roles, the same on every platform."""


AUTHENTICATED = "authenticated"
"""Subject of the rules that apply to all principals."""

AUTHENTICATED_RULES = [
    Rule("built-in", AUTHENTICATED, "", id, "admin.role", denies=False, patterns=("admin.role.get", "admin.role.list"))
    for id in BUILT_IN
]
"""Rules of all principals: they can read the built-in roles."""


_RULE_COLUMNS = [
    column for column in GRANT.c if column.name not in ("organization_id", "project_id", "created_at", "created_by")
]
"""The columns of a grant that its rules depend on."""


class Effect(StrEnum):
    """Effect of a grant. `DENY` overrides `ALLOW`."""

    ALLOW = "ALLOW"
    DENY = "DENY"


@dataclass(frozen=True, slots=True)
class GrantRow:
    """A grant of a role or a permission to a principal on a securable."""

    id: str
    principal_id: str
    role_id: str | None
    permission: str | None
    effect: str
    securable_id: str
    securable_kind: str
    organization_id: str | None
    project_id: str | None
    condition: str
    expires_at: datetime | None
    created_at: datetime
    created_by: str


def grant_of(row: sa.Row[*tuple[Any, ...]]) -> GrantRow:
    """Returns the grant in a row of the table."""
    return GrantRow(**row._mapping)


def insert(connection: Connection, grant: GrantRow) -> None:
    """Stores a grant."""
    connection.execute(GRANT.insert().values(**{name: getattr(grant, name) for name in GrantRow.__slots__}))


def facts(grant: Any) -> dict[str, Any]:
    """Returns the data of the events of a grant. Past decisions are derived from it."""
    data = {column.name: getattr(grant, column.name) for column in _RULE_COLUMNS if column.name != "id"}
    return data | {"expires_at": grant.expires_at.isoformat() if grant.expires_at else None}


def groups_of(connection: Connection, principal_id: str) -> dict[str, str]:
    """Returns the groups of a principal, direct and indirect, each with the member that connects it."""
    return all_groups(principal_id, lambda members: memberships(connection, members))


def with_members(connection: Connection, subjects: Collection[str]) -> set[str]:
    """Returns principals and groups, with the members of the groups, direct and indirect."""
    return set().union(*waves_of_members(connection, subjects))


def waves_of_members(connection: Connection, subjects: Collection[str]) -> Iterator[set[str]]:
    """Yields principals and groups, then the members of the groups, then the members of those, and so on."""
    reached: set[str] = set()
    wave = set(subjects)
    while wave:
        yield wave
        reached |= wave
        rows = connection.execute(sa.select(MEMBER.c.member_id).where(MEMBER.c.group_id.in_(wave)))
        wave = set(rows.scalars()) - reached


def memberships(connection: Connection, members: Sequence[str]) -> list[tuple[str, str]]:
    """Returns the direct memberships of principals or groups, as pairs of group and member."""
    rows = connection.execute(
        sa.select(MEMBER.c.group_id, MEMBER.c.member_id)
        .join(RESOURCE, RESOURCE.c.id == MEMBER.c.group_id)
        .where(MEMBER.c.member_id.in_(members), RESOURCE.c.deleted_at.is_(None))
    )
    return [(group, member) for group, member in rows]


def all_groups(
    principal_id: str, memberships_of: Callable[[Sequence[str]], Iterable[tuple[str, str]]]
) -> dict[str, str]:
    """Returns the groups of a principal, direct and indirect, each with the member that connects it.

    If several members connect a group, the choice is deterministic. `memberships_of` returns the direct memberships of
    members, as pairs of group and member.
    """
    groups: dict[str, str] = {}
    wave = [principal_id]
    while wave:
        pairs, wave = sorted(memberships_of(wave)), []
        for group, member in pairs:
            if group not in groups:
                groups[group] = member
                wave.append(group)
    return groups


def access_of(
    connection: Connection, principal_id: str, permissions: Permissions, limits: tuple[str, ...] = ()
) -> Access:
    """Returns the rights of a principal by its grants and those of its groups."""
    subjects = (principal_id, *groups_of(connection, principal_id))
    held = rules(connection, GRANT.c.principal_id.in_(subjects))
    reader = reader_of(connection, principal_id, subjects, held)
    return Access([*held, *AUTHENTICATED_RULES], permissions, limits, reader=reader)


def rules(connection: Connection, where: sa.ColumnElement[bool]) -> list[Rule]:
    """Returns the rules of the grants that match a condition. A grant of a deleted role has no rules."""
    role = RESOURCE.alias("role")
    select = (
        sa.select(*_RULE_COLUMNS, GRANT.c.organization_id, GRANT.c.project_id)
        .add_columns(role.c.name.label("role_name"), sa.cast(role.c.spec, sa.Text).label("role_spec"))
        .outerjoin(role, sa.and_(role.c.id == GRANT.c.role_id, role.c.deleted_at.is_(None)))
        .where(where)
        .order_by(GRANT.c.id)
    )
    return [rule for row in connection.execute(select) for rule in rules_of(row)]


def rules_of(row: Any) -> Iterable[Rule]:
    """Yields the rules of a grant. A role may have both allowed and denied permissions."""
    rule = partial(
        Rule,
        row.id,
        row.principal_id,
        row.role_name or "",
        row.securable_id,
        row.securable_kind,
        condition=row.condition,
        expires_at=row.expires_at,
        organization_id=row.organization_id,
        project_id=row.project_id,
    )
    denies = row.effect == Effect.DENY.value
    if row.role_id is None:
        yield rule(denies=denies, patterns=(row.permission,))
    elif row.role_id in BUILT_IN:
        yield rule(denies=denies, built_in=BUILT_IN[row.role_id])
    elif row.role_spec is not None:
        spec = json.loads(row.role_spec)
        yield rule(denies=denies, patterns=tuple(spec["permissions"]))
        if spec["denied"] and not denies:
            yield rule(denies=True, patterns=tuple(spec["denied"]))
