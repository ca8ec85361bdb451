"""Lifetime of API keys, as the settings and the service account limit it."""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.credentials.accounts import Account
from api.kernel.credentials.tokens import TokenKind
from api.kernel.permissions.principal import PrincipalKind
from api.kernel.tables import RESOURCE, TOKEN
from api.services.admin.logic import password_policy


def longest(connection: Connection, account: Account) -> timedelta:
    """Returns the longest lifetime of a new key of the account."""
    days = password_policy.load(connection).key_max_days
    if account.kind is PrincipalKind.SERVICE_ACCOUNT:
        spec = sa.select(RESOURCE.c.spec["key_days"].as_integer()).where(RESOURCE.c.id == account.id)
        days = min(days, connection.execute(spec).scalar_one())
    return timedelta(days=days)


def longer(connection: Connection, where: sa.ColumnElement[bool], days: int, now: datetime) -> dict[str, datetime]:
    """Returns the valid keys that meet a condition and live longer than `days`, with the end of that time, by id."""
    lifetime = timedelta(days=days)
    valid = sa.select(TOKEN.c.id, TOKEN.c.created_at, TOKEN.c.expires_at).where(
        where, TOKEN.c.kind == TokenKind.TOKEN.value, TOKEN.c.revoked_at.is_(None), TOKEN.c.expires_at > now
    )
    rows = connection.execute(valid).all()
    return {row.id: row.created_at + lifetime for row in rows if row.created_at + lifetime < row.expires_at}


def shorten(connection: Connection, where: sa.ColumnElement[bool], days: int, now: datetime) -> int:
    """Lets the valid keys that meet a condition expire at most `days` after they were issued; returns their number."""
    ends = longer(connection, where, days, now)
    for id, end in ends.items():
        connection.execute(TOKEN.update().where(TOKEN.c.id == id).values(expires_at=end))
    return len(ends)
