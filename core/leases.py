"""Leases: locks with one holder among all processes. A holder that stops loses its lease when the lease expires."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa

from core import clock
from core.db import METADATA, Database, UtcDateTime

LEASE = sa.Table(
    "lease",
    METADATA,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("holder", sa.String(128), nullable=False),
    sa.Column("expires_at", UtcDateTime, nullable=False),
)


def acquire(database: Database, name: str, holder: str, seconds: float) -> bool:
    """Acquires the lease, or extends it if `holder` already has it. Returns whether `holder` has the lease."""
    now = clock.now()
    expires_at = now + timedelta(seconds=seconds)
    own_or_expired = sa.or_(LEASE.c.holder == holder, LEASE.c.expires_at <= now)
    with database.write() as connection:
        updated = connection.execute(
            LEASE.update().where(LEASE.c.name == name, own_or_expired).values(holder=holder, expires_at=expires_at)
        )
        if updated.rowcount:
            return True
        if connection.execute(sa.select(LEASE.c.name).where(LEASE.c.name == name)).first():
            return False
    try:
        with database.write() as connection:
            connection.execute(LEASE.insert().values(name=name, holder=holder, expires_at=expires_at))
    except sa.exc.IntegrityError:
        return False  # another process inserted the row first
    return True


def release(database: Database, name: str, holder: str) -> None:
    """Releases the lease. Does nothing if `holder` no longer has it."""
    with database.write() as connection:
        connection.execute(LEASE.delete().where(LEASE.c.name == name, LEASE.c.holder == holder))


def current_holder(database: Database, name: str) -> str | None:
    """Returns the current holder of the lease; `None` if no process holds it."""
    with database.read() as connection:
        row = connection.execute(
            sa.select(LEASE.c.holder).where(LEASE.c.name == name, LEASE.c.expires_at > clock.now())
        ).first()
    return row.holder if row else None
