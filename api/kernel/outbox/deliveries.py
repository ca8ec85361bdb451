"""Rows of the outbox: cursors, deliveries that wait, dead letters, and how far consumers are behind."""

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
"""How long dead letters, and marks of what was seen, are kept."""


class DeliveryState(StrEnum):
    """`PENDING` is tried again, or waits behind an event of its subject that is. `DEAD` was given up."""

    PENDING = "PENDING"
    DEAD = "DEAD"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event that a consumer has not taken yet."""

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
    """How far a consumer is behind the newest event."""

    events_behind: int
    seconds_behind: float


def cursor(connection: Connection, consumer: str) -> int | None:
    """The last event the consumer is past."""
    query = sa.select(OUTBOX_CURSOR.c.sequence).where(OUTBOX_CURSOR.c.consumer == consumer)
    return connection.execute(query).scalar()


def begin(connection: Connection, consumer: str, sequence: int) -> None:
    """Gives a consumer its first cursor, unless it has one."""
    row = insert(connection, OUTBOX_CURSOR).values(consumer=consumer, sequence=sequence)
    connection.execute(row.on_conflict_do_nothing())


def advance(connection: Connection, consumer: str, before: int, after: int) -> bool:
    """Moves the cursor on. False if it is not at `before`: somebody else moved it."""
    mine = OUTBOX_CURSOR.c.consumer == consumer, OUTBOX_CURSOR.c.sequence == before
    return bool(connection.execute(OUTBOX_CURSOR.update().where(*mine).values(sequence=after)).rowcount)


def put(connection: Connection, delivery: Delivery) -> None:
    """Stores or replaces a delivery."""
    values = {name: getattr(delivery, name) for name in Delivery.__slots__} | {"state": delivery.state.value}
    row = insert(connection, OUTBOX_DELIVERY).values(**values)
    connection.execute(row.on_conflict_do_update(index_elements=["consumer", "sequence"], set_=values))


def put_back(connection: Connection, delivery: Delivery) -> None:
    """Stores another failed try, unless the consumer was removed meanwhile."""
    values = {name: getattr(delivery, name) for name in Delivery.__slots__} | {"state": delivery.state.value}
    key = OUTBOX_DELIVERY.c.consumer == delivery.consumer, OUTBOX_DELIVERY.c.sequence == delivery.sequence
    connection.execute(OUTBOX_DELIVERY.update().where(*key).values(**values))


def delivered(connection: Connection, consumer: str, sequence: int) -> None:
    """Forgets a delivery that succeeded at last."""
    key = OUTBOX_DELIVERY.c.consumer == consumer, OUTBOX_DELIVERY.c.sequence == sequence
    connection.execute(OUTBOX_DELIVERY.delete().where(*key))


def held(connection: Connection, consumer: str, subjects: Sequence[str]) -> set[str]:
    """Those of the subjects whose events wait."""
    pending = OUTBOX_DELIVERY.c.consumer == consumer, OUTBOX_DELIVERY.c.state == DeliveryState.PENDING.value
    query = sa.select(OUTBOX_DELIVERY.c.subject).where(*pending, OUTBOX_DELIVERY.c.subject.in_(subjects))
    return set(connection.execute(query).scalars())


def due(connection: Connection, consumer: str, limit: int) -> list[Delivery]:
    """The first waiting event of each subject, if its time has come."""
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
    """Events given up for this consumer, oldest first, behind sequence `after`."""
    dead = OUTBOX_DELIVERY.c.consumer == consumer, OUTBOX_DELIVERY.c.state == DeliveryState.DEAD.value
    query = sa.select(OUTBOX_DELIVERY).where(*dead, OUTBOX_DELIVERY.c.sequence > after)
    return [_delivery(row) for row in connection.execute(query.order_by(OUTBOX_DELIVERY.c.sequence).limit(limit))]


def replay(connection: Connection, consumer: str, sequences: Sequence[int] | None = None) -> int:
    """Sends dead letters, all or these, again; returns how many."""
    dead = [OUTBOX_DELIVERY.c.consumer == consumer, OUTBOX_DELIVERY.c.state == DeliveryState.DEAD.value]
    if sequences is not None:
        dead.append(OUTBOX_DELIVERY.c.sequence.in_(sequences))
    now = clock.now()
    again = {"state": DeliveryState.PENDING.value, "attempts": 0, "next_at": now, "updated_at": now}
    return connection.execute(OUTBOX_DELIVERY.update().where(*dead).values(**again)).rowcount


def forget(connection: Connection, consumer: str) -> None:
    """Removes a consumer: its cursor, deliveries and marks."""
    for table in (OUTBOX_CURSOR, OUTBOX_DELIVERY, OUTBOX_SEEN):
        connection.execute(table.delete().where(table.c.consumer == consumer))


def once(connection: Connection, consumer: str, event_id: str) -> bool:
    """True the first time a consumer sees an event. Call it in the transaction of the effect, and skip on False."""
    row = insert(connection, OUTBOX_SEEN).values(consumer=consumer, event_id=event_id, seen_at=clock.now())
    # Not by `rowcount`, which psycopg no longer knows of an INSERT.
    return connection.execute(row.on_conflict_do_nothing().returning(OUTBOX_SEEN.c.event_id)).first() is not None


def purge(connection: Connection, *, keep: timedelta = RETENTION) -> None:
    """Removes dead letters and marks that are older than `keep`."""
    oldest = clock.now() - keep
    dead = OUTBOX_DELIVERY.c.state == DeliveryState.DEAD.value
    connection.execute(OUTBOX_DELIVERY.delete().where(dead, OUTBOX_DELIVERY.c.updated_at < oldest))
    connection.execute(OUTBOX_SEEN.delete().where(OUTBOX_SEEN.c.seen_at < oldest))


def lag(connection: Connection) -> dict[str, Lag]:
    """Per consumer: events it is not past yet or that wait for another try, and the age of the oldest in seconds."""
    newest, _ = events.head(connection)
    pending = OUTBOX_DELIVERY.c.state == DeliveryState.PENDING.value
    waiting = sa.select(
        OUTBOX_DELIVERY.c.consumer,
        sa.func.count().label("count"),
        sa.func.min(OUTBOX_DELIVERY.c.sequence).label("first"),
    ).where(pending)
    rows = {row.consumer: row for row in connection.execute(waiting.group_by(OUTBOX_DELIVERY.c.consumer))}
    found = {}
    for consumer, position in connection.execute(sa.select(OUTBOX_CURSOR.c.consumer, OUTBOX_CURSOR.c.sequence)):
        wait = rows.get(consumer)
        behind = newest - position + (wait[1] if wait else 0)
        oldest = wait.first if wait else position + 1
        at = connection.execute(sa.select(EVENT.c.at).where(EVENT.c.sequence == oldest)).scalar() if behind else None
        found[consumer] = Lag(behind, (clock.now() - at).total_seconds() if at else 0.0)
    return found


def dead(connection: Connection) -> dict[str, int]:
    """Per consumer: events that were given up."""
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
