"""Methods over many resources at once: batch, export and watch."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncGenerator
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import sqlalchemy as sa
from pydantic import Field, RootModel, ValidationError

from api.kernel import problems
from api.kernel.kinds import standard
from api.kernel.kinds.context import Context
from api.kernel.kinds.endpoint import Answer, Shape
from api.kernel.kinds.resource import Change, Draft
from api.kernel.kinds.standard import Method
from api.kernel.kinds.streams import ServerEvent
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Query, Request
from api.kernel.storage import store
from api.kernel.storage.store import Stored
from api.kernel.tables import RESOURCE
from core.errors import HeadwaterError, InvalidArgument, InvalidPayload
from core.events import EVENT

if TYPE_CHECKING:
    from api.kernel.kinds.resource_kind import ResourceKind

_PAGE = 500
_WATCH_SECONDS = 0.5


class BatchMethod(StrEnum):
    """What one item of a batch does."""

    CREATE = "CREATE"
    UPDATE = "UPDATE"
    DELETE = "DELETE"


class BatchItem(Request):
    """One change of a batch."""

    method: Annotated[BatchMethod, Field(strict=False)]
    """What to do."""

    id: Annotated[str, Field(max_length=256)] | None = None
    """Which resource to update or delete."""

    if_match: Annotated[str, Field(max_length=128)] | None = None
    """ETag it must still have."""

    body: dict[str, Any] = {}
    """The body of the single method."""


class Batch(Request):
    """Changes to carry out together."""

    items: Annotated[list[BatchItem], Field(min_length=1, max_length=500)]
    """The changes, in order."""

    atomic: bool = True
    """All or none; otherwise each for itself, and the answer tells which failed."""


class BatchOutcome(Model):
    """What became of one item."""

    status: int
    """HTTP status the single method would have answered."""

    id: str | None
    """Id of the resource; null if it was not created."""

    etag: str | None
    """ETag of the resource now; null if it was deleted or not changed."""

    problem: dict[str, Any] | None
    """The problem document, if it failed."""


class BatchResult(Model):
    """The outcomes, in the order of the items."""

    items: list[BatchOutcome]
    """One for each item."""

    failed: int
    """How many failed."""


class ExportFormat(StrEnum):
    """What an export is written as."""

    NDJSON = "ndjson"
    CSV = "csv"


class ExportQuery(Query):
    """What to export."""

    format: ExportFormat = ExportFormat.NDJSON
    """One JSON document a line, or CSV with JSON in the columns that are documents."""

    filter: Annotated[str, Field(max_length=2000)] = ""
    """Which resources, as in the list."""

    show_deleted: bool = False
    """Also export what was deleted and not yet purged."""


class WatchQuery(Query):
    """What to watch."""

    after: Annotated[int, Field(ge=0)] | None = None
    """Number of the event after which to begin; by default only what happens from now on."""


class WatchStarted(Model):
    """The first event of a watch."""

    after: int
    """Number of the last event that had happened when it began."""


class ResourceEvent(Model):
    """One change of a resource."""

    type: str
    """What happened: `<service>.<kind>.<past tense>`."""

    id: str
    """Id of the resource."""

    by: str
    """Name of who did it."""

    resource: dict[str, Any]
    """The resource as it is now; `deleted_at` is set if it was deleted."""


class WatchEvent(RootModel[ResourceEvent | WatchStarted]):
    """What a watch streams: where it began, and then every change."""

    root: ResourceEvent | WatchStarted = Field(description="The event.")


def declare(kind: ResourceKind[Any]) -> None:
    """Hangs the methods that the kind has on it."""
    many = kind.plural.replace("-", " ")
    if Method.BATCH in kind.methods:
        text = f"Creates, changes and deletes {many} together: all or none, or each for itself."
        how: dict[str, Any] = {"request": Batch, "result": BatchResult, "role": kind.writers}
        kind.hang_unit(Shape.COLLECTION_ACTION, "batch", lambda unit, body: batch(unit, kind, body), text, **how)
    if Method.EXPORT in kind.methods:

        async def run_export(ctx: Context, query: ExportQuery) -> AsyncGenerator[bytes, None]:
            return export(ctx, kind, query)

        text = f"Streams all {many} that the caller may see, as NDJSON or CSV."
        how = {"query": ExportQuery, "answer": Answer.FILE, "role": kind.readers, "text": text, "declared": kind.model}
        kind.hang(Shape.COLLECTION_READ, "export", **how)(run_export)
    if Method.WATCH in kind.methods:

        def run_watch(ctx: Context, query: WatchQuery) -> AsyncGenerator[ServerEvent, None]:
            return watch(ctx, kind, query)

        text = f"Streams changes of {many} as they happen; resumes after `Last-Event-ID`."
        how = {"query": WatchQuery, "result": WatchEvent, "answer": Answer.STREAM, "role": kind.readers}
        kind.hang(Shape.COLLECTION_READ, "watch", text=text, declared=kind.model, **how)(run_watch)


def batch(unit: Unit, kind: ResourceKind[Any], body: Batch) -> BatchResult:
    """Carries out the items in one transaction; those of a batch that is not atomic each in a savepoint."""
    if body.atomic:
        return BatchResult(items=[_one(unit, kind, item, n) for n, item in enumerate(body.items)], failed=0)
    outcomes = []
    for n, item in enumerate(body.items):
        try:
            with unit.savepoint():
                outcomes.append(_one(unit, kind, item, n))
        except HeadwaterError as error:
            problem = problems.body(error, request_id=unit.ctx.request_id, service=kind.service)
            outcomes.append(BatchOutcome(status=error.status, id=item.id, etag=None, problem=problem))
    return BatchResult(items=outcomes, failed=sum(outcome.status >= 400 for outcome in outcomes))


def _one(unit: Unit, kind: ResourceKind[Any], item: BatchItem, n: int) -> BatchOutcome:
    method = item.method.value.lower()
    if Method(method) not in kind.methods:
        raise InvalidPayload(f"items/{n}: {kind.plural} cannot be {method}d.")
    spec: Any = kind.model.spec_type()
    with unit.part(kind, method, if_match=item.if_match or ""):
        if item.method is BatchMethod.CREATE:
            made = standard.create(unit, kind, _body(Draft[spec], item, n))
            return BatchOutcome(status=201, id=made.id, etag=made.etag, problem=None)
        if not item.id:
            raise InvalidPayload(f"items/{n} needs an id.", errors=[{"pointer": f"/items/{n}/id", "detail": "missing"}])
        if item.method is BatchMethod.DELETE:
            standard.delete(unit, kind, item.id)
            return BatchOutcome(status=204, id=item.id, etag=None, problem=None)
        change = _body(Change[spec], item, n)
        changed = standard.update(unit, kind, item.id, change)
        return BatchOutcome(status=200, id=changed.id, etag=changed.etag, problem=None)


def _body(model: type[Any], item: BatchItem, n: int) -> Any:
    try:
        return model.model_validate_json(msgspec.json.encode(item.body), by_alias=True, by_name=False)
    except ValidationError as error:
        raise problems.invalid_body(error, below=f"/items/{n}/body") from None


async def export(ctx: Context, kind: ResourceKind[Any], query: ExportQuery) -> AsyncGenerator[bytes, None]:
    """The resources page by page, so that a large export needs no large memory."""
    list_query = standard.ResourceQuery(filter=query.filter, show_deleted=query.show_deleted, page_size=_PAGE)

    def page(unit: Unit) -> tuple[list[Stored], str | None]:
        select = standard.visible(unit, kind, deleted=query.show_deleted)
        rows, token = kind.listing.rows(unit.connection, select, list_query)
        return [kind.current(store.stored(row)) for row in rows], token

    first = True
    while first or list_query.page_token:
        rows, token = await ctx.read(page)
        list_query = list_query.model_copy(update={"page_token": token or ""})
        yield _lines(rows, query.format, header=first)
        first = False


def _lines(rows: list[Stored], format: ExportFormat, *, header: bool) -> bytes:
    if format is ExportFormat.NDJSON:
        return b"".join(row.encode() + b"\n" for row in rows)
    text = io.StringIO()
    writer = csv.writer(text)
    if header:
        writer.writerow(_CSV_COLUMNS)
    for row in rows:
        writer.writerow([_cell(getattr(row, column)) for column in _CSV_COLUMNS])
    return text.getvalue().encode()


_CSV_COLUMNS = tuple(name for name in Stored.__slots__ if name not in ("scope_id", "shape"))


def _cell(value: Any) -> str:
    text = "" if value is None else str(value)
    # A spreadsheet would run what begins so.
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


async def watch(ctx: Context, kind: ResourceKind[Any], query: WatchQuery) -> AsyncGenerator[ServerEvent, None]:
    """Changes after an event, and then those that come. What the caller may not see is passed over."""
    if ctx.last_event_id and not ctx.last_event_id.isdecimal():
        raise InvalidArgument("Last-Event-ID is not one that this stream gave out.")
    after = int(ctx.last_event_id) if ctx.last_event_id else query.after
    if after is None:
        after = await ctx.read(
            lambda unit: unit.connection.execute(sa.select(sa.func.max(EVENT.c.sequence))).scalar() or 0
        )

    def news(unit: Unit) -> list[tuple[int, ResourceEvent | None]]:
        happened = sa.select(EVENT).where(EVENT.c.kind == kind.full_name, EVENT.c.sequence > after)
        events = unit.connection.execute(happened.order_by(EVENT.c.sequence).limit(_PAGE)).all()
        subjects = {event.subject for event in events}
        select = standard.visible(unit, kind, deleted=True).where(RESOURCE.c.id.in_(subjects))
        rows = map(store.stored, unit.connection.execute(select)) if subjects else ()
        seen = {row.id: kind.current(row) for row in rows}
        return [(event.sequence, _event(event, seen.get(event.subject))) for event in events]

    yield ServerEvent(WatchStarted(after=after), "started", str(after))
    while True:
        for sequence, event in await ctx.read(news):
            after = sequence
            if event is not None:
                yield ServerEvent(event, "change", str(sequence))
        await asyncio.sleep(_WATCH_SECONDS)


def _event(event: Any, row: Stored | None) -> ResourceEvent | None:
    if row is None or event.data.get("outcome") != "succeeded":
        return None
    return ResourceEvent(type=event.type, id=row.id, by=event.principal, resource=msgspec.json.decode(row.encode()))
