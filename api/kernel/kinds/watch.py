"""The watch method: a stream of the changes of a kind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Annotated, Any

import msgspec
import sqlalchemy as sa
from pydantic import Field, RootModel

from api.kernel.kinds import standard
from api.kernel.kinds.context import Context
from api.kernel.kinds.endpoint import Answer, Shape
from api.kernel.kinds.rules import RuledKind
from api.kernel.kinds.stored_kind import Method, StoredKind
from api.kernel.kinds.streams import ServerEvent
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Query
from api.kernel.storage import store
from api.kernel.storage.store import Stored
from api.kernel.tables import RESOURCE
from core.errors import InvalidArgument
from core.events import EVENT
from core.numbers import parse_count

_MAX_EVENTS = 500
_POLL_SECONDS = 0.5


class WatchQuery(Query):
    """What to watch."""

    after: Annotated[int, Field(ge=0)] | None = None
    """Sequence number of the event after which the stream begins. By default, it begins now."""


class WatchStarted(Model):
    """The first event of a watch."""

    after: int
    """Sequence number of the last event before the stream began."""


class ResourceEvent(Model):
    """One change of a resource."""

    type: str
    """Type of the event: `<service>.<kind>.<past tense>`."""

    id: str
    """Id of the resource."""

    by: str
    """Name of the principal that made the change."""

    resource: dict[str, Any]
    """The resource as it is now. `deleted_at` is set if it was deleted."""


class WatchEvent(RootModel[ResourceEvent | WatchStarted]):
    """An item of a watch stream: its start, and then every change."""

    root: ResourceEvent | WatchStarted = Field(description="The event.")


def declare(kind: RuledKind[Any]) -> None:
    """Registers the method if the kind has it."""
    if Method.WATCH not in kind.methods:
        return

    def run(ctx: Context, query: WatchQuery) -> AsyncGenerator[ServerEvent, None]:
        return watch(ctx, kind, query)

    kind.register(
        Shape.COLLECTION_READ,
        "watch",
        declared=kind.model,
        text=f"Streams changes of {kind.plural.replace('-', ' ')} as they happen. Resumes after `Last-Event-ID`.",
        query=WatchQuery,
        result=WatchEvent,
        answer=Answer.STREAM,
        role=kind.readers,
    )(run)


async def watch(ctx: Context, kind: StoredKind[Any], query: WatchQuery) -> AsyncGenerator[ServerEvent, None]:
    """Yields the changes after an event, and then each change when it happens, as far as the caller can see them."""
    try:
        after = parse_count(ctx.last_event_id) if ctx.last_event_id else query.after
    except ValueError:
        raise InvalidArgument("Last-Event-ID is not an id of this stream.") from None
    if after is None:
        after = await ctx.read(
            lambda unit: unit.connection.execute(sa.select(sa.func.max(EVENT.c.sequence))).scalar() or 0
        )

    def changes(unit: Unit) -> list[tuple[int, ResourceEvent | None]]:
        later = sa.select(EVENT).where(EVENT.c.kind == kind.full_name, EVENT.c.sequence > after)
        events = unit.connection.execute(later.order_by(EVENT.c.sequence).limit(_MAX_EVENTS)).all()
        subjects = {event.subject for event in events}
        select = standard.visible(unit, kind, deleted=True).where(RESOURCE.c.id.in_(subjects))
        rows = map(store.stored, unit.connection.execute(select)) if subjects else ()
        visible = {row.id: kind.current(row) for row in rows}
        return [(event.sequence, _event(event, visible.get(event.subject))) for event in events]

    yield ServerEvent(WatchStarted(after=after), "started", str(after))
    while True:
        for sequence, event in await ctx.read(changes):
            after = sequence
            if event is not None:
                yield ServerEvent(event, "change", str(sequence))
        await asyncio.sleep(_POLL_SECONDS)


def _event(event: Any, row: Stored | None) -> ResourceEvent | None:
    if row is None or event.organization_id != row.organization_id or event.data.get("outcome") != "succeeded":
        return None
    return ResourceEvent(type=event.type, id=row.id, by=event.principal, resource=msgspec.json.decode(row.encode()))
