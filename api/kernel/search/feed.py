"""The feed of the search index: a background task that follows the outbox and the asset graph."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.http.metrics import Metrics
from api.kernel.platform import Platform
from api.kernel.search.document import Document, Source, key_of, project_of
from api.kernel.search.index import Position, SearchIndex
from api.kernel.tables import RESOURCE
from core import clock, events
from core.errors import HeadwaterError, Unavailable
from core.events import EVENT
from core.ports import GraphView

START_SECONDS = 5.0
"""Delay after the start of the process, so that it serves requests first."""

_ROUND_SECONDS = 0.3
"""Shortest time between two rounds. Changes in between are committed together."""

_POLL_SECONDS = 2.0
_MAX_EVENTS = 5_000
_QUICK_EVENTS = 1_000
_QUICK_SECONDS = 20.0
_MAX_ITEMS = 2_000
_SCOPES = ("admin.project", "admin.organization")
_log = logging.getLogger("headwater.search")


class AssetDocuments(Protocol):
    """The assets of the graph as documents."""

    kind: str

    described_by: tuple[str, ...]
    """Kinds of items that describe assets, so that a change of one changes documents of assets."""

    def current(self, platform: Platform, view: GraphView, versions: dict[str, str]) -> Iterable[Document]:
        """Returns the documents of the assets whose version differs from these."""


@dataclass(frozen=True, slots=True)
class Lag:
    """How far an index is behind."""

    events: int
    """Number of events that it does not contain."""

    seconds: float
    """Age of the first of them."""


class SearchFeed:
    """The feed of one process. The process that writes the index follows; the others read what it commits."""

    def __init__(
        self, platform: Platform, sources: Callable[[], Sequence[Source]], assets: Sequence[AssetDocuments]
    ) -> None:
        self._platform = platform
        self._load_sources = sources
        self._assets = tuple(assets)
        self._view: GraphView | None = None
        self._versions: dict[str, dict[str, str]] = {}
        self._position: Position | None = None
        self._round = threading.Lock()
        self._wakeup = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        metrics = platform.part(Metrics)
        metrics.gauge_from(
            "headwater_search_events_behind", "Number of events that the search index does not contain.", self._behind
        )

    @property
    def sources(self) -> Sequence[Source]:
        """The kinds in the metadata database that are searched."""
        return self._load_sources()

    async def start(self) -> None:
        """Starts the task."""
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stops the task. The index stays at its last commit."""
        if self._task is None:
            return
        with contextlib.suppress(ValueError):
            self._platform.database.after_commit.remove(self.wake)
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    def wake(self) -> None:
        """Signals that events were committed. Thread-safe."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the event loop has ended
                self._loop.call_soon_threadsafe(self._wakeup.set)

    async def _run(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(START_SECONDS):
                await self._wakeup.wait()
        self._platform.database.after_commit.append(self.wake)
        while True:
            self._wakeup.clear()
            try:
                await self._platform.workers.compute.run(self.catch_up)
            except HeadwaterError as error:
                _log.warning("the search index waits: %s", error.detail)
            except Exception:  # noqa: BLE001 - the next round tries again
                _log.exception("the search index waits")
            await asyncio.sleep(_ROUND_SECONDS)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_POLL_SECONDS):
                    await self._wakeup.wait()

    def catch_up(self) -> bool:
        """Brings the index up to date with everything committed so far. Returns False if another process writes it."""
        with self._round:
            return self._catch_up()

    def follow(self) -> None:
        """Brings the index up to date if that is quick, so that a caller finds what they just changed.

        Otherwise, the task does it in the background.
        """
        if self.lag().events > _QUICK_EVENTS or not self._round.acquire(timeout=_QUICK_SECONDS):
            self.wake()
            return
        try:
            self._catch_up()
        finally:
            self._round.release()

    def lag(self) -> Lag:
        """Returns how far the index is behind the metadata database."""
        position = self._position or self._platform.part(open_index).position()
        with self._platform.database.read() as connection:
            head, _ = events.head(connection)
            first = sa.select(EVENT.c.at).where(EVENT.c.sequence == position.sequence + 1)
            at = connection.execute(first).scalar()
        return Lag(max(0, head - position.sequence), (clock.now() - at).total_seconds() if at else 0.0)

    def _catch_up(self) -> bool:
        index = self._platform.part(open_index)
        if not index.begin():
            return False
        try:
            self._follow(index)
        except BaseException:
            index.rollback()
            self._position, self._view, self._versions = None, None, {}
            raise
        return True

    def _behind(self) -> float:
        return float(self.lag().events) if self._position else 0.0

    def _follow(self, index: SearchIndex) -> None:
        with self._platform.database.read() as connection:
            head, _ = events.head(connection)
            identity = _identity(connection)
        position = self._position or index.position()
        if position.database != identity or position.sequence > head:
            # The index belongs to another database, or to a later state of this one.
            index.clear()
            self._view, self._versions = None, {}
            for source in self.sources:
                self._scan(index, source)
            position = Position(identity, head)
            self._changed_assets(index)
            index.commit(position)
        while position.sequence < head:
            position, changed = self._apply(index, position, head)
            if changed:
                index.commit(position)
        if self._changed_assets(index):
            index.commit(position)
        self._position = position

    def _scan(self, index: SearchIndex, source: Source) -> None:
        after = ""
        while True:
            with self._platform.database.read() as connection:
                ids = source.ids(connection, after, _MAX_ITEMS)
                index.put(source.documents(connection, ids) if ids else ())
            if not ids:
                return
            after = ids[-1]

    def _apply(self, index: SearchIndex, position: Position, head: int) -> tuple[Position, bool]:
        """Applies a batch of events. Returns the new position, and whether the index changed."""
        sources = {source.kind: source for source in self.sources}
        columns = (EVENT.c.sequence, EVENT.c.type, EVENT.c.kind, EVENT.c.subject)
        with self._platform.database.read() as connection:
            select = sa.select(*columns).where(EVENT.c.sequence > position.sequence, EVENT.c.sequence <= head)
            rows = connection.execute(select.order_by(EVENT.c.sequence).limit(_MAX_EVENTS)).all()
            changed: dict[str, dict[str, None]] = {}
            parents = []
            describing = {kind for assets in self._assets for kind in assets.described_by}
            for row in rows:
                if row.kind in describing:
                    self._view = None
                if row.kind in sources:
                    changed.setdefault(row.kind, {})[row.subject] = None
                    if row.type.endswith((".deleted", ".restored")):
                        parents.append(row.subject)
            for kind, source in sources.items():
                for start in range(0, len(parents), _MAX_ITEMS):
                    children = source.children(connection, parents[start : start + _MAX_ITEMS])
                    changed.setdefault(kind, {}).update(dict.fromkeys(children))
            for kind, ids in changed.items():
                self._renew(index, connection, sources[kind], list(ids))
            swept = any(row.kind in _SCOPES for row in rows) and self._sweep(index, connection)
        last = rows[-1].sequence if len(rows) == _MAX_EVENTS else head
        return Position(position.database, last), swept or any(changed.values())

    def _renew(self, index: SearchIndex, connection: Connection, source: Source, ids: Sequence[str]) -> None:
        for start in range(0, len(ids), _MAX_ITEMS):
            batch = ids[start : start + _MAX_ITEMS]
            index.remove(key_of(source.kind, id) for id in batch)
            index.put(source.documents(connection, batch))

    def _sweep(self, index: SearchIndex, connection: Connection) -> bool:
        """Removes the documents of projects and organizations that were erased."""
        scopes = {scope for scope in index.scopes() if project_of(scope) is None}
        select = sa.select(RESOURCE.c.id).where(RESOURCE.c.kind.in_(_SCOPES), RESOURCE.c.id.in_(scopes))
        erased = scopes - set(connection.execute(select).scalars())
        for scope in erased:
            index.remove_scope(scope)
        return bool(erased)

    def _changed_assets(self, index: SearchIndex) -> bool:
        try:
            view = self._platform.orchestrator.view()
        except Unavailable:  # the graph is not known yet
            return False
        if view is self._view:
            return False
        changed = False
        for assets in self._assets:
            versions = self._versions.get(assets.kind)
            if versions is None:
                versions = self._versions[assets.kind] = index.versions(assets.kind)
            removed = versions.keys() - view.nodes.keys()
            index.remove(key_of(assets.kind, id) for id in removed)
            documents = list(assets.current(self._platform, view, versions))
            index.put(documents)
            for id in removed:
                del versions[id]
            versions.update({document.id: document.version for document in documents})
            changed = changed or bool(removed or documents)
        self._view = view
        return changed


def open_index(platform: Platform) -> SearchIndex:
    """Returns the search index of the process."""
    return SearchIndex(Path(platform.settings.home) / "search")


def _identity(connection: Connection) -> str:
    """Returns what distinguishes a metadata database from others: its first event."""
    first: Any = connection.execute(sa.select(EVENT.c.id).where(EVENT.c.sequence == 1)).scalar()
    return str(first or "")
