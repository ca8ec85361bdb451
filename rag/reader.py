"""Reads mirrors: one event loop in a thread of its own, on which both legs of a search run at the same time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from rag import upkeep
from rag.filters import Filter, cache_key, compile_filter
from rag.layout import EMBEDDER, TABLE_ID, Policy, Store, tag_of, version_of

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

T = TypeVar("T")

_SHOWN = ["id", "document", "title", "heading", "position", "start", "end", "content"]
_EXHAUSTIVE = 20_000
"""Filtered rows up to which every partition is probed: the search within the filter is then exact."""


@dataclass(slots=True)
class Opened:
    """One state of one mirror, open for searching."""

    name: str
    table: Any
    version: int
    made_as: int
    table_id: str
    embedder: str
    rows: int
    vectors: upkeep.VectorIndex | None
    labels: frozenset[str] | None = None
    narrowed: dict[str, Narrowed] = field(default_factory=dict)

    @property
    def data_version(self) -> str:
        """The version that made this content: later ones, such as that of a vacuum, only moved files."""
        return f"{self.table_id}@{self.made_as}"


@dataclass(frozen=True, slots=True)
class Narrowed:
    """A filter made ready for one state: its predicate, and how many rows satisfy it."""

    where: str
    rows: int


@dataclass(frozen=True, slots=True)
class Leg:
    """Rows one leg found, best first."""

    rows: list[dict[str, Any]]


class Reader:
    """Opens and queries mirrors. Thread-safe; create it after a fork, never before."""

    def __init__(self, store: Store, policy: Policy) -> None:
        self.store = store
        self.policy = policy
        self._start = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._database: Any = None

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Starts work on the reader's loop."""
        with self._start:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="retrieval", daemon=True)
                self._thread.start()
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def close(self) -> None:
        """Stops the loop. Searches under way are abandoned."""
        with self._start:
            if self._loop is None or self._thread is None:
                return
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
            self._loop = self._thread = self._database = None

    async def open(self, name: str, version: int | None = None) -> tuple[Opened | None, list[int]]:
        """Opens a mirror at a version, the newest by default, and tells which versions there are.

        The first part is None where there is no such state.
        """
        database = await self._connected()
        try:
            table = await database.open_table(name)
        except ValueError as error:
            if "was not found" in str(error):
                return None, []
            raise
        tags = await table.tags.list()
        versions = sorted(found for tag in tags if (found := version_of(tag)) is not None)
        wanted = versions[-1] if version is None and versions else version
        if wanted is None or wanted not in versions:
            return None, versions
        await table.checkout(tag_of(wanted))
        metadata: Mapping[bytes, bytes] = (await table.schema()).metadata or {}
        opened = Opened(
            name=name,
            table=table,
            version=wanted,
            made_as=upkeep.same_state(tags, wanted)[0],
            table_id=metadata.get(TABLE_ID.encode(), b"").decode(),
            embedder=metadata.get(EMBEDDER.encode(), b"").decode(),
            rows=await table.count_rows(),
            vectors=upkeep.vector_index(list(await table.list_indices())),
        )
        return opened, versions

    async def _connected(self) -> Any:
        if self._database is None:
            import lancedb

            if self.store.folder is not None:
                self.store.folder.mkdir(parents=True, exist_ok=True)
            self._database = await lancedb.connect_async(
                self.store.address, storage_options=dict(self.store.options) or None
            )
        return self._database

    async def warm(self, opened: Opened) -> None:
        """Loads the indices of a state into memory."""
        for index in await opened.table.list_indices():
            await opened.table.prewarm_index(index.name)

    async def legs(
        self, opened: Opened, vector: npt.NDArray[np.float32] | None, text: str | None, wanted: Filter, depth: int
    ) -> tuple[Leg, Leg]:
        """The nearest chunks by vector and the best by BM25, at most `depth` each; a leg given None finds nothing."""
        if opened.rows == 0:
            return Leg([]), Leg([])
        narrowed = await self._narrowed(opened, wanted) if wanted else None
        near, matching = await asyncio.gather(
            self._by_vector(opened, vector, narrowed, depth), self._by_text(opened, text, narrowed, depth)
        )
        return Leg(near), Leg(matching)

    async def _by_vector(
        self, opened: Opened, vector: npt.NDArray[np.float32] | None, narrowed: Narrowed | None, depth: int
    ) -> list[dict[str, Any]]:
        if vector is None or not vector.any():
            return []
        query = opened.table.query().nearest_to(vector).distance_type("cosine").limit(depth)
        if opened.vectors is not None:
            query = query.nprobes(_probes(opened, opened.vectors.partitions, narrowed))
            if opened.vectors.kind == "IvfSq":
                query = query.refine_factor(self.policy.refine)
        if narrowed:
            query = query.where(narrowed.where)
        rows: list[dict[str, Any]] = (await query.select([*_SHOWN, "_distance"]).to_arrow()).to_pylist()
        return rows

    async def _by_text(
        self, opened: Opened, text: str | None, narrowed: Narrowed | None, depth: int
    ) -> list[dict[str, Any]]:
        if text is None:
            return []
        from lancedb.query import MatchQuery

        # Not the bare string: LanceDB would read quotes in it as a phrase query, which needs another index.
        words = MatchQuery(text, "content")  # type: ignore[call-arg]  # the plug-in misses this class's defaults
        query = opened.table.query().nearest_to_text(words).limit(depth)
        if narrowed:
            query = query.where(narrowed.where)
        rows: list[dict[str, Any]] = (await query.select([*_SHOWN, "_score"]).to_arrow()).to_pylist()
        return rows

    async def _narrowed(self, opened: Opened, wanted: Filter) -> Narrowed:
        key = cache_key(wanted)
        found = opened.narrowed.get(key)
        if found is None:
            if opened.labels is None:
                opened.labels = await _label_names(opened.table)
            where = compile_filter(wanted, opened.labels)
            found = Narrowed(where, await opened.table.count_rows(where))
            if len(opened.narrowed) >= 1024:
                opened.narrowed.clear()
            opened.narrowed[key] = found
        return found


def _probes(opened: Opened, partitions: int, narrowed: Narrowed | None) -> int:
    """Partitions to probe. Under a filter most rows of a partition do not count, so more partitions must."""
    usual = max(8, partitions // 16)
    if narrowed is None:
        return min(usual, partitions)
    if narrowed.rows <= _EXHAUSTIVE:
        return partitions
    return min(partitions, -(-usual * opened.rows // narrowed.rows))


async def _label_names(table: Any) -> frozenset[str]:
    import pyarrow.compute as pc

    labels = (await table.query().select(["labels"]).to_arrow())["labels"]
    return frozenset(label.split("=", 1)[0] for label in pc.list_flatten(labels).unique().to_pylist())
