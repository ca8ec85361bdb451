"""What happened, as CloudEvents 1.0 in a transactional outbox.

An event is appended in the same transaction as the change it tells of, so neither exists without the other.
The same rows are the audit source and the feed that watchers resume from.

There is one total order. Who appends takes the row `event_head` until he commits, so sequences have no gaps and are
committed in their order: whoever has seen a sequence has seen all before it. Append last in a transaction, since the
row is what all writers meet at.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any
from weakref import WeakKeyDictionary

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core import clock
from core.db import METADATA, Prepared, UtcDateTime, insert, tell
from core.ids import new_id

GENESIS = "0" * 64
"""The hash before the first event."""

_SEQUENCE = sa.BigInteger().with_variant(sa.Integer, "sqlite")

EVENT_HEAD = sa.Table(
    "event_head",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
)

EVENT = sa.Table(
    "event",
    METADATA,
    sa.Column("sequence", _SEQUENCE, primary_key=True, autoincrement=False),
    sa.Column("id", sa.String(64), nullable=False, unique=True),
    sa.Column("type", sa.String(128), nullable=False),
    sa.Column("kind", sa.String(64)),
    sa.Column("subject", sa.String(256), nullable=False),
    sa.Column("organization_id", sa.String(64)),
    sa.Column("project_id", sa.String(64)),
    sa.Column("principal", sa.String(128), nullable=False),
    sa.Column("principal_id", sa.String(64), nullable=False),
    sa.Column("on_behalf_of", sa.String(128)),
    sa.Column("request_id", sa.String(64), nullable=False),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("data", sa.JSON, nullable=False),
    sa.Column("previous_hash", sa.String(64), nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
    sa.Column("traceparent", sa.String(55)),
    sa.Index("ix_event_type_sequence", "type", "sequence"),
    sa.Index("ix_event_kind_sequence", "kind", "sequence"),
    sa.Index("ix_event_subject_sequence", "subject", "sequence"),
    sa.Index("ix_event_organization_id_sequence", "organization_id", "sequence"),
    sa.Index("ix_event_project_id_sequence", "project_id", "sequence"),
)

_HEAD = 1
_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode


@dataclass(frozen=True, slots=True)
class Event:
    """One fact: `type` is `<service>.<kind>.<past tense>`, `subject` the id it happened to."""

    type: str
    subject: str
    principal: str
    data: Mapping[str, Any] = field(default_factory=dict)
    request_id: str = ""
    id: str = field(default_factory=lambda: new_id("evt"))
    at: datetime = field(default_factory=clock.now)
    organization_id: str | None = None
    project_id: str | None = None
    kind: str | None = None
    """`<service>.<kind>`; taken from `type` if absent."""
    principal_id: str = ""
    on_behalf_of: str | None = None
    traceparent: str | None = None
    """Where the request stood in its trace (W3C), if somebody else knows of that trace. Not part of the chain."""

    def to_cloudevent(self) -> dict[str, Any]:
        """The CloudEvents 1.0 JSON form."""
        optional = {
            "organizationid": self.organization_id,
            "projectid": self.project_id,
            "onbehalfof": self.on_behalf_of,
            "traceparent": self.traceparent,
        }
        return {
            "specversion": "1.0",
            "id": self.id,
            "source": "/headwater",
            "type": self.type,
            "subject": self.subject,
            "time": self.at.isoformat(),
            "datacontenttype": "application/json",
            "data": dict(self.data),
            "principal": self.principal,
            "requestid": self.request_id,
        } | {name: value for name, value in optional.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event as it stands in the order."""

    sequence: int
    event: Event

    def to_cloudevent(self) -> dict[str, Any]:
        """The CloudEvents 1.0 JSON form, with the extension `sequence` (a string that sorts as the number does)."""
        return self.event.to_cloudevent() | {"sequence": f"{self.sequence:020}"}


_FIELDS = tuple(item.name for item in fields(Event))
# A trace is no fact of the trail, and chains from before events had one must hold.
_CHAINED = ("sequence", *(name for name in _FIELDS if name != "traceparent"))


def recorded(row: sa.Row[*tuple[Any, ...]]) -> Recorded:
    """The event in a row of the table."""
    values = row._mapping
    return Recorded(values["sequence"], Event(**{name: values[name] for name in _FIELDS}))


_INSERT = Prepared(EVENT.insert())
_ADVANCE = Prepared(
    EVENT_HEAD.update()
    .where(
        EVENT_HEAD.c.id == sa.literal_column(str(_HEAD)),
        EVENT_HEAD.c.sequence == sa.bindparam("known_sequence"),
        EVENT_HEAD.c.hash == sa.bindparam("known_hash"),
    )
    .values(sequence=sa.bindparam("new_sequence"), hash=sa.bindparam("new_hash"))
)
_HEAD_ROW = sa.select(EVENT_HEAD.c.sequence, EVENT_HEAD.c.hash).where(EVENT_HEAD.c.id == _HEAD)

_LATEST: WeakKeyDictionary[sa.Engine, tuple[int, str]] = WeakKeyDictionary()
"""The head as this process left it. Another one may have moved it, or its transaction may have been rolled back: so
it is only believed while the row still has the same sequence and hash."""


def append(connection: Connection, event: Event) -> int:
    """Appends an event in the caller's transaction and returns its sequence number."""
    return append_all(connection, [event])


def append_all(connection: Connection, events: Sequence[Event]) -> int:
    """Appends events in this order, in the caller's transaction; returns the last sequence number (0 if none given)."""
    if not events:
        return 0
    latest = _LATEST.get(connection.engine)
    rows = _chained(events, *latest) if latest else []
    if latest is None or not _advance(connection, latest, rows[-1]):
        latest = _held(connection)
        rows = _chained(events, *latest)
        _advance(connection, latest, rows[-1])
    _INSERT.run(connection, rows)
    _LATEST[connection.engine] = rows[-1]["sequence"], rows[-1]["hash"]
    tell(connection)
    return int(rows[-1]["sequence"])


def head(connection: Connection) -> tuple[int, str]:
    """The last sequence number and its hash."""
    row = connection.execute(_HEAD_ROW).first()
    return (row.sequence, row.hash) if row else (0, GENESIS)


def digest(row: Mapping[str, Any], previous: str) -> str:
    """SHA-256 over the hash before and the canonical JSON (sorted keys, compact) of what is chained."""
    values = {name: row[name] for name in _CHAINED}
    values["at"] = values["at"].astimezone(UTC).isoformat(timespec="microseconds")
    return hashlib.sha256(f"{previous}{_canonical(values)}".encode()).hexdigest()


def _row(sequence: int, event: Event) -> dict[str, Any]:
    row = {name: getattr(event, name) for name in _FIELDS}
    row["sequence"] = sequence
    row["kind"] = event.kind or ".".join(event.type.split(".")[:2])
    # As it will be read back: keys that are no strings would sort in another order then.
    row["data"] = json.loads(json.dumps(dict(event.data), allow_nan=False))
    return row


def _chained(events: Sequence[Event], sequence: int, previous: str) -> list[dict[str, Any]]:
    """The rows of events that follow this head."""
    rows = []
    for number, event in enumerate(events, sequence + 1):
        row = _row(number, event)
        row["previous_hash"] = previous
        previous = row["hash"] = digest(row, previous)
        rows.append(row)
    return rows


def _advance(connection: Connection, known: tuple[int, str], last: Mapping[str, Any]) -> bool:
    """Takes the head and moves it to this row, unless it is another one than is known."""
    new = {"new_sequence": last["sequence"], "new_hash": last["hash"]}
    return _ADVANCE.run(connection, [{"known_sequence": known[0], "known_hash": known[1]} | new]) == 1


def _held(connection: Connection) -> tuple[int, str]:
    """Takes the head and returns its sequence and hash."""
    row = connection.execute(_HEAD_ROW.with_for_update()).first()
    if row is None:
        # Waits for whoever is about to make the same row.
        first = insert(connection, EVENT_HEAD).values(id=_HEAD, sequence=0, hash=GENESIS)
        connection.execute(first.on_conflict_do_nothing())
        row = connection.execute(_HEAD_ROW.with_for_update()).one()
    return row.sequence, row.hash


@dataclass(frozen=True, slots=True)
class Break:
    """Where the chain does not hold."""

    sequence: int
    detail: str


def verify(connection: Connection, *, after: int = 0, until: int | None = None, batch: int = 1000) -> Break | None:
    """Recomputes the chain and returns its first break, or nothing if it holds.

    Finds altered, missing, inserted and reordered rows, and rows cut off at the end. Who can write to the database can
    also compute a whole new chain: compare a hash with a copy kept elsewhere to know of that.

    Args:
        after: begin behind this event, whose hash is trusted.
        until: the last event looked at; the newest if absent.
        batch: rows read at a time.
    """
    # Before the head, so that an event appended in between is not taken for a forged one.
    newest = connection.execute(sa.select(sa.func.max(EVENT.c.sequence))).scalar() or 0
    last, last_hash = head(connection)
    if newest > last:
        return Break(last + 1, f"There are events up to {newest}, but the head of the chain is {last}.")
    previous = GENESIS
    if after:
        trusted = connection.execute(sa.select(EVENT.c.hash).where(EVENT.c.sequence == after)).scalar()
        if trusted is None:
            return Break(after, f"Event {after} is missing.")
        previous = trusted
    end, position = min(until or last, last), after
    while position < end:
        query = sa.select(EVENT).where(EVENT.c.sequence > position, EVENT.c.sequence <= end)
        rows = connection.execute(query.order_by(EVENT.c.sequence).limit(batch)).mappings().all()
        if not rows:
            return Break(position + 1, f"Events {position + 1} to {end} are missing.")
        for row in rows:
            if row["sequence"] != position + 1:
                return Break(position + 1, f"Event {position + 1} is missing.")
            if row["previous_hash"] != previous:
                return Break(row["sequence"], f"Event {row['sequence']} does not follow the event before it.")
            if digest({str(name): value for name, value in row.items()}, previous) != row["hash"]:
                return Break(row["sequence"], f"Event {row['sequence']} was altered.")
            previous, position = row["hash"], row["sequence"]
    if position == last and previous != last_hash:
        return Break(last, f"The head of the chain does not match event {last}.")
    return None
