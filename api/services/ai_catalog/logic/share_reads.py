"""The record of what recipients read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from api.kernel.platform import Platform
from api.services.ai_catalog.logic.sharing import SHARE
from api.services.ai_catalog.sharing_tables import SHARE_READ
from core import clock, events
from core.ids import new_id

_MAX_CLIENT = 64


@dataclass(frozen=True, slots=True)
class Read:
    """A query of a recipient."""

    recipient_id: str
    recipient: str
    share_id: str
    shared: Any
    """Row of the table in the share."""
    operation: str
    """`query` or `changes`."""
    version: int
    files: int
    size_bytes: int
    client: str
    request_id: str
    traceparent: str | None


def record(platform: Platform, read: Read) -> None:
    """Stores a query, with its audit event."""
    place = {"organization_id": read.shared.organization_id, "project_id": read.shared.project_id}
    facts = {
        "share_id": read.share_id,
        "asset": read.shared.asset,
        "version": read.version,
        "files": read.files,
        "size_bytes": read.size_bytes,
    }
    event = events.Event(
        f"{SHARE}.queried",
        read.share_id,
        read.recipient,
        {"action": f"{SHARE}.{read.operation}", "outcome": "succeeded", "client": read.client, **facts},
        read.request_id,
        principal_id=read.recipient_id,
        kind=SHARE,
        traceparent=read.traceparent,
        **place,
    )
    row = {"id": new_id("srd"), "recipient_id": read.recipient_id, "recipient": read.recipient, **place, **facts}
    row |= {"operation": read.operation, "client": read.client[:_MAX_CLIENT], "at": clock.now()}
    with platform.database.write() as connection:
        connection.execute(SHARE_READ.insert().values(row))
        events.append_all(connection, [event])
