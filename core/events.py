"""Events: CloudEvents 1.0 records in a transactional outbox.

An event is appended in the same transaction as the change that it describes, so both are committed or neither is.
The same rows are the source of the audit log and the feed from which watchers resume.

All events have one total order. A transaction that appends events locks the row in `event_head` until it commits.
Sequence numbers therefore have no gaps and are committed in order: a reader that has seen a number has seen all lower
ones. Append at the end of a transaction, because all writers wait for this one row.
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
from core.db import METADATA, Prepared, UtcDateTime, insert, notify_after_commit
from core.ids import new_id

GENESIS = "0" * 64
"""The hash that precedes the first event."""

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
    """An event. `type` is `<service>.<kind>.<past tense>`; `subject` is the id of the resource that it's about."""

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
    """`<service>.<kind>`; derived from `type` if not set."""
    principal_id: str = ""
    on_behalf_of: str | None = None
    traceparent: str | None = None
    """W3C trace context of the request, if another system takes part in the trace. Not part of the hash chain."""

    def to_cloudevent(self) -> dict[str, Any]:
        """Returns the CloudEvents 1.0 JSON form."""
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
class RecordedEvent:
    """A stored event with its sequence number."""

    sequence: int
    event: Event

    def to_cloudevent(self) -> dict[str, Any]:
        """Returns the CloudEvents 1.0 JSON form with the extension `sequence`, zero-padded so that it sorts as text."""
        return self.event.to_cloudevent() | {"sequence": f"{self.sequence:020}"}


_FIELDS = tuple(item.name for item in fields(Event))
# The trace isn't part of the audit log, and hashes of events from before the column existed must stay valid.
_CHAINED = ("sequence", *(name for name in _FIELDS if name != "traceparent"))


def event_from_row(row: sa.Row[*tuple[Any, ...]]) -> RecordedEvent:
    """Converts a row of the event table."""
    values = row._mapping
    return RecordedEvent(values["sequence"], Event(**{name: values[name] for name in _FIELDS}))


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
"""The head after this process's last append. Another process may have moved it since, or the transaction may have been
rolled back, so it is only used if the row in the database still has the same sequence and hash."""


def append(connection: Connection, event: Event) -> int:
    """Appends an event in the caller's transaction and returns its sequence number."""
    return append_all(connection, [event])


def append_all(connection: Connection, events: Sequence[Event]) -> int:
    """Appends events in this order in the caller's transaction. Returns the last sequence number; 0 for no events."""
    if not events:
        return 0
    latest = _LATEST.get(connection.engine)
    rows = _chain_rows(events, *latest) if latest else []
    if latest is None or not _advance(connection, latest, rows[-1]):
        latest = _lock_head(connection)
        rows = _chain_rows(events, *latest)
        _advance(connection, latest, rows[-1])
    _INSERT.run(connection, rows)
    _LATEST[connection.engine] = rows[-1]["sequence"], rows[-1]["hash"]
    notify_after_commit(connection)
    return int(rows[-1]["sequence"])


def head(connection: Connection) -> tuple[int, str]:
    """Returns the last sequence number and its hash."""
    row = connection.execute(_HEAD_ROW).first()
    return (row.sequence, row.hash) if row else (0, GENESIS)


def event_hash(row: Mapping[str, Any], previous: str) -> str:
    """Returns the SHA-256 hash of the previous hash and the chained fields as canonical JSON (sorted keys, compact)."""
    values = {name: row[name] for name in _CHAINED}
    values["at"] = values["at"].astimezone(UTC).isoformat(timespec="microseconds")
    return hashlib.sha256(f"{previous}{_canonical(values)}".encode()).hexdigest()


def _row(sequence: int, event: Event) -> dict[str, Any]:
    row = {name: getattr(event, name) for name in _FIELDS}
    row["sequence"] = sequence
    row["kind"] = event.kind or ".".join(event.type.split(".")[:2])
    # The round trip gives the data as it will be read back: JSON turns other keys into strings, which sort differently.
    row["data"] = json.loads(json.dumps(dict(event.data), allow_nan=False))
    return row


def _chain_rows(events: Sequence[Event], sequence: int, previous: str) -> list[dict[str, Any]]:
    """Builds the rows of events that follow the given head."""
    rows = []
    for number, event in enumerate(events, sequence + 1):
        row = _row(number, event)
        row["previous_hash"] = previous
        previous = row["hash"] = event_hash(row, previous)
        rows.append(row)
    return rows


def _advance(connection: Connection, known: tuple[int, str], last: Mapping[str, Any]) -> bool:
    """Locks the head and moves it to the last row. Returns False if the head in the database is not the known one."""
    new = {"new_sequence": last["sequence"], "new_hash": last["hash"]}
    return _ADVANCE.run(connection, [{"known_sequence": known[0], "known_hash": known[1]} | new]) == 1


def _lock_head(connection: Connection) -> tuple[int, str]:
    """Locks the head and returns its sequence number and hash."""
    row = connection.execute(_HEAD_ROW.with_for_update()).first()
    if row is None:
        # Waits for a concurrent transaction that inserts the same row.
        first = insert(connection, EVENT_HEAD).values(id=_HEAD, sequence=0, hash=GENESIS)
        connection.execute(first.on_conflict_do_nothing())
        row = connection.execute(_HEAD_ROW.with_for_update()).one()
    return row.sequence, row.hash


@dataclass(frozen=True, slots=True)
class ChainBreak:
    """The first event at which the hash chain is not intact."""

    sequence: int
    detail: str


def verify_chain(
    connection: Connection, *, after: int = 0, until: int | None = None, batch: int = 1000
) -> ChainBreak | None:
    """Recomputes the hash chain. Returns its first break, or `None` if the chain is intact.

    Detects altered, missing, inserted and reordered rows, and rows removed from the end. A user who can write to the
    database can also recompute the whole chain; to detect that, compare a hash with a copy stored elsewhere.

    Args:
        after: sequence number to start after; the hash of this event is trusted.
        until: last sequence number to check; the newest by default.
        batch: number of rows per query.
    """
    # Read before the head, so that an event appended in between isn't reported as forged.
    newest = connection.execute(sa.select(sa.func.max(EVENT.c.sequence))).scalar() or 0
    last, last_hash = head(connection)
    if newest > last:
        return ChainBreak(last + 1, f"There are events up to {newest}, but the head of the chain is {last}.")
    previous = GENESIS
    if after:
        trusted = connection.execute(sa.select(EVENT.c.hash).where(EVENT.c.sequence == after)).scalar()
        if trusted is None:
            return ChainBreak(after, f"Event {after} is missing.")
        previous = trusted
    end, position = min(until or last, last), after
    while position < end:
        query = sa.select(EVENT).where(EVENT.c.sequence > position, EVENT.c.sequence <= end)
        rows = connection.execute(query.order_by(EVENT.c.sequence).limit(batch)).mappings().all()
        if not rows:
            return ChainBreak(position + 1, f"Events {position + 1} to {end} are missing.")
        for row in rows:
            if row["sequence"] != position + 1:
                return ChainBreak(position + 1, f"Event {position + 1} is missing.")
            if row["previous_hash"] != previous:
                return ChainBreak(row["sequence"], f"Event {row['sequence']} does not follow the event before it.")
            if event_hash({str(name): value for name, value in row.items()}, previous) != row["hash"]:
                return ChainBreak(row["sequence"], f"Event {row['sequence']} was altered.")
            previous, position = row["hash"], row["sequence"]
    if position == last and previous != last_hash:
        return ChainBreak(last, f"The head of the chain does not match event {last}.")
    return None
