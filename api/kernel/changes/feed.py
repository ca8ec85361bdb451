"""The changes of one process: what events, the asset graph, and operations tell, read once for all streams."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from api.kernel.operations import store
from api.kernel.permissions.graph import ASSET
from api.kernel.platform import Platform
from core import events
from core.errors import HeadwaterError, TooManyRequests, Unavailable
from core.events import EVENT
from core.ports import AssetState

MAX_STREAMS = 8
"""Number of streams that one principal may have open in one process."""

MAX_BEHIND = 2_000
"""Number of changes that a stream can be behind. One that is further behind is told to read everything again."""

POLL_SECONDS = 1.0
"""Time after which changes of other processes are found. Those of this process are found at once."""

_Row = sa.Row[Any]
_COLUMNS = (
    *(EVENT.c.sequence, EVENT.c.kind, EVENT.c.subject, EVENT.c.organization_id),
    EVENT.c.data["outcome"].as_string().label("outcome"),
)
_GATHER_SECONDS = 0.1
_BATCH_SIZE = 500
_log = logging.getLogger("headwater.changes")


@dataclass(frozen=True, slots=True)
class Changed:
    """An item that changed, and where it was then."""

    number: int
    """Position in the feed of this process."""
    kind: str
    id: str
    sequence: int | None = None
    """Sequence number of the event. None for an asset or an operation of which a new state was observed."""
    organization_id: str | None = None


@dataclass(frozen=True, slots=True)
class Position:
    """How far a stream has read: the number of the last change, and the sequence number of the last event."""

    number: int
    sequence: int


@dataclass(frozen=True, slots=True)
class Batch:
    """The changes after a position. `complete` is False if there were more than the feed holds."""

    changes: list[Changed]
    position: Position
    complete: bool = True


class Feed:
    """Reads the changes while at least one stream is open. Used on the event loop only."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._recent: deque[Changed] = deque(maxlen=MAX_BEHIND)
        self._position = Position(0, 0)
        self._states: Mapping[str, AssetState] | None = None
        self._operations: Mapping[str, sa.Row[*tuple[Any, ...]]] | None = None
        self._open: Counter[str] = Counter()
        self._task: asyncio.Task[None] | None = None
        self._committed = asyncio.Event()
        self._changed = asyncio.Condition()
        self._loop: asyncio.AbstractEventLoop | None = None

    @contextlib.contextmanager
    def opened(self, principal_id: str) -> Iterator[None]:
        """Counts a stream of a principal while it is open.

        Raises:
            TooManyRequests: the principal has too many open streams.
        """
        if self._open[principal_id] >= MAX_STREAMS:
            raise TooManyRequests(
                f"You have {MAX_STREAMS} open streams of changes. Close one of them.", retry_after_seconds=5
            )
        self._open[principal_id] += 1
        try:
            yield
        finally:
            self._open -= Counter((principal_id,))
            if not self._open:
                self._stop()

    async def position(self) -> Position:
        """Returns the position of the newest change. Begins to read if this is the first stream."""
        if self._task is None or self._task.done():
            self._start(Position(self._position.number, await self._platform.reads.run(lambda c: events.head(c)[0])))
        return self._position

    async def missed(self, sequence: int) -> Batch:
        """Returns the changes that events after a sequence number tell."""
        position = await self.position()
        if sequence >= position.sequence:
            return Batch([], position)
        if position.sequence - sequence > MAX_BEHIND:
            return Batch([], position, complete=False)
        rows = await self._read(sequence, position.sequence, MAX_BEHIND)
        return Batch(_changes(rows, position.number - len(rows)), position)

    async def after(self, position: Position) -> Batch:
        """Waits for changes after a position, and returns them."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._position.number > position.number)
        # Several changes often follow each other, and one answer to all of them is enough.
        await asyncio.sleep(_GATHER_SECONDS)
        changes = [change for change in self._recent if change.number > position.number]
        complete = bool(changes) and changes[0].number == position.number + 1
        return Batch(changes if complete else [], self._position, complete)

    def _start(self, position: Position) -> None:
        if self._task is not None and not self._task.done():
            return  # another stream was faster
        self._position, self._states, self._operations = position, None, None
        self._recent.clear()
        self._loop = asyncio.get_running_loop()
        self._platform.database.after_commit.append(self._wake)
        self._task = self._loop.create_task(self._run())

    def _stop(self) -> None:
        if self._task is not None and not self._task.done():
            self._task.cancel()
            self._platform.database.after_commit.remove(self._wake)
        self._task = None

    def _wake(self) -> None:
        """Signals a commit. Thread-safe."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the event loop has ended
                self._loop.call_soon_threadsafe(self._committed.set)

    async def _run(self) -> None:
        while True:
            try:
                while await self._read_events():
                    pass
                await self._read_assets()
                await self._read_operations()
            except HeadwaterError as error:
                _log.warning("changes are late: %s", error.detail)
            except Exception:  # noqa: BLE001 - an error of one round must not end all streams
                _log.exception("changes are late")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await self._committed.wait()
            self._committed.clear()

    async def _read(self, after: int, until: int | None, limit: int) -> list[_Row]:
        select = sa.select(*_COLUMNS).where(EVENT.c.sequence > after)
        select = select if until is None else select.where(EVENT.c.sequence <= until)
        ordered = select.order_by(EVENT.c.sequence).limit(limit)
        return await self._platform.reads.run(lambda connection: list(connection.execute(ordered)))

    async def _read_events(self) -> bool:
        """Adds the changes of new events. Returns whether there may be more."""
        rows = await self._read(self._position.sequence, None, _BATCH_SIZE)
        if rows:
            await self._add(_changes(rows, self._position.number), rows[-1].sequence)
        return len(rows) == _BATCH_SIZE

    async def _read_assets(self) -> None:
        """Adds the assets whose state has changed: a new version, a check, or a run that began or ended."""
        try:
            states = dict(self._platform.orchestrator.view().states)
        except Unavailable:
            return
        before, self._states = self._states, states
        if before is None:
            return
        ids = [id for id, state in states.items() if state is not before.get(id) and state != before.get(id)]
        ids += [id for id in before if id not in states]
        number = self._position.number
        await self._add([Changed(number + n, ASSET, id) for n, id in enumerate(ids, 1)], self._position.sequence)

    async def _read_operations(self) -> None:
        """Adds the unfinished operations that began or progressed. The end of an operation has an event."""
        rows = await self._platform.reads.run(store.progress)
        before, self._operations = self._operations, {row.id: row for row in rows}
        if before is None:
            return
        number = self._position.number
        moved = [row for row in rows if row != before.get(row.id)]
        changes = [
            Changed(number + n, store.KIND, row.id, organization_id=row.organization_id)
            for n, row in enumerate(moved, 1)
        ]
        await self._add(changes, self._position.sequence)

    async def _add(self, changes: list[Changed], sequence: int) -> None:
        self._recent.extend(changes)
        self._position = Position(self._position.number + len(changes), sequence)
        if changes:
            async with self._changed:
                self._changed.notify_all()


def _changes(rows: Sequence[_Row], number: int) -> list[Changed]:
    """Returns the changes that events tell, numbered after a number. What was refused or failed changed nothing."""
    happened = (row for row in rows if row.outcome in (None, "succeeded"))
    return [
        Changed(n, row.kind, row.subject, row.sequence, row.organization_id)
        for n, row in enumerate(happened, number + 1)
    ]
