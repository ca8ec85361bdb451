"""Grants as rows: read into the compiled rights of a principal, changed by the admin service."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.permissions.access import Access, Permissions, Rule
from api.kernel.roles import Role
from api.kernel.tables import GRANT, MEMBER, RESOURCE

BUILT_IN = {f"rol_{role.value.lower()}": role for role in Role}
"""Ids of the built-in roles, the same on every platform."""


EVERYBODY = "everybody"
"""Subject of the rules that hold for whoever is logged in."""

FOR_EVERYBODY = [
    Rule("built-in", EVERYBODY, "", id, "admin.role", denies=False, patterns=("admin.role.get", "admin.role.list"))
    for id in BUILT_IN
]
"""Whoever is logged in may read what the built-in roles are."""


_SPOKEN = [
    column for column in GRANT.c if column.name not in ("organization_id", "project_id", "created_at", "created_by")
]
"""The columns of a grant that its rules are made of."""


class Effect(StrEnum):
    """What a grant does. One DENY wins over any number of ALLOWs."""

    ALLOW = "ALLOW"
    DENY = "DENY"


@dataclass(frozen=True, slots=True)
class GrantRow:
    """One grant: a role or a single permission, for a principal or group, on a securable."""

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
    """The grant in a row of the table."""
    return GrantRow(**row._mapping)


def insert(connection: Connection, grant: GrantRow) -> None:
    """Stores a grant."""
    connection.execute(GRANT.insert().values(**{name: getattr(grant, name) for name in GrantRow.__slots__}))


def facts(grant: Any) -> dict[str, Any]:
    """What the event of a grant given or revoked tells: enough to know later what it allowed."""
    told = {column.name: getattr(grant, column.name) for column in _SPOKEN if column.name != "id"}
    return told | {"expires_at": grant.expires_at.isoformat() if grant.expires_at else None}


def groups_of(connection: Connection, principal_id: str) -> dict[str, str]:
    """Every group the principal is in, directly or through other groups, with the member it is in by."""

    def above(members: Sequence[str]) -> list[tuple[str, str]]:
        rows = connection.execute(
            sa.select(MEMBER.c.group_id, MEMBER.c.member_id)
            .join(RESOURCE, RESOURCE.c.id == MEMBER.c.group_id)
            .where(MEMBER.c.member_id.in_(members), RESOURCE.c.deleted_at.is_(None))
        )
        return [(group, member) for group, member in rows]

    return climbed(principal_id, above)


def climbed(principal_id: str, above: Callable[[Sequence[str]], Iterable[tuple[str, str]]]) -> dict[str, str]:
    """Every group the principal is in, with the member it is in by; the same one each time if there are several.

    `above` tells the groups that some members are directly in, as pairs of group and member.
    """
    found: dict[str, str] = {}
    wave = [principal_id]
    while wave:
        pairs, wave = sorted(above(wave)), []
        for group, member in pairs:
            if group not in found:
                found[group] = member
                wave.append(group)
    return found


def access_of(
    connection: Connection, principal_id: str, permissions: Permissions, limits: tuple[str, ...] = ()
) -> Access:
    """What the principal may do by its own grants and those of its groups."""
    subjects = (principal_id, *groups_of(connection, principal_id))
    return Access([*rules(connection, GRANT.c.principal_id.in_(subjects)), *FOR_EVERYBODY], permissions, limits)


def rules(connection: Connection, where: sa.ColumnElement[bool]) -> list[Rule]:
    """The grants that meet a condition, with what their roles say. A grant of a deleted role says nothing."""
    role = RESOURCE.alias("role")
    select = (
        sa.select(*_SPOKEN, role.c.name.label("role_name"), sa.cast(role.c.spec, sa.Text).label("role_spec"))
        .outerjoin(role, sa.and_(role.c.id == GRANT.c.role_id, role.c.deleted_at.is_(None)))
        .where(where)
        .order_by(GRANT.c.id)
    )
    return [rule for row in connection.execute(select) for rule in rules_of(row)]


def rules_of(row: Any) -> Iterable[Rule]:
    """The rules one grant stands for: a role may both allow and deny."""
    place = (row.id, row.principal_id, row.role_name or "", row.securable_id, row.securable_kind)
    more: dict[str, Any] = {"condition": row.condition, "expires_at": row.expires_at}
    denies = row.effect == Effect.DENY.value
    if row.role_id is None:
        yield Rule(*place, denies, patterns=(row.permission,), **more)
    elif row.role_id in BUILT_IN:
        yield Rule(*place, denies, built_in=BUILT_IN[row.role_id], **more)
    elif row.role_spec is not None:
        spec = json.loads(row.role_spec)
        yield Rule(*place, denies, patterns=tuple(spec["permissions"]), **more)
        if spec["denied"] and not denies:
            yield Rule(*place, True, patterns=tuple(spec["denied"]), **more)
