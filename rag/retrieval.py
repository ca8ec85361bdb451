"""Hybrid search: vector search and BM25 full-text search run concurrently and are fused by rank. Hits have citations.

A search uses the state of the mirror that equals the newest version of the Delta table. If the mirror is out of date,
for example because its writer died, the search synchronizes it first.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from core.errors import Conflict, HeadwaterError, InvalidArgument, Unavailable
from rag.embedding import Embedder, WordLlamaEmbedder
from rag.filters import Filter
from rag.fusion import Hit, fuse
from rag.index import Index, unknown_version
from rag.layout import CURRENT_LAYOUT, Policy, Store
from rag.mirror import require_chunks
from rag.reader import IndexState, Ranking, Reader

if TYPE_CHECKING:
    from core.settings import Settings
    from lakehouse.tables import Snapshot, Tables

Mode = Literal["hybrid", "vector", "text"]

MAX_HITS = 100
MAX_QUERY_LENGTH = 2_000
_MAX_PINNED_STATES = 32
_LOG = logging.getLogger("headwater.retrieval")


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The result of one query.

    Args:
        hits: hits, best first.
        index: asset id.
        version: data version of the Delta table that contains the hits.
        took_ms: total duration in milliseconds.
        behind: number of newer versions of the table; above 0 only while a writer is active.
    """

    hits: tuple[Hit, ...]
    index: str
    version: str
    took_ms: float
    behind: int = 0


class Retriever:
    """Searches indexes. Thread-safe. Create one per process, after a fork, never before.

    Args:
        vectors_root: storage location of the mirrors: `settings.effective_vectors_url`.
        tables: the lakehouse.
        embedder: the model that computed the vectors; the bundled model by default.
        policy: maintenance policy for a mirror that a search repairs.
    """

    def __init__(
        self,
        vectors_root: str | Store,
        tables: Tables,
        *,
        embedder: Embedder | None = None,
        policy: Policy | None = None,
    ) -> None:
        self._store = vectors_root if isinstance(vectors_root, Store) else Store(vectors_root)
        self._tables = tables
        self._embedder = embedder or WordLlamaEmbedder()
        self._policy = policy or Policy()
        self._reader = Reader(self._store, self._policy)
        self._newest: dict[str, IndexState] = {}
        self._pinned: OrderedDict[tuple[str, int], IndexState] = OrderedDict()
        self._open_lock = threading.Lock()

    @classmethod
    def from_settings(cls, settings: Settings, tables: Tables) -> Retriever:
        """Creates a retriever from the platform's settings."""
        return cls(Store.from_settings(settings), tables)

    def search(
        self,
        index: str,
        query: str,
        k: int = 10,
        filter: Filter | None = None,
        version: int | None = None,
        *,
        mode: Mode = "hybrid",
    ) -> SearchResult:
        """Finds the chunks that best match a query.

        Args:
            index: asset id of the index.
            query: words or a question.
            k: largest number of hits.
            filter: restricts the searched chunks; see `rag.filters.Filter`.
            version: Delta version of the index's table to search; the newest by default.
            mode: `hybrid` fuses both searches; `vector` and `text` run only one.

        Raises:
            InvalidArgument: the query, `k` or the filter is invalid, or the table isn't an index.
            UnknownTable, UnknownVersion, UnknownColumn: the named object doesn't exist.
            Conflict: the vectors were computed by another model than the embedder of this process.
            Unavailable: the index is being built for the first time.
        """
        started = time.perf_counter()
        _validate(query, k, mode)
        try:
            state, behind, rankings = self._search(index, query, k, filter or {}, version, mode)
        except (OSError, RuntimeError, ValueError) as error:
            # The state may have been erased or replaced after it was opened. The second failure is raised.
            _LOG.info("reopening %s: %s", index, error)
            self._forget(index)
            state, behind, rankings = self._search(index, query, k, filter or {}, version, mode)
        took_ms = round((time.perf_counter() - started) * 1000, 3)
        return SearchResult(tuple(fuse(state, rankings, k)), index, state.data_version, took_ms, behind)

    def warm(self, index: str | None = None) -> None:
        """Loads the engine, the model and an index, so that the first query is fast."""
        self._embedder.embed(["warm"])
        if index is None:
            self._reader.submit(self._reader.open("warm")).result()
            return
        state, _ = self._newest_state(index)
        self._reader.submit(self._reader.warm(state)).result()
        self.search(index, "warm", k=1)

    def close(self) -> None:
        """Stops the search thread."""
        self._reader.close()
        self._newest.clear()
        self._pinned.clear()

    def _search(
        self, index: str, query: str, k: int, filter: Filter, version: int | None, mode: Mode
    ) -> tuple[IndexState, int, tuple[Ranking, Ranking]]:
        state = self._newest.get(index) if version is None else self._pinned_state(index, version)
        behind = 0
        if state is not None:
            running = self._start_search(state, query, k, filter, mode)
            if version is not None:
                return state, 0, running.result()
            # Concurrently with the search, this checks whether the state is still the newest.
            snapshot = self._tables.snapshot(index)
            if (snapshot.table_id, snapshot.version) == (state.table_id, state.version):
                return state, 0, running.result()
            running.cancel()
        state, behind = self._newest_state(index)
        return state, behind, self._start_search(state, query, k, filter, mode).result()

    def _start_search(
        self, state: IndexState, query: str, k: int, filter: Filter, mode: Mode
    ) -> Future[tuple[Ranking, Ranking]]:
        if state.rows and state.embedder != self._embedder.digest:
            raise Conflict(
                f"The vectors of {state.name} were computed by {state.embedder}, but this process uses "
                f"{self._embedder.digest}. Materialize the index again."
            )
        vector = None if mode == "text" else self._embedder.embed([query])[0]
        text = None if mode == "vector" else query
        # More than k per search: a chunk that both searches rank slightly lower can be the best in the fused ranking.
        depth = max(2 * k, 20) if mode == "hybrid" else k
        return self._reader.submit(self._reader.search(state, vector, text, filter, depth))

    def _pinned_state(self, index: str, version: int) -> IndexState:
        table_id = self._tables.snapshot(index).table_id
        state = self._pinned.get((index, version))
        if state is None or state.table_id != table_id:
            opened, versions = self._reader.submit(self._reader.open(index, version)).result()
            if opened is None or opened.table_id != table_id:
                raise unknown_version(index, version, versions)
            state = self._pinned[index, version] = opened
            while len(self._pinned) > _MAX_PINNED_STATES:
                self._pinned.popitem(last=False)
        return state

    def _newest_state(self, index: str) -> tuple[IndexState, int]:
        """Returns the newest state, synchronized with the table if possible, and the number of newer table versions."""
        with self._open_lock:
            snapshot = self._tables.snapshot(index)
            require_chunks(snapshot)
            state = self._open_newest(index, snapshot)
            if state is None or state.version < snapshot.version or state.layout != CURRENT_LAYOUT:
                self._repair(index, snapshot, wait=state is None)
                state = self._open_newest(index, snapshot)
            if state is None:
                raise Unavailable(
                    f"{index} is being indexed for the first time. Retry in a few seconds.", retry_after_seconds=2
                )
            self._newest[index] = state
            return state, max(0, snapshot.version - state.version)

    def _open_newest(self, index: str, snapshot: Snapshot) -> IndexState | None:
        state, _ = self._reader.submit(self._reader.open(index)).result()
        return state if state is not None and state.table_id == snapshot.table_id else None

    def _repair(self, index: str, snapshot: Snapshot, *, wait: bool) -> None:
        mirror = Index(self._store, index, self._policy)
        # An active writer holds the lock and completes the mirror itself; the lock of a dead writer is released.
        if not mirror.lock.acquire(timeout_seconds=30.0 if wait else 0.0):
            return
        try:
            report = mirror.sync(snapshot)
            _LOG.info("synchronized %s with version %d: %s", index, snapshot.version, report)
        except (HeadwaterError, OSError, RuntimeError, ValueError) as error:
            if wait:  # there is no older state to search
                raise
            _LOG.warning("could not synchronize %s with version %d: %s", index, snapshot.version, error)
        finally:
            mirror.lock.release()

    def _forget(self, index: str) -> None:
        self._newest.pop(index, None)
        for key in [key for key in self._pinned if key[0] == index]:
            self._pinned.pop(key, None)


def _validate(query: str, k: int, mode: str) -> None:
    if not query.strip():
        raise InvalidArgument("The query is empty. Enter at least one word.")
    if len(query) > MAX_QUERY_LENGTH:
        raise InvalidArgument(f"The query has {len(query)} characters. The limit is {MAX_QUERY_LENGTH}.")
    if not 1 <= k <= MAX_HITS:
        raise InvalidArgument(f"k is {k}. Choose a number from 1 to {MAX_HITS}.")
    if mode not in ("hybrid", "vector", "text"):
        raise InvalidArgument(f"Search mode {mode!r} doesn't exist. Choose hybrid, vector or text.")
