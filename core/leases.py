"""Leases: one holder at a time among all processes, and a holder that dies loses the lease by itself."""

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
    """Takes the lease for a time, or extends it for who holds it already. False if somebody else does."""
    now = clock.now()
    expires_at = now + timedelta(seconds=seconds)
    mine_or_expired = sa.or_(LEASE.c.holder == holder, LEASE.c.expires_at <= now)
    with database.write() as connection:
        taken = connection.execute(
            LEASE.update().where(LEASE.c.name == name, mine_or_expired).values(holder=holder, expires_at=expires_at)
        )
        if taken.rowcount:
            return True
        if connection.execute(sa.select(LEASE.c.name).where(LEASE.c.name == name)).first():
            return False
    try:
        with database.write() as connection:
            connection.execute(LEASE.insert().values(name=name, holder=holder, expires_at=expires_at))
    except sa.exc.IntegrityError:
        return False  # somebody else was first
    return True


def release(database: Database, name: str, holder: str) -> None:
    """Gives the lease back. Does nothing if it was lost in the meantime."""
    with database.write() as connection:
        connection.execute(LEASE.delete().where(LEASE.c.name == name, LEASE.c.holder == holder))


def holder_of(database: Database, name: str) -> str | None:
    """Who holds the lease now, if anybody."""
    with database.read() as connection:
        row = connection.execute(
            sa.select(LEASE.c.holder).where(LEASE.c.name == name, LEASE.c.expires_at > clock.now())
        ).first()
    return row.holder if row else None
