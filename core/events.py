"""What happened, as CloudEvents 1.0 in a transactional outbox.

An event is appended in the same transaction as the change it tells of, so neither exists without the other.
The same rows are the audit source and the feed that watchers resume from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core import clock
from core.db import METADATA, UtcDateTime
from core.ids import new_id

EVENT = sa.Table(
    "event",
    METADATA,
    sa.Column("sequence", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("id", sa.String(64), nullable=False, unique=True),
    sa.Column("type", sa.String(128), nullable=False, index=True),
    sa.Column("subject", sa.String(256), nullable=False, index=True),
    sa.Column("principal", sa.String(128), nullable=False),
    sa.Column("request_id", sa.String(64), nullable=False),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("data", sa.JSON, nullable=False),
)


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

    def to_cloudevent(self) -> dict[str, Any]:
        """The CloudEvents 1.0 JSON form."""
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
        }


def append(connection: Connection, event: Event) -> int:
    """Appends an event in the caller's transaction and returns its sequence number."""
    sequence = connection.execute(
        EVENT.insert()
        .returning(EVENT.c.sequence)
        .values(
            id=event.id,
            type=event.type,
            subject=event.subject,
            principal=event.principal,
            request_id=event.request_id,
            at=event.at,
            data=dict(event.data),
        )
    )
    return int(sequence.scalar_one())
