"""Rows of the outbox: cursors, pending deliveries, dead letters, and the lag of consumers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.outbox.tables import OUTBOX_CURSOR, OUTBOX_DELIVERY, OUTBOX_SEEN
from core import clock, events
from core.db import insert
from core.events import EVENT

RETENTION = timedelta(days=30)
"""How long dead letters and the marks of `once` are stored."""


class DeliveryState(StrEnum):
    """State of a delivery.

    `PENDING`: it is retried, or blocked by an earlier event of its subject. `DEAD`: all attempts failed.
    """

    PENDING = "PENDING"
    DEAD = "DEAD"


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event that was not delivered to a consumer yet."""

    consumer: str
    sequence: int
    subject: str
    state: DeliveryState
    attempts: int
    next_at: datetime
    last_error: str
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Lag:
    """The lag of a consumer behind the newest event."""

    events_behind: int
    seconds_behind: float


def cursor(connection: Connection, consumer: str) -> int | None:
    """Returns the sequence number that the consumer has passed, or None if it has no cursor."""
    query = sa.select(OUTBOX_CURSOR.c.sequence).where(OUTBOX_CURSOR.c.consumer == consumer)
    return connection.execute(query).scalar()


def create_cursor(connection: Connection, consumer: str, sequence: int) -> None:
    """Creates the cursor of a consumer, unless it has one."""
    row = insert(connection, OUTBOX_CURSOR).values(consumer=consumer, sequence=sequence)
    connection.execute(row.on_conflict_do_nothing())


def advance(connection: Connection, consumer: str, before: int, after: int) -> bool:
    """Moves the cursor. Returns False if it is not at `before`, because another process moved it."""
    condition = OUTBOX_CURSOR.c.consumer == consumer, OUTBOX_CURSOR.c.sequence == before
    return bool(connection.execute(OUTBOX_CURSOR.update().where(*condition).values(sequence=after)).rowcount)


def put(connection: Connection, delivery: Delivery) -> None:
    """Stores or replaces a delivery."""
    values = {name: getattr(delivery, name) for name in Delivery.__slots__} | {"state": delivery.state.value}
    row = insert(connection, OUTBOX_DELIVERY).values(**values)
    connection.execute(row.on_conflict_do_update(index_elements=["consumer", "sequence"], set_=values))


def update(connection: Connection, delivery: Delivery) -> None:
    """Stores another failed attempt, unless the consumer was removed in the meantime."""
    values = {name: getattr(delivery, name) for name in Delivery.__slots__} | {"state": delivery.state.value}
    key = OUTBOX_DELIVERY.c.consumer == delivery.consumer, OUTBOX_DELIVERY.c.sequence == delivery.sequence
    connection.execute(OUTBOX_DELIVERY.update().where(*key).values(**values))


def delivered(connection: Connection, consumer: str, sequence: int) -> None:
    """Removes a delivery that succeeded."""
    key = OUTBOX_DELIVERY.c.consumer == consumer, OUTBOX_DELIVERY.c.sequence == sequence
    connection.execute(OUTBOX_DELIVERY.delete().where(*key))


def blocked(connection: Connection, consumer: str, subjects: Sequence[str]) -> set[str]:
    """Returns the subjects that have a pending delivery."""
    pending = OUTBOX_DELIVERY.c.consumer == consumer, OUTBOX_DELIVERY.c.state == DeliveryState.PENDING.value
    query = sa.select(OUTBOX_DELIVERY.c.subject).where(*pending, OUTBOX_DELIVERY.c.subject.in_(subjects))
    return set(connection.execute(query).scalars())


def due(connection: Connection, consumer: str, limit: int) -> list[Delivery]:
    """Returns the first pending delivery of each subject, if its next attempt is due."""
    earlier = OUTBOX_DELIVERY.alias()
    pending = DeliveryState.PENDING.value
    before = sa.exists().where(
        earlier.c.consumer == OUTBOX_DELIVERY.c.consumer,
        earlier.c.subject == OUTBOX_DELIVERY.c.subject,
        earlier.c.state == pending,
        earlier.c.sequence < OUTBOX_DELIVERY.c.sequence,
    )
    query = sa.select(OUTBOX_DELIVERY).where(
        OUTBOX_DELIVERY.c.consumer == consumer,
        OUTBOX_DELIVERY.c.state == pending,
        OUTBOX_DELIVERY.c.next_at <= clock.now(),
        ~before,
    )
    return [_delivery(row) for row in connection.execute(query.order_by(OUTBOX_DELIVERY.c.sequence).limit(limit))]


def dead_letters(connection: Connection, consumer: str, *, after: int = 0, limit: int = 100) -> list[Delivery]:
    """Returns the dead letters of the consumer after a sequence number, oldest first."""
    dead = OUTBOX_DELIVERY.c.consumer == consumer, OUTBOX_DELIVERY.c.state == DeliveryState.DEAD.value
    query = sa.select(OUTBOX_DELIVERY).where(*dead, OUTBOX_DELIVERY.c.sequence > after)
    return [_delivery(row) for row in connection.execute(query.order_by(OUTBOX_DELIVERY.c.sequence).limit(limit))]


def replay(connection: Connection, consumer: str, sequences: Sequence[int] | None = None) -> int:
    """Makes dead letters pending again, either all or those with these sequence numbers. Returns their number."""
    dead = [OUTBOX_DELIVERY.c.consumer == consumer, OUTBOX_DELIVERY.c.state == DeliveryState.DEAD.value]
    if sequences is not None:
        dead.append(OUTBOX_DELIVERY.c.sequence.in_(sequences))
    now = clock.now()
    values = {"state": DeliveryState.PENDING.value, "attempts": 0, "next_at": now, "updated_at": now}
    return connection.execute(OUTBOX_DELIVERY.update().where(*dead).values(**values)).rowcount


def remove(connection: Connection, consumer: str) -> None:
    """Removes a consumer with its cursor, deliveries, and marks."""
    for table in (OUTBOX_CURSOR, OUTBOX_DELIVERY, OUTBOX_SEEN):
        connection.execute(table.delete().where(table.c.consumer == consumer))


def once(connection: Connection, consumer: str, event_id: str) -> bool:
    """Marks an event as handled. Returns False if the consumer has handled it before.

    Call it in the transaction of the effect, and skip the effect if it returns False.
    """
    row = insert(connection, OUTBOX_SEEN).values(consumer=consumer, event_id=event_id, seen_at=clock.now())
    # psycopg does not set `rowcount` for this INSERT.
    return connection.execute(row.on_conflict_do_nothing().returning(OUTBOX_SEEN.c.event_id)).first() is not None


def purge(connection: Connection, *, keep: timedelta = RETENTION) -> None:
    """Removes dead letters and marks that are older than `keep`."""
    oldest = clock.now() - keep
    dead = OUTBOX_DELIVERY.c.state == DeliveryState.DEAD.value
    connection.execute(OUTBOX_DELIVERY.delete().where(dead, OUTBOX_DELIVERY.c.updated_at < oldest))
    connection.execute(OUTBOX_SEEN.delete().where(OUTBOX_SEEN.c.seen_at < oldest))


def lag(connection: Connection) -> dict[str, Lag]:
    """Returns the lag by consumer: the events that are new or pending, and the age of the oldest one in seconds."""
    newest, _ = events.head(connection)
    pending = OUTBOX_DELIVERY.c.state == DeliveryState.PENDING.value
    waiting = sa.select(
        OUTBOX_DELIVERY.c.consumer,
        sa.func.count().label("count"),
        sa.func.min(OUTBOX_DELIVERY.c.sequence).label("first"),
    ).where(pending)
    rows = {row.consumer: row for row in connection.execute(waiting.group_by(OUTBOX_DELIVERY.c.consumer))}
    lags = {}
    for consumer, position in connection.execute(sa.select(OUTBOX_CURSOR.c.consumer, OUTBOX_CURSOR.c.sequence)):
        row = rows.get(consumer)
        behind = newest - position + (row[1] if row else 0)
        oldest = row.first if row else position + 1
        at = connection.execute(sa.select(EVENT.c.at).where(EVENT.c.sequence == oldest)).scalar() if behind else None
        lags[consumer] = Lag(behind, (clock.now() - at).total_seconds() if at else 0.0)
    return lags


def dead_letter_counts(connection: Connection) -> dict[str, int]:
    """Returns the number of dead letters by consumer."""
    select = sa.select(OUTBOX_CURSOR.c.consumer, sa.func.count(OUTBOX_DELIVERY.c.sequence)).outerjoin(
        OUTBOX_DELIVERY,
        sa.and_(
            OUTBOX_DELIVERY.c.consumer == OUTBOX_CURSOR.c.consumer,
            OUTBOX_DELIVERY.c.state == DeliveryState.DEAD.value,
        ),
    )
    return {row.consumer: row[1] for row in connection.execute(select.group_by(OUTBOX_CURSOR.c.consumer))}


def _delivery(row: sa.Row[*tuple[Any, ...]]) -> Delivery:
    values = dict(row._mapping)
    return Delivery(**values | {"state": DeliveryState(values["state"])})
