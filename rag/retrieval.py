"""Hybrid search: nearest vectors and BM25 side by side, fused by rank, every hit with its citation.

A search answers from the state that equals the newest version of the Delta table. If the mirror lags behind, because
its writer died, the search brings it up first.
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
from rag.layout import Policy, Store
from rag.mirror import require_chunks
from rag.reader import Leg, Opened, Reader

if TYPE_CHECKING:
    from core.settings import Settings
    from lakehouse.tables import Snapshot, Tables

Mode = Literal["hybrid", "vector", "text"]

MOST_HITS = 100
LONGEST_QUERY = 2_000
_PINNED_STATES = 32
_LOG = logging.getLogger("headwater.retrieval")


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The answer to one query.

    Args:
        hits: best first.
        index: asset id.
        version: data version of the Delta table the hits come from.
        took_ms: milliseconds in all.
        behind: how many table versions newer the table is; above 0 only while a writer is at work.
    """

    hits: tuple[Hit, ...]
    index: str
    version: str
    took_ms: float
    behind: int = 0


class Retriever:
    """Searches indexes. Thread-safe; one per process, created after a fork, never before.

    Args:
        vectors_root: where the mirrors live: `settings.effective_vectors_url`.
        tables: the lakehouse, which knows what the newest version is.
        embedder: must be the model that made the vectors; the shipped one by default.
        policy: how a mirror that must be repaired is kept.
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
        self._newest: dict[str, Opened] = {}
        self._pinned: OrderedDict[tuple[str, int], Opened] = OrderedDict()
        self._opening = threading.Lock()

    @classmethod
    def from_settings(cls, settings: Settings, tables: Tables) -> Retriever:
        """The retriever of a platform with these settings."""
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
        """Finds the chunks that answer a query.

        Args:
            index: asset id of the index.
            query: words or a question.
            k: most hits.
            filter: what to narrow to before searching; see `rag.filters.Filter`.
            version: Delta version of the index's table to answer from; the newest by default.
            mode: both legs, or one alone.

        Raises:
            InvalidArgument: the query, `k` or the filter is malformed, or the table is no index.
            UnknownTable, UnknownVersion, UnknownColumn: see the names.
            Conflict: another model than this process has made the vectors.
            Unavailable: the index is being built for the first time.
        """
        started = time.perf_counter()
        _validate(query, k, mode)
        try:
            opened, behind, legs = self._answer(index, query, k, filter or {}, version, mode)
        except (OSError, RuntimeError, ValueError) as error:
            # The state may have been erased or replaced since it was opened. Once: a second failure is a real one.
            _LOG.info("reopening %s: %s", index, error)
            self._forget(index)
            opened, behind, legs = self._answer(index, query, k, filter or {}, version, mode)
        took_ms = round((time.perf_counter() - started) * 1000, 3)
        return SearchResult(tuple(fuse(opened, legs, k)), index, opened.data_version, took_ms, behind)

    def warm(self, index: str | None = None) -> None:
        """Loads the engine, the model and an index, so that the first query does not have to."""
        self._embedder.embed(["warm"])
        if index is None:
            self._reader.submit(self._reader.open("warm")).result()
            return
        opened, _ = self._current(index)
        self._reader.submit(self._reader.warm(opened)).result()
        self.search(index, "warm", k=1)

    def close(self) -> None:
        """Ends the thread that searches."""
        self._reader.close()
        self._newest.clear()
        self._pinned.clear()

    def _answer(
        self, index: str, query: str, k: int, wanted: Filter, version: int | None, mode: Mode
    ) -> tuple[Opened, int, tuple[Leg, Leg]]:
        opened = self._newest.get(index) if version is None else self._at(index, version)
        behind = 0
        if opened is not None:
            running = self._start(opened, query, k, wanted, mode)
            if version is not None:
                return opened, 0, running.result()
            # While the engine searches, the lakehouse says whether this state is still the newest.
            snapshot = self._tables.snapshot(index)
            if (snapshot.table_id, snapshot.version) == (opened.table_id, opened.version):
                return opened, 0, running.result()
            running.cancel()
        opened, behind = self._current(index)
        return opened, behind, self._start(opened, query, k, wanted, mode).result()

    def _start(self, opened: Opened, query: str, k: int, wanted: Filter, mode: Mode) -> Future[tuple[Leg, Leg]]:
        if opened.rows and opened.embedder != self._embedder.digest:
            raise Conflict(
                f"{opened.name} was embedded by {opened.embedder}, this process has {self._embedder.digest}. "
                "Materialize the index again."
            )
        vector = None if mode == "text" else self._embedder.embed([query])[0]
        text = None if mode == "vector" else query
        # Deeper than k: a chunk that both legs rank a little lower may still be the best of all.
        depth = max(2 * k, 20) if mode == "hybrid" else k
        return self._reader.submit(self._reader.legs(opened, vector, text, wanted, depth))

    def _at(self, index: str, version: int) -> Opened:
        table_id = self._tables.snapshot(index).table_id
        found = self._pinned.get((index, version))
        if found is None or found.table_id != table_id:
            opened, versions = self._reader.submit(self._reader.open(index, version)).result()
            if opened is None or opened.table_id != table_id:
                raise unknown_version(index, version, versions)
            found = self._pinned[index, version] = opened
            while len(self._pinned) > _PINNED_STATES:
                self._pinned.popitem(last=False)
        return found

    def _current(self, index: str) -> tuple[Opened, int]:
        """The newest state, brought up to the table if need be, and how far it is behind."""
        with self._opening:
            snapshot = self._tables.snapshot(index)
            require_chunks(snapshot)
            opened = self._opened(index, snapshot)
            if opened is None or opened.version < snapshot.version:
                self._repair(index, snapshot, patient=opened is None)
                opened = self._opened(index, snapshot)
            if opened is None:
                raise Unavailable(
                    f"{index} is being indexed for the first time. Retry in a moment.", retry_after_seconds=2
                )
            self._newest[index] = opened
            return opened, max(0, snapshot.version - opened.version)

    def _opened(self, index: str, snapshot: Snapshot) -> Opened | None:
        opened, _ = self._reader.submit(self._reader.open(index)).result()
        return opened if opened is not None and opened.table_id == snapshot.table_id else None

    def _repair(self, index: str, snapshot: Snapshot, *, patient: bool) -> None:
        mirror = Index(self._store, index, self._policy)
        # A writer at work holds the lock and will finish the job; one that died has lost it.
        if not mirror.lock.acquire(timeout_seconds=30.0 if patient else 0.0):
            return
        try:
            report = mirror.sync(snapshot)
            _LOG.info("brought %s to version %d: %s", index, snapshot.version, report)
        except (HeadwaterError, OSError, RuntimeError, ValueError) as error:
            if patient:  # there is no older state to answer from
                raise
            _LOG.warning("could not bring %s to version %d: %s", index, snapshot.version, error)
        finally:
            mirror.lock.release()

    def _forget(self, index: str) -> None:
        self._newest.pop(index, None)
        for key in [key for key in self._pinned if key[0] == index]:
            self._pinned.pop(key, None)


def _validate(query: str, k: int, mode: str) -> None:
    if not query.strip():
        raise InvalidArgument("The query is empty. Ask for something.")
    if len(query) > LONGEST_QUERY:
        raise InvalidArgument(f"The query has {len(query)} characters; at most {LONGEST_QUERY} are searched for.")
    if not 1 <= k <= MOST_HITS:
        raise InvalidArgument(f"k is {k}; choose 1 to {MOST_HITS}.")
    if mode not in ("hybrid", "vector", "text"):
        raise InvalidArgument(f"There is no search mode {mode!r}. Choose hybrid, vector or text.")
