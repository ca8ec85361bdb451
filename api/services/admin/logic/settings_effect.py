"""Users that settings of passwords and logins affect at their next login."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.permissions.principal import PrincipalKind
from api.kernel.tables import PRINCIPAL, RESOURCE
from api.services.admin.logic.password_policy import Policy
from core import clock


def expired_passwords(connection: Connection, policy: Policy) -> int:
    """Returns the number of users whose password is too old for the policy."""
    if not policy.password_max_days:
        return 0
    oldest = clock.now() - timedelta(days=policy.password_max_days)
    return _count(connection, PRINCIPAL.c.password_changed_at <= oldest)


def unenrolled_users(connection: Connection) -> int:
    """Returns the number of users with a password and without a confirmed one-time password."""
    return _count(connection, PRINCIPAL.c.one_time_password.is_(None))


def _count(connection: Connection, condition: sa.ColumnElement[bool]) -> int:
    select = (
        sa.select(sa.func.count())
        .select_from(PRINCIPAL.join(RESOURCE, RESOURCE.c.id == PRINCIPAL.c.id))
        .where(
            PRINCIPAL.c.kind == PrincipalKind.USER.value,
            PRINCIPAL.c.password_hash.is_not(None),
            RESOURCE.c.deleted_at.is_(None),
            condition,
        )
    )
    return int(connection.execute(select).scalar_one())
