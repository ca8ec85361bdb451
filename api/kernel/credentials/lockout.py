"""A check that at least one user can administer the platform."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.credentials import accounts
from api.kernel.permissions import grants
from api.kernel.permissions.access import Access, Permissions
from api.kernel.permissions.grants import Effect
from api.kernel.permissions.principal import PrincipalKind
from api.kernel.roles import Role
from api.kernel.securable import PLATFORM, ROOT
from api.kernel.tables import GRANT, MEMBER, PRINCIPAL, RESOURCE
from core import clock
from core.db import Database
from core.errors import Conflict

LOOK_AHEAD = timedelta(days=7)
"""Admins whose rights expire sooner do not count: there must be time to appoint another admin."""

_ADMIN = next(id for id, role in grants.BUILT_IN.items() if role is Role.ADMIN)
_USER = RESOURCE.alias("user")
_PROVIDER = RESOURCE.alias("provider")
_CLAIM = "CLAIM"
"""Source of groups whose members an identity provider determines at each login."""

_LOGINS = (
    sa.select(PRINCIPAL.c.id, PRINCIPAL.c.password_hash, PRINCIPAL.c.last_login_at)
    .add_columns(_USER.c.spec.label("user"), _PROVIDER.c.spec.label("provider"))
    .join(_USER, _USER.c.id == PRINCIPAL.c.id)
    .outerjoin(
        _PROVIDER,
        sa.and_(
            _PROVIDER.c.id == _USER.c.spec["identity_provider_id"].as_string(),
            _PROVIDER.c.kind == "admin.identity_provider",
            _PROVIDER.c.organization_id == PRINCIPAL.c.organization_id,
            _PROVIDER.c.deleted_at.is_(None),
        ),
    )
    .where(PRINCIPAL.c.kind == PrincipalKind.USER.value, accounts.ACTIVE)
)
"""Active accounts of users, each with its user and its identity provider."""


def refuse_lockout(connection: Connection, database: Database, permissions: Permissions) -> None:
    """Refuses a change after which no user can administer the platform.

    Raises:
        Conflict: a user could administer the platform before the change, and none can after it.
    """
    if has_admin(connection, permissions):
        return
    with database.read() as before:
        if not has_admin(before, permissions):
            return
    raise Conflict(
        "No user could administer the platform after this change: it concerns the last active admin. First make "
        "another user an admin: one who can log in and holds all rights on the platform without a condition for more "
        f"than {LOOK_AHEAD.days} days."
    )


def has_admin(connection: Connection, permissions: Permissions) -> bool:
    """Returns whether a user who can log in holds all rights on the platform for at least `LOOK_AHEAD`."""
    checked: set[str] = set()
    for subjects in (_holders(connection, GRANT.c.role_id == _ADMIN), _holders(connection, sa.true())):
        for wave in grants.waves_of_members(connection, subjects):
            candidates = sorted(wave - checked)
            checked |= wave
            if any(_administers(connection, id, permissions) for id in able_to_log_in(connection, candidates)):
                return True
    return False


def _holders(connection: Connection, condition: sa.ColumnElement[bool]) -> set[str]:
    """Returns the principals with an unconditional grant on the platform that does not expire soon."""
    lasting = sa.or_(GRANT.c.expires_at.is_(None), GRANT.c.expires_at > clock.now() + LOOK_AHEAD)
    select = sa.select(GRANT.c.principal_id).where(
        *(GRANT.c.securable_id == PLATFORM, GRANT.c.effect == Effect.ALLOW.value, GRANT.c.condition == ""),
        *(lasting, condition),
    )
    return set(connection.execute(select.distinct()).scalars())


def able_to_log_in(connection: Connection, ids: Sequence[str]) -> list[str]:
    """Returns those of these principals that are active users and can log in."""
    users: list[str] = []
    for start in range(0, len(ids), 5000):
        rows = connection.execute(_LOGINS.where(PRINCIPAL.c.id.in_(ids[start : start + 5000])).order_by(PRINCIPAL.c.id))
        users += [row.id for row in rows if row.password_hash is not None or _provider_admits(row)]
    return users


def _provider_admits(row: sa.Row[Any]) -> bool:
    """Returns whether the identity provider probably lets the user log in. API keys do not count."""
    if row.provider is None or (row.user.get("external_id") is None and row.last_login_at is None):
        return False
    domains = {domain.lower() for domain in row.provider.get("domains") or ()}
    emails = row.user.get("emails") or ()
    return not domains or any(email.rpartition("@")[2].lower() in domains for email in emails)


def _administers(connection: Connection, id: str, permissions: Permissions) -> bool:
    """Returns whether the user holds all rights on the platform by lasting, unconditional grants.

    Memberships that a login can change do not count.
    """
    through = {id, *grants.all_groups(id, lambda members: _lasting_groups(connection, members))}
    subjects = {id, *grants.groups_of(connection, id)}
    until = clock.now() + LOOK_AHEAD
    rules = [
        rule
        for rule in grants.rules(connection, GRANT.c.principal_id.in_(subjects))
        if rule.denies or (rule.subject_id in through and (rule.expires_at is None or rule.expires_at > until))
    ]
    access = Access(rules, permissions)
    checked: set[tuple[int, ...]] = set()
    for permission in permissions:
        groups = access.covering(permission)
        if groups not in checked and not access.allows(permission, ROOT):
            return False
        checked.add(groups)
    return True


def _lasting_groups(connection: Connection, members: Sequence[str]) -> Iterable[tuple[str, str]]:
    """Returns pairs of a group and a direct member, without groups whose members change at logins."""
    select = (
        sa.select(MEMBER.c.group_id, MEMBER.c.member_id)
        .join(RESOURCE, RESOURCE.c.id == MEMBER.c.group_id)
        .where(MEMBER.c.member_id.in_(members), RESOURCE.c.deleted_at.is_(None))
        .where(RESOURCE.c.spec["source"].as_string().is_distinct_from(_CLAIM))
    )
    return [(group, member) for group, member in connection.execute(select)]
