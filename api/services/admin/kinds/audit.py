"""Audit events: which principal did what, when, and with which outcome."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import Any

import sqlalchemy as sa

from api.kernel.filtering import filters
from api.kernel.filtering.filters import FieldType
from api.kernel.kinds.context import Context
from api.kernel.kinds.kind import Kind
from api.kernel.kinds.unit import Unit
from api.kernel.models import Filter, ListQuery, Model, Page, Query, Timestamp
from api.kernel.roles import Role
from api.kernel.storage.listing import Order, decode_token, encode_token
from api.services.admin.logic import audit_export
from core.events import EVENT

OUTCOME = EVENT.c.data["outcome"].as_string()
FIELDS = {
    **{
        name: filters.Field(FieldType.STRING, EVENT.c[name])
        for name in ("id", "type", "kind", "subject", "principal", "principal_id", "on_behalf_of")
    },
    **{
        name: filters.Field(FieldType.STRING, EVENT.c[name]) for name in ("request_id", "organization_id", "project_id")
    },
    "outcome": filters.Field(FieldType.STRING, OUTCOME),
    "action": filters.Field(FieldType.STRING, EVENT.c.data["action"].as_string()),
    "at": filters.Field(FieldType.TIMESTAMP, EVENT.c.at),
    "sequence": filters.Field(FieldType.INTEGER, EVENT.c.sequence),
}
_NEWEST_FIRST = Order("", True)
_EXPORT_BATCH_SIZE = 1000
_MAX_FACETS = 100

AUDIT_EVENT = Kind(
    "audit_event",
    plural="audit-events",
    title="Audit event",
    description="A change or a denied attempt. Events never change, and each contains the hash of the previous one.",
    example="evt_06e1xq0000example000000000",
    scoped=True,
    filter_by=tuple(FIELDS),
)


class AuditEvent(Model):
    """One event of the audit log."""

    id: str
    """Id of the event."""

    sequence: int
    """Position of the event in the order of all events."""

    at: datetime
    """Time of the event."""

    type: str
    """Type of the event: `<service>.<kind>.<past tense>`."""

    kind: str | None
    """Kind of the subject."""

    subject: str
    """Id of the resource that the event is about."""

    organization_id: str | None
    """Id of the subject's organization. Null for the platform."""

    project_id: str | None
    """Id of the subject's project, if it belongs to one."""

    principal: str
    """Name of the principal that acted."""

    principal_id: str
    """Id of the principal that acted."""

    on_behalf_of: str | None
    """Principal for which it acted, if it acted for another one."""

    outcome: str | None
    """`succeeded`, `denied`, or `failed`. Null for events that follow from another event of the same request."""

    request_id: str
    """Id of the request."""

    data: dict[str, Any]
    """Details: the permission that was needed, the changed fields, the caller's address. Never a secret."""

    previous_hash: str
    """Hash of the previous event."""

    hash: str
    """SHA-256 of this event and the previous hash."""


class EventQuery(Query):
    """Selection of events."""

    filter: Filter = ""
    """Filter in CEL: `outcome == "denied" && principal == "ada"`."""

    since: Timestamp | None = None
    """Only events at this time or later."""

    until: Timestamp | None = None
    """Only events before this time."""


class EventListQuery(ListQuery, EventQuery):
    """Selection of events to list."""


class AuditFormat(StrEnum):
    """Format of an export."""

    NDJSON = "ndjson"
    CSV = "csv"
    OCSF = "ocsf"


class EventExportQuery(EventQuery):
    """Selection of events to export, and the format."""

    format: AuditFormat = AuditFormat.NDJSON
    """NDJSON (one JSON document per line), CSV, or OCSF (one API Activity per line)."""


class Count(Model):
    """Frequency of a value."""

    value: str | None
    """The value. Null for events without one."""

    count: int
    """Number of events with this value."""


class Facets(Model):
    """Counts of events by field."""

    total: int
    """Number of events."""

    type: list[Count]
    """Counts by type: the 100 most frequent."""

    principal: list[Count]
    """Counts by principal: the 100 most frequent."""

    outcome: list[Count]
    """Counts by outcome."""

    day: list[Count]
    """Counts by day in UTC: the newest 100 days."""


@AUDIT_EVENT.list(query=EventListQuery, item=AuditEvent, role=Role.ADMIN)
async def list_audit_events(ctx: Context, query: EventListQuery) -> Page[AuditEvent]:
    """Lists the events that the caller can read, newest first."""

    def read(unit: Unit) -> Page[AuditEvent]:
        Order.parse(query.order_by, ())
        select = _select(unit, query)
        if (start := decode_token(query.page_token, _NEWEST_FIRST, numbered=True)) is not None:
            select = select.where(EVENT.c.sequence < int(start[1]))
        rows = unit.connection.execute(select.order_by(EVENT.c.sequence.desc()).limit(query.page_size + 1)).all()
        page = rows[: query.page_size]
        has_next = len(rows) > query.page_size
        token = encode_token(_NEWEST_FIRST, None, str(page[-1].sequence)) if has_next else None
        return Page[AuditEvent](items=[_event(row) for row in page], next_page_token=token)

    return await ctx.read(read)


@AUDIT_EVENT.get(result=AuditEvent, role=Role.ADMIN)
async def get_audit_event(ctx: Context, audit_event: str) -> AuditEvent:
    """Returns an event."""

    def read(unit: Unit) -> AuditEvent:
        row = unit.connection.execute(_select(unit, EventQuery()).where(EVENT.c.id == audit_event)).first()
        if row is None:
            raise AUDIT_EVENT.unknown(audit_event)
        return _event(row)

    return await ctx.read(read)


@AUDIT_EVENT.file("export", query=EventExportQuery, role=Role.ADMIN)
async def export_audit_events(ctx: Context, query: EventExportQuery) -> AsyncGenerator[bytes, None]:
    """Streams the events that the caller can read, oldest first, as NDJSON, CSV, or OCSF API Activity."""
    # The first batch is read before the response starts, so that an invalid filter gets an error response.
    first = await ctx.read(partial(_batch, query, 0))

    async def lines() -> AsyncGenerator[bytes, None]:
        rows = first
        yield audit_export.head(query.format)
        while rows:
            yield b"".join(audit_export.line(_event(row).model_dump(mode="json"), query.format) for row in rows)
            rows = await ctx.read(partial(_batch, query, rows[-1].sequence))

    return lines()


@AUDIT_EVENT.collection_read("facets", query=EventQuery, result=Facets, role=Role.ADMIN)
async def audit_event_facets(ctx: Context, query: EventQuery) -> Facets:
    """Counts the events that the caller can read, by type, principal, outcome, and day."""

    def read(unit: Unit) -> Facets:
        def counts(value: sa.ColumnElement[Any], *order: sa.ColumnElement[Any]) -> list[Count]:
            count = sa.func.count().label("count")
            named = value.label("value")
            select = _narrowed(unit, query, sa.select(named, count)).group_by(named).limit(_MAX_FACETS)
            rows = unit.connection.execute(select.order_by(*(order or (count.desc(), named))))
            return [Count(value=row.value, count=row[1]) for row in rows]

        total = unit.connection.execute(_narrowed(unit, query, sa.select(sa.func.count()))).scalar_one()
        day = _day(unit)
        return Facets(
            total=total,
            type=counts(EVENT.c.type),
            principal=counts(EVENT.c.principal),
            outcome=counts(OUTCOME),
            day=counts(day, sa.text("value DESC")),  # type: ignore[arg-type]
        )

    return await ctx.read(read)


def _select(unit: Unit, query: EventQuery) -> sa.Select[Any]:
    return _narrowed(unit, query, sa.select(EVENT))


def _narrowed(unit: Unit, query: EventQuery, select: sa.Select[Any]) -> sa.Select[Any]:
    """Narrows a select to the events that the caller can read and that match the query."""
    access = unit.principal.access
    select = select.select_from(EVENT).where(access.where("admin.audit_event.get", EVENT, id=EVENT.c.subject))
    if query.filter.strip():
        select = select.where(filters.parse(query.filter, FIELDS).sql())
    if query.since is not None:
        select = select.where(EVENT.c.at >= query.since)
    if query.until is not None:
        select = select.where(EVENT.c.at < query.until)
    return select


def _batch(query: EventQuery, after: int, unit: Unit) -> list[Any]:
    select = _select(unit, query).where(EVENT.c.sequence > after).order_by(EVENT.c.sequence)
    return list(unit.connection.execute(select.limit(_EXPORT_BATCH_SIZE)))


def _day(unit: Unit) -> sa.ColumnElement[Any]:
    if unit.connection.dialect.name == "sqlite":
        return sa.func.date(EVENT.c.at)
    return sa.func.to_char(sa.func.timezone("UTC", EVENT.c.at), "YYYY-MM-DD")


def _event(row: Any) -> AuditEvent:
    values = {name: getattr(row, name) for name in AuditEvent.model_fields if name != "outcome"}
    return AuditEvent(**values, outcome=row.data.get("outcome"))
