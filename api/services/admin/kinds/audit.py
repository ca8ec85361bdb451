"""Audit events: who did what, when, with which outcome."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import Annotated, Any

import sqlalchemy as sa
from pydantic import Field

from api.kernel.filtering import filters
from api.kernel.filtering.filters import FieldType
from api.kernel.kinds.context import Context
from api.kernel.kinds.kind import Kind
from api.kernel.kinds.unit import Unit
from api.kernel.models import ListQuery, Model, Page, Query, Timestamp
from api.kernel.roles import Role
from api.kernel.storage.listing import Order, decode_token, encode_token
from api.services.admin.logic import audit_export
from core.errors import InvalidArgument
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
_EXPORTED_AT_ONCE = 1000
_MOST_FACETS = 100

AUDIT_EVENT = Kind(
    "audit_event",
    plural="audit-events",
    title="Audit event",
    description="What somebody did or tried to do. Events never change, and each holds the hash of the one before.",
    example="evt_06e1xq0000example000000000",
    scoped=True,
    filter_by=tuple(FIELDS),
)


class AuditEvent(Model):
    """One thing that happened."""

    id: str
    """Id of the event."""

    sequence: int
    """Its place in the one order of all events."""

    at: datetime
    """When."""

    type: str
    """What happened: `<service>.<kind>.<past tense>`."""

    kind: str | None
    """Kind of what it happened to."""

    subject: str
    """Id of what it happened to."""

    organization_id: str | None
    """Organization of that; null for the platform."""

    project_id: str | None
    """Project of that, if it is in one."""

    principal: str
    """Name of who did it."""

    principal_id: str
    """Id of who did it."""

    on_behalf_of: str | None
    """For whom, if for somebody else."""

    outcome: str | None
    """`succeeded`, `denied` or `failed`; null for what follows from another event of the same request."""

    request_id: str
    """The request that did it."""

    data: dict[str, Any]
    """Facts: the permission it needed, what changed, the address it came from. Never a secret."""

    previous_hash: str
    """Hash of the event before."""

    hash: str
    """SHA-256 of this event and the hash before."""


class EventQuery(Query):
    """Which events."""

    filter: Annotated[str, Field(max_length=2000)] = ""
    """Which ones, in the language of filters: `outcome == "denied" && principal == "ada"`."""

    since: Timestamp | None = None
    """Only what happened at this time or later."""

    until: Timestamp | None = None
    """Only what happened before this time."""


class EventListQuery(ListQuery, EventQuery):
    """Which events to list."""


class AuditFormat(StrEnum):
    """What an export is written as."""

    NDJSON = "ndjson"
    CSV = "csv"
    OCSF = "ocsf"


class EventExportQuery(EventQuery):
    """Which events to export, and how."""

    format: AuditFormat = AuditFormat.NDJSON
    """One JSON document a line, CSV, or one OCSF API Activity a line."""


class Count(Model):
    """How often something occurs."""

    value: str | None
    """The value; null where there is none."""

    count: int
    """How many events have it."""


class Facets(Model):
    """What the events are made of."""

    total: int
    """How many there are."""

    type: list[Count]
    """By type: the 100 most frequent."""

    principal: list[Count]
    """By who did it: the 100 most frequent."""

    outcome: list[Count]
    """By outcome."""

    day: list[Count]
    """By day, in UTC: the newest 100 days."""


@AUDIT_EVENT.list(query=EventListQuery, item=AuditEvent, role=Role.ADMIN)
async def list_audit_events(ctx: Context, query: EventListQuery) -> Page[AuditEvent]:
    """Lists what happened where the caller may read it, newest first."""

    def work(unit: Unit) -> Page[AuditEvent]:
        Order.parse(query.order_by, ())
        select = _select(unit, query)
        if (start := decode_token(query.page_token, _NEWEST_FIRST)) is not None:
            if not start[1].isdecimal():
                raise InvalidArgument("page_token is not one that this list gave out.")
            select = select.where(EVENT.c.sequence < int(start[1]))
        rows = unit.connection.execute(select.order_by(EVENT.c.sequence.desc()).limit(query.page_size + 1)).all()
        page = rows[: query.page_size]
        more = len(rows) > query.page_size
        token = encode_token(_NEWEST_FIRST, None, str(page[-1].sequence)) if more else None
        return Page[AuditEvent](items=[_event(row) for row in page], next_page_token=token)

    return await ctx.read(work)


@AUDIT_EVENT.get(result=AuditEvent, role=Role.ADMIN)
async def get_audit_event(ctx: Context, audit_event: str) -> AuditEvent:
    """Returns one event."""

    def work(unit: Unit) -> AuditEvent:
        row = unit.connection.execute(_select(unit, EventQuery()).where(EVENT.c.id == audit_event)).first()
        if row is None:
            raise AUDIT_EVENT.unknown(audit_event)
        return _event(row)

    return await ctx.read(work)


@AUDIT_EVENT.file("export", query=EventExportQuery, role=Role.ADMIN)
async def export_audit_events(ctx: Context, query: EventExportQuery) -> AsyncGenerator[bytes, None]:
    """Streams what happened where the caller may read it, oldest first: NDJSON, CSV, or OCSF API Activity."""
    # Read first, so that a filter that does not parse is an answer of its own and not a torn stream.
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
    """Counts what happened where the caller may read it, by type, principal, outcome and day."""

    def work(unit: Unit) -> Facets:
        def counts(value: sa.ColumnElement[Any], *order: sa.ColumnElement[Any]) -> list[Count]:
            count = sa.func.count().label("count")
            named = value.label("value")
            select = _narrowed(unit, query, sa.select(named, count)).group_by(named).limit(_MOST_FACETS)
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

    return await ctx.read(work)


def _select(unit: Unit, query: EventQuery) -> sa.Select[Any]:
    return _narrowed(unit, query, sa.select(EVENT))


def _narrowed(unit: Unit, query: EventQuery, select: sa.Select[Any]) -> sa.Select[Any]:
    """The events that the caller may read and that meet the query."""
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
    return list(unit.connection.execute(select.limit(_EXPORTED_AT_ONCE)))


def _day(unit: Unit) -> sa.ColumnElement[Any]:
    if unit.connection.dialect.name == "sqlite":
        return sa.func.date(EVENT.c.at)
    return sa.func.to_char(sa.func.timezone("UTC", EVENT.c.at), "YYYY-MM-DD")


def _event(row: Any) -> AuditEvent:
    values = {name: getattr(row, name) for name in AuditEvent.model_fields if name != "outcome"}
    return AuditEvent(**values, outcome=row.data.get("outcome"))
