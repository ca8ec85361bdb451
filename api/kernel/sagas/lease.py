"""The lease of a saga. Its holder runs the saga, and every write checks that the lease is still held."""

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
    """Another process has the lease, or the operation has ended."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease of an operation. `holder` is a new id for each acquisition, even within one process."""

    operation: str
    holder: str
    seconds: float


def free() -> sa.ColumnElement[bool]:
    """Returns the condition that the lease of an operation is free or has expired."""
    return sa.or_(OPERATION.c.lease_holder.is_(None), OPERATION.c.lease_expires_at <= clock.now())


def acquire(connection: Connection, lease: Lease) -> bool:
    """Acquires the lease of an unfinished saga. Returns False if it is held."""
    values = {"lease_holder": lease.holder, "lease_expires_at": clock.now() + timedelta(seconds=lease.seconds)}
    return bool(connection.execute(_live(lease.operation).where(free()).values(**values)).rowcount)


def hold(connection: Connection, /, lease: Lease, **values: Any) -> None:
    """Extends the lease and changes columns of the operation. No process can take the lease before this commits.

    Raises:
        LeaseLost: the lease is no longer held.
    """
    extended = {"lease_expires_at": clock.now() + timedelta(seconds=lease.seconds)}
    held = _live(lease.operation).where(OPERATION.c.lease_holder == lease.holder)
    if not connection.execute(held.values(**extended, **values)).rowcount:
        raise LeaseLost(lease.operation)


def release(connection: Connection, lease: Lease) -> None:
    """Releases the lease, so that another process can continue immediately. Does nothing if the lease was lost."""
    held = _live(lease.operation).where(OPERATION.c.lease_holder == lease.holder)
    if connection.execute(held.values(lease_holder=None, lease_expires_at=None)).rowcount:
        steps.discard_attempt(connection, lease.operation)


def ready(connection: Connection, sagas: list[str], limit: int) -> list[str]:
    """Returns the ids of unfinished operations of these sagas whose lease is free, oldest first."""
    waiting = sa.select(OPERATION.c.id).where(_unfinished(), OPERATION.c.saga.in_(sagas), free())
    return list(connection.execute(waiting.order_by(OPERATION.c.id).limit(limit)).scalars())


def _live(id: str) -> sa.Update:
    saga = OPERATION.c.executor == Executor.SAGA.value
    return OPERATION.update().where(OPERATION.c.id == id, saga, _unfinished())


def _unfinished() -> sa.ColumnElement[bool]:
    return OPERATION.c.state.in_([state.value for state in OperationState if state not in FINAL])
