"""Reads mirrors on an event loop in its own thread, which runs vector search and full-text search concurrently."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from rag import maintenance
from rag.filters import Filter, cache_key, compile_filter
from rag.layout import CURRENT_LAYOUT, EMBEDDER, LAYOUT, TABLE_ID, Policy, Store, cjk, tagged_version, version_tag

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

T = TypeVar("T")

_RESULT_COLUMNS = ["id", "document", "title", "heading", "position", "start", "end", "content"]
_EXACT_FILTER_ROWS = 20_000
"""Up to this many rows that match a filter, every partition is probed, so the filtered search is exact."""


@dataclass(slots=True)
class IndexState:
    """An open, searchable state of a mirror."""

    name: str
    table: Any
    version: int
    content_version: int
    table_id: str
    embedder: str
    layout: str
    rows: int
    vectors: maintenance.VectorIndex | None
    labels: frozenset[str] | None = None
    prepared_filters: dict[str, PreparedFilter] = field(default_factory=dict)

    @property
    def data_version(self) -> str:
        """The version that wrote this content. Later versions, such as that of a vacuum, only changed files."""
        return f"{self.table_id}@{self.content_version}"


@dataclass(frozen=True, slots=True)
class PreparedFilter:
    """A filter compiled for one state: its SQL predicate, and the number of rows that match it."""

    where: str
    rows: int


@dataclass(frozen=True, slots=True)
class Ranking:
    """The rows that one search returned, best first."""

    rows: list[dict[str, Any]]


class Reader:
    """Opens and searches mirrors. Thread-safe. Create it after a fork, never before."""

    def __init__(self, store: Store, policy: Policy) -> None:
        self.store = store
        self.policy = policy
        self._start = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._database: Any = None

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Starts a coroutine on the reader's event loop."""
        with self._start:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="retrieval", daemon=True)
                self._thread.start()
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def close(self) -> None:
        """Stops the event loop. Running searches are abandoned."""
        with self._start:
            if self._loop is None or self._thread is None:
                return
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
            self._loop = self._thread = self._database = None

    async def open(self, name: str, version: int | None = None) -> tuple[IndexState | None, list[int]]:
        """Opens a mirror at a version, or at the newest one, and returns the state with all searchable versions.

        The state is None if the mirror or the version doesn't exist.
        """
        database = await self._connection()
        try:
            table = await database.open_table(name)
        except ValueError as error:
            if "was not found" in str(error):
                return None, []
            raise
        tags = await table.tags.list()
        versions = sorted(number for tag in tags if (number := tagged_version(tag)) is not None)
        requested = versions[-1] if version is None and versions else version
        if requested is None or requested not in versions:
            return None, versions
        await table.checkout(version_tag(requested))
        metadata: Mapping[bytes, bytes] = (await table.schema()).metadata or {}
        state = IndexState(
            name=name,
            table=table,
            version=requested,
            content_version=maintenance.versions_of_state(tags, requested)[0],
            table_id=metadata.get(TABLE_ID.encode(), b"").decode(),
            embedder=metadata.get(EMBEDDER.encode(), b"").decode(),
            layout=metadata.get(LAYOUT.encode(), b"").decode(),
            rows=await table.count_rows(),
            vectors=maintenance.vector_index(list(await table.list_indices())),
        )
        return state, versions

    async def _connection(self) -> Any:
        if self._database is None:
            import lancedb

            if self.store.folder is not None:
                self.store.folder.mkdir(parents=True, exist_ok=True)
            self._database = await lancedb.connect_async(
                self.store.address, storage_options=dict(self.store.options) or None
            )
        return self._database

    async def warm(self, state: IndexState) -> None:
        """Loads the indices of a state into memory."""
        for index in await state.table.list_indices():
            await state.table.prewarm_index(index.name)

    async def search(
        self, state: IndexState, vector: npt.NDArray[np.float32] | None, text: str | None, filter: Filter, depth: int
    ) -> tuple[Ranking, Ranking]:
        """Returns the nearest chunks by vector and the best chunks by BM25, at most `depth` each.

        If `vector` or `text` is None, that ranking is empty.
        """
        if state.rows == 0:
            return Ranking([]), Ranking([])
        prepared = await self._prepare(state, filter) if filter else None
        by_vector, by_text = await asyncio.gather(
            self._by_vector(state, vector, prepared, depth), self._by_text(state, text, prepared, depth)
        )
        return Ranking(by_vector), Ranking(by_text)

    async def _by_vector(
        self, state: IndexState, vector: npt.NDArray[np.float32] | None, prepared: PreparedFilter | None, depth: int
    ) -> list[dict[str, Any]]:
        if vector is None or not vector.any():
            return []
        query = state.table.query().nearest_to(vector).distance_type("cosine").limit(depth)
        if state.vectors is not None:
            query = query.nprobes(_probes(state, state.vectors.partitions, prepared))
            if state.vectors.kind == "IvfSq":
                query = query.refine_factor(self.policy.refine)
        if prepared:
            query = query.where(prepared.where)
        rows: list[dict[str, Any]] = (await query.select([*_RESULT_COLUMNS, "_distance"]).to_arrow()).to_pylist()
        return rows

    async def _by_text(
        self, state: IndexState, text: str | None, prepared: PreparedFilter | None, depth: int
    ) -> list[dict[str, Any]]:
        if text is None:
            return []
        query = state.table.query().nearest_to_text(_text_query(text, state.layout)).limit(depth)
        if prepared:
            query = query.where(prepared.where)
        rows: list[dict[str, Any]] = (await query.select([*_RESULT_COLUMNS, "_score"]).to_arrow()).to_pylist()
        return rows

    async def _prepare(self, state: IndexState, filter: Filter) -> PreparedFilter:
        key = cache_key(filter)
        prepared = state.prepared_filters.get(key)
        if prepared is None:
            if state.labels is None:
                state.labels = await _label_names(state.table)
            where = compile_filter(filter, state.labels)
            prepared = PreparedFilter(where, await state.table.count_rows(where))
            if len(state.prepared_filters) >= 1024:
                state.prepared_filters.clear()
            state.prepared_filters[key] = prepared
        return prepared


def _text_query(text: str, layout: str) -> Any:
    """Returns a query for chunks that contain some of the words, or of the Chinese, Japanese and Korean characters."""
    from lancedb.query import BooleanQuery, MatchQuery, Occur

    # A query object, because LanceDB reads quotes in a plain string as a phrase query, which needs another index.
    words = MatchQuery(text, "content")  # type: ignore[call-arg]  # the mypy plug-in misses this class's defaults
    characters = cjk(text)
    if characters is None or layout != CURRENT_LAYOUT:
        return words
    grams = MatchQuery(characters, "cjk")  # type: ignore[call-arg]
    return BooleanQuery([(Occur.SHOULD, words), (Occur.SHOULD, grams)])


def _probes(state: IndexState, partitions: int, prepared: PreparedFilter | None) -> int:
    """Returns the number of partitions to probe. A filter excludes most rows of a partition, so it needs more."""
    default = max(8, partitions // 16)
    if prepared is None:
        return min(default, partitions)
    if prepared.rows <= _EXACT_FILTER_ROWS:
        return partitions
    return min(partitions, -(-default * state.rows // prepared.rows))


async def _label_names(table: Any) -> frozenset[str]:
    import pyarrow.compute as pc

    labels = (await table.query().select(["labels"]).to_arrow())["labels"]
    return frozenset(label.split("=", 1)[0] for label in pc.list_flatten(labels).unique().to_pylist())
