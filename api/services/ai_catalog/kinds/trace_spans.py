"""The spans of a trace."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import sqlalchemy as sa
from pydantic import Field
from sqlalchemy.engine import Connection

from api.kernel.kinds.table_kind import Row
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Query
from api.services.ai_catalog.kinds.span import SpanStatus
from api.services.ai_catalog.kinds.trace import TRACE
from api.services.ai_catalog.logic.readable_tables import rows_denied
from api.services.ai_catalog.logic.readable_traces import closed_traces
from api.services.ai_catalog.trace_tables import SPAN
from core.errors import InvalidArgument
from core.numbers import is_storable

_PAGE_BYTES = 8_000_000
"""Size of the content of a page, unless its first span alone is larger."""


class Span(Model):
    """A step of a trace."""

    span_id: str
    """Id in OpenTelemetry."""

    parent_id: str | None
    """Id of the span that started it. Null for the root. It may be missing if the client did not send it."""

    name: str
    """Name of what was done."""

    type: str
    """Type in MLflow, such as `CHAT_MODEL` or `RETRIEVER`. Empty if there is none."""

    status: SpanStatus
    """Status."""

    message: str
    """What went wrong."""

    started_ns: int
    """Start, in nanoseconds since 1970."""

    ended_ns: int | None
    """End, in nanoseconds since 1970. Null if it is unknown."""

    attributes: dict[str, Any]
    """Attributes. Numbers that JSON can't express are texts, such as `NaN`, and bytes are in base64."""

    events: list[dict[str, Any]]
    """Events with `name`, `time_ns`, and `attributes`."""

    links: list[dict[str, Any]]
    """Spans of other traces that belong to it, with `otel_id`, `span_id`, and `attributes`."""


class SpansQuery(Query):
    """A page of spans."""

    page_size: Annotated[int, Field(ge=1, le=1000)] = 100
    """Maximum number of spans on the page. A page ends earlier after 8 MB."""

    page_token: Annotated[str, Field(max_length=64)] = ""
    """`next_page_token` of the previous page."""


class Spans(Model):
    """Spans of a trace by their start."""

    items: list[Span]
    """The spans."""

    next_page_token: str | None
    """Token of the next page. Null if this is the last one."""


@TRACE.view("spans", query=SpansQuery, result=Spans)
def get_trace_spans(unit: Unit, trace: Row, query: SpansQuery) -> Spans:
    """Returns the spans of a trace by their start. The caller may read the rows of the assets that the trace read."""
    require_open(unit, trace)
    columns = SPAN.c
    select = sa.select(columns.started_ns, columns.span_id, columns.bytes).where(columns.trace_id == trace.id)
    if query.page_token:
        position = sa.tuple_(*(sa.literal(value) for value in _position(query.page_token)))
        select = select.where(sa.tuple_(columns.started_ns, columns.span_id) > position)
    found = unit.connection.execute(
        select.order_by(columns.started_ns, columns.span_id).limit(query.page_size + 1)
    ).all()
    page, size = 0, 0
    for row in found[: query.page_size]:
        size += row.bytes
        if page and size > _PAGE_BYTES:
            break
        page += 1
    ids = [row.span_id for row in found[:page]]
    rows = unit.connection.execute(
        sa.select(SPAN)
        .where(columns.trace_id == trace.id, columns.span_id.in_(ids))
        .order_by(columns.started_ns, columns.span_id)
    )
    last = found[page - 1] if page else None
    token = f"{last.started_ns},{last.span_id}" if last is not None and len(found) > page else None
    return Spans(items=[_span(row) for row in rows], next_page_token=token)


def require_open(unit: Unit, trace: Row) -> None:
    """Raises `PermissionDenied` if the trace read rows that the caller may not read."""
    if closed_traces(unit, [trace.id]):
        raise rows_denied()


def spans_of(connection: Connection, trace: str) -> Iterator[Row]:
    """Yields the rows of all spans of a trace by their start, without holding them all in memory."""
    select = sa.select(SPAN).where(SPAN.c.trace_id == trace).order_by(SPAN.c.started_ns, SPAN.c.span_id)
    yield from connection.execute(select.execution_options(yield_per=200))


def _span(row: Row) -> Span:
    content = row.content
    return Span(
        **{name: row._mapping[name] for name in Span.model_fields if name in row._mapping},
        message=content.get("message", ""),
        attributes=content["attributes"],
        events=content.get("events", []),
        links=content.get("links", []),
    )


def _position(token: str) -> tuple[int, str]:
    time, _, id = token.partition(",")
    if not (time.isascii() and time.isdigit() and is_storable(int(time)) and id.isalnum()):
        raise InvalidArgument("page_token is not valid for this list. Send next_page_token of the previous page.")
    return int(time), id
