"""A check that for each active policy on rows there is a user who can end it."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.credentials.lockout import LOOK_AHEAD, able_to_log_in
from api.kernel.permissions import grants
from api.kernel.permissions.access import Access, Permissions
from api.kernel.permissions.graph import READ_ASSET, READ_ROWS
from api.kernel.permissions.row_policies import POLICY, RowPolicy, active
from api.kernel.roles import Role
from api.kernel.securable import PLATFORM, Securable
from api.kernel.tables import GRANT, RESOURCE
from core import clock
from core.db import Database
from core.errors import Conflict

_NEEDED = f"{POLICY}.disable", READ_ASSET, READ_ROWS
"""What a user needs on the organization of a policy to end it."""


def refuse_policy_lockout(connection: Connection, database: Database, permissions: Permissions) -> None:
    """Refuses a change after which no user can end an active policy.

    Raises:
        Conflict: before the change the policy wasn't active, or a user could end it.
    """
    until = clock.now() + LOOK_AHEAD
    stuck = without_end(connection, permissions, until)
    if not stuck:
        return
    with database.read() as before:
        stuck = {id: name for id, name in stuck.items() if id not in without_end(before, permissions, until)}
    if stuck:
        raise Conflict(
            f"No user could end the policy {min(stuck.values())} after this change. First exempt another user who can "
            "log in, can read all rows of the organization, and can disable policies, by grants without a condition "
            f"for more than {LOOK_AHEAD.days} days. Or disable the policy."
        )


def without_end(connection: Connection, permissions: Permissions, until: datetime) -> dict[str, str]:
    """Returns the names of the active policies of active organizations that no user can end at a time, by id."""
    left = {policy.id: policy for policy in active(connection)}
    if not left:
        return {}
    open_places = sa.select(RESOURCE.c.id).where(RESOURCE.c.state == "ACTIVE", RESOURCE.c.deleted_at.is_(None))
    owners = {policy.organization_id for policy in left.values()}
    owners = set(connection.execute(open_places.where(RESOURCE.c.id.in_(owners))).scalars())
    left = {id: policy for id, policy in left.items() if policy.organization_id in owners}
    places = {PLATFORM, *owners}
    least = permissions.get(_NEEDED[0], Role.ADMIN)
    checked: set[str] = set()
    holders = {
        rule.subject_id
        for rule in grants.rules(connection, sa.and_(GRANT.c.securable_id.in_(places), GRANT.c.condition == ""))
        if not rule.denies and not rule.expired(until) and rule.covers(_NEEDED[0], least)
    }
    for wave in grants.waves_of_members(connection, holders):
        for id in able_to_log_in(connection, sorted(wave - checked)):
            subjects = {id, *grants.groups_of(connection, id)}
            access = Access(grants.rules(connection, GRANT.c.principal_id.in_(subjects)), permissions, moment=until)
            left = {key: policy for key, policy in left.items() if not _can_end(access, subjects, policy)}
            if not left:
                return {}
        checked |= wave
    return {id: policy.name for id, policy in left.items()}


def _can_end(access: Access, subjects: set[str], policy: RowPolicy) -> bool:
    place = Securable("admin.organization", policy.organization_id, policy.organization_id)
    return not policy.restricts(subjects) and all(access.allows(permission, place) for permission in _NEEDED)
