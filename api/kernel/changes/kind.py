"""The stream of changes: which items changed, of all kinds, as far as the caller can see them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Annotated

from pydantic import Field

from api.kernel.changes.feed import Changed, Feed
from api.kernel.changes.visibility import visible
from api.kernel.kinds.context import Context
from api.kernel.kinds.endpoint import Answer, Shape
from api.kernel.kinds.kind import Kind
from api.kernel.kinds.streams import ServerEvent
from api.kernel.models import Model, Query
from core.errors import InvalidArgument
from core.numbers import parse_count

CHANGE = Kind(
    "change",
    plural="changes",
    title="Change",
    description="Items of all kinds that changed, for clients that show current data.",
    example="chg_06e1xq0000example000000000",
    rooted=True,
    scoped=True,
)


class ChangesQuery(Query):
    """Where to begin."""

    after: Annotated[int, Field(ge=0)] | None = None
    """Sequence number of the event after which the stream begins. By default, it begins now."""


class ChangedItem(Model):
    """An item that changed. Read it to see its new state."""

    kind: str
    """Kind of the item, `<service>.<kind>`."""

    id: str
    """Id of the item."""

    sequence: int | None
    """Sequence number of the last event about the item. Null for an asset with a new version, check result, or run, and
    for an operation that began or progressed."""


class Changes(Model):
    """An item of the stream."""

    after: int
    """Sequence number of the last event that the stream has read."""

    items: list[ChangedItem]
    """Items that changed and that the caller can see, each once."""

    incomplete: bool
    """Whether changes are missing, because there were too many. Read again everything that you show."""


async def watch_changes(ctx: Context, query: ChangesQuery) -> AsyncGenerator[ServerEvent, None]:
    """Streams which items changed, of all kinds, without their content. Resumes after `Last-Event-ID`.

    The first event is `started`, and the others are `changed`. The stream contains what the lists of the caller
    contain at that moment. An item that no longer exists, or that the caller can no longer see, is left out. After a
    break, read assets and unfinished operations again: their progress is only sent while the stream is open.
    """
    try:
        after = parse_count(ctx.last_event_id) if ctx.last_event_id else query.after
    except ValueError:
        raise InvalidArgument("Last-Event-ID is not an id of this stream.") from None
    feed = ctx.platform.part(Feed)
    with feed.opened(ctx.principal.id):
        position = await feed.position()
        yield _event("started", position.sequence if after is None else min(after, position.sequence), [])
        batch = await feed.missed(position.sequence if after is None else after)
        while True:
            position = batch.position
            # Rights may have changed while the stream waited.
            await ctx.renew()
            allowed = await ctx.read(lambda unit: visible(unit, batch.changes)) if batch.changes else []  # noqa: B023
            if allowed or not batch.complete:
                yield _event("changed", position.sequence, allowed, incomplete=not batch.complete)
            batch = await feed.after(position)


CHANGE.register(Shape.COLLECTION_READ, "watch", query=ChangesQuery, result=Changes, answer=Answer.STREAM, own=True)(
    watch_changes
)


def _event(name: str, after: int, changes: list[Changed], *, incomplete: bool = False) -> ServerEvent:
    items = [ChangedItem(kind=change.kind, id=change.id, sequence=change.sequence) for change in changes]
    return ServerEvent(Changes(after=after, items=items, incomplete=incomplete), name, str(after))
