"""The lease of an operation: whoever holds it carries the saga out, and every write proves that he still does."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.operations.store import FINAL, Executor, OperationState
from api.kernel.sagas import steps
from api.kernel.tables import OPERATION
from core import clock


class LeaseLost(Exception):
    """Somebody else has taken the lease, or the operation has ended."""


@dataclass(frozen=True, slots=True)
class Lease:
    """One holding of one operation. `holder` is new each time it is taken, so it also tells a holder from himself."""

    operation: str
    holder: str
    seconds: float


def free() -> sa.ColumnElement[bool]:
    """Whether nobody holds the lease of an operation, or no longer."""
    return sa.or_(OPERATION.c.lease_holder.is_(None), OPERATION.c.lease_expires_at <= clock.now())


def acquire(connection: Connection, lease: Lease) -> bool:
    """Takes the lease of a saga that is not final; False if somebody holds it."""
    values = {"lease_holder": lease.holder, "lease_expires_at": clock.now() + timedelta(seconds=lease.seconds)}
    return bool(connection.execute(_live(lease.operation).where(free()).values(**values)).rowcount)


def hold(connection: Connection, /, lease: Lease, **values: Any) -> None:
    """Extends the lease and changes columns of the operation with it. Nobody can take it before this commits.

    Raises:
        LeaseLost: it is no longer held.
    """
    extended = {"lease_expires_at": clock.now() + timedelta(seconds=lease.seconds)}
    held = _live(lease.operation).where(OPERATION.c.lease_holder == lease.holder)
    if not connection.execute(held.values(**extended, **values)).rowcount:
        raise LeaseLost(lease.operation)


def release(connection: Connection, lease: Lease) -> None:
    """Gives the lease back, so that another process goes on at once. Does nothing if it was lost."""
    held = _live(lease.operation).where(OPERATION.c.lease_holder == lease.holder)
    if connection.execute(held.values(lease_holder=None, lease_expires_at=None)).rowcount:
        steps.give_back_attempt(connection, lease.operation)


def ready(connection: Connection, sagas: list[str], limit: int) -> list[str]:
    """Ids of unfinished operations of these sagas that nobody carries out, oldest first."""
    waiting = sa.select(OPERATION.c.id).where(_unfinished(), OPERATION.c.saga.in_(sagas), free())
    return list(connection.execute(waiting.order_by(OPERATION.c.id).limit(limit)).scalars())


def _live(id: str) -> sa.Update:
    saga = OPERATION.c.executor == Executor.SAGA.value
    return OPERATION.update().where(OPERATION.c.id == id, saga, _unfinished())


def _unfinished() -> sa.ColumnElement[bool]:
    return OPERATION.c.state.in_([state.value for state in OperationState if state not in FINAL])
