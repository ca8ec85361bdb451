"""The LanceDB side of an index: one table that mirrors one version of the Delta table of chunks.

Delta is the truth. `Index.sync` brings the mirror to a Delta version by writing only what differs, then marks the state
with the tag `v<Delta version>`. Searches read tagged states only, so a half-written one is never seen: whoever dies
before the tag leaves a state that the next `sync` completes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from core.errors import IndexInconsistent, UnknownVersion
from rag import mirror, upkeep
from rag.layout import EMBEDDER, TABLE_ID, Policy, Store, tag_of
from rag.lock import WriterLock

if TYPE_CHECKING:
    from lakehouse.tables import Snapshot


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What one synchronisation wrote: all zero where the mirror was already equal."""

    version: int
    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    rows: int = 0
    rebuilt: bool = False
    took_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class IndexStatus:
    """The newest searchable state. `unindexed_rows` are found by scanning until the next optimisation."""

    table_id: str
    version: int
    versions: tuple[int, ...]
    rows: int
    unindexed_rows: int
    vector_index: str
    embedder: str
    size_bytes: int


class Index:
    """Writes the mirror of one index. Reading is `rag.retrieval.Retriever`.

    Args:
        store: where the mirrors live.
        name: id of the asset, which is also the name of its Delta table.
        policy: how the mirror is kept.
    """

    def __init__(self, store: Store, name: str, policy: Policy | None = None) -> None:
        self.store = store
        self.name = name
        self.policy = policy or Policy()
        self.lock = WriterLock(store.lock_path(name))
        self._database: Any = None

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Keeps other writers, and searches that would repair the mirror, away while Delta and mirror change together.

        Raises:
            WriteConflict: another writer did not finish in time.
        """
        with self.lock.held():
            yield

    def versions(self) -> list[int]:
        """Delta versions that can be searched, oldest first."""
        table = self._open()
        return [] if table is None else upkeep.tagged_versions(table)

    def sync(self, snapshot: Snapshot) -> SyncReport:
        """Makes the mirror equal to a snapshot of the chunk table and tags it. Safe to repeat, safe to interrupt.

        A snapshot older than what the mirror already reflects changes nothing.

        Raises:
            InvalidArgument: the table is no table of chunks.
            WriteConflict: another writer did not finish in time.
            IndexInconsistent: the mirror differs from the snapshot although everything was written.
        """
        mirror.require_chunks(snapshot)
        started = time.perf_counter()
        with self.writing():
            table = self._open()
            stated = mirror.stated_identity(table) if table is not None else {}
            if table is not None and stated[TABLE_ID] == snapshot.table_id:
                newest = max(upkeep.tagged_versions(table), default=-1)
                if newest >= snapshot.version:
                    return SyncReport(newest, rows=table.count_rows(), took_ms=_elapsed_ms(started))
                if newest >= 0 and self._tagged_as(table, newest, snapshot):
                    return SyncReport(snapshot.version, rows=table.count_rows(), took_ms=_elapsed_ms(started))
            change = None
            if table is not None and stated == mirror.identity(snapshot):
                change = mirror.compare(table, snapshot)
                mirror.apply(table, snapshot, change)
            else:
                table = self._create(table, snapshot)
            self._finish(table, snapshot)
            upkeep.retire(table, self.policy.keep_versions)
            rows = table.count_rows()
        if change is None:
            return SyncReport(snapshot.version, rows, rows=rows, rebuilt=True, took_ms=_elapsed_ms(started))
        counts = (len(change.new), len(change.moved), len(change.gone))
        return SyncReport(snapshot.version, *counts, rows=rows, took_ms=_elapsed_ms(started))

    def erase(self, snapshot: Snapshot) -> SyncReport:
        """Rebuilds the mirror from a snapshot and removes every older state, so that deleted text is gone from disk.

        Deleting rows only hides them, in LanceDB as in Delta: `rag.erasure.erase` deals with both. Searches pinned to
        an older version end with `UnknownVersion` afterwards.
        """
        mirror.require_chunks(snapshot)
        started = time.perf_counter()
        with self.writing():
            self.sync(snapshot)
            table = self._open()
            alike = upkeep.same_state(table.tags.list(), snapshot.version)
            upkeep.drop_tags(table)
            table = self._create(table, snapshot)
            upkeep.maintain(table, self.policy)
            # Before the tag: LanceDB refuses to clean up once a state that is not the latest carries one.
            upkeep.clean_up(table, timedelta(milliseconds=1), abandoned=True)
            self._finish(table, snapshot)
            for version in alike:
                upkeep.tag_state(table, version)
            rows = table.count_rows()
        return SyncReport(snapshot.version, rows, rows=rows, rebuilt=True, took_ms=_elapsed_ms(started))

    def equals(self, snapshot: Snapshot) -> bool:
        """Whether the newest searchable state has exactly the rows of a snapshot."""
        table = self._open()
        versions = [] if table is None else upkeep.tagged_versions(table)
        if table is None or not versions or mirror.stated_identity(table) != mirror.identity(snapshot):
            return False
        table.checkout(tag_of(versions[-1]))
        return not mirror.compare(table, snapshot)

    def status(self) -> IndexStatus | None:
        """The newest searchable state; None if there is none."""
        table = self._open()
        versions = [] if table is None else upkeep.tagged_versions(table)
        if table is None or not versions:
            return None
        table.checkout(tag_of(versions[-1]))
        stated = mirror.stated_identity(table)
        vectors = upkeep.vector_index(table.list_indices())
        return IndexStatus(
            table_id=stated[TABLE_ID],
            version=versions[-1],
            versions=tuple(versions),
            rows=table.count_rows(),
            unindexed_rows=upkeep.unindexed_rows(table),
            vector_index=f"{vectors.kind}, {vectors.partitions} partitions" if vectors else "none: searched exactly",
            embedder=stated[EMBEDDER],
            size_bytes=int(table.stats()["total_bytes"]),
        )

    def documents(self, version: int | None = None) -> dict[str, int]:
        """Documents in the mirror and how many chunks each has, at a version or the newest.

        Raises:
            UnknownVersion: the version is not searchable; says which are.
        """
        table = self._open()
        versions = [] if table is None else upkeep.tagged_versions(table)
        wanted = versions[-1] if version is None and versions else version
        if table is None or wanted not in versions or wanted is None:
            raise unknown_version(self.name, version, versions)
        table.checkout(tag_of(wanted))
        counts: dict[str, int] = {}
        for document in table.search().select(["document"]).to_arrow()["document"].to_pylist():
            counts[document] = counts.get(document, 0) + 1
        return counts

    def _tagged_as(self, table: Any, newest: int, snapshot: Snapshot) -> bool:
        """Tags the newest state once more where a version changed files only, as after OPTIMIZE or VACUUM."""
        table.checkout(tag_of(newest))
        try:
            if mirror.stated_identity(table) != mirror.identity(snapshot) or table.count_rows() != snapshot.row_count:
                return False
            if upkeep.unindexed_rows(table) or mirror.compare(table, snapshot):
                return False
            upkeep.tag_state(table, snapshot.version)
            return True
        finally:
            table.checkout_latest()

    def _finish(self, table: Any, snapshot: Snapshot) -> None:
        """Indexes and tags the state, after a last look that it is the right one."""
        upkeep.maintain(table, self.policy)
        if table.count_rows() != snapshot.row_count or mirror.compare(table, snapshot):
            raise IndexInconsistent(
                f"The search index of {self.name} differs from version {snapshot.version} of its table after "
                "synchronisation. Materialize it again; if that does not help, delete its folder under the vectors "
                "root: it is rebuilt from the table.",
                metadata={"index": self.name, "version": snapshot.version},
            )
        upkeep.tag_state(table, snapshot.version)

    def _create(self, table: Any, snapshot: Snapshot) -> Any:
        identity = mirror.identity(snapshot)
        if table is not None and mirror.stated_identity(table)[TABLE_ID] != identity[TABLE_ID]:
            upkeep.drop_tags(table)  # they count versions of a table that is gone
        rows = mirror.mirrored(snapshot)
        mode = "create" if table is None else "overwrite"
        return self._connection().create_table(self.name, data=rows, schema=rows.schema, mode=mode)

    def _open(self) -> Any:
        try:
            return self._connection().open_table(self.name)
        except ValueError as error:
            if "was not found" in str(error):  # also for a folder whose first state was never committed
                return None
            raise

    def _connection(self) -> Any:
        if self._database is None:
            import lancedb

            if self.store.folder is not None:
                self.store.folder.mkdir(parents=True, exist_ok=True)
            self._database = lancedb.connect(self.store.address, storage_options=dict(self.store.options))
        return self._database


def unknown_version(index: str, version: int | None, versions: Sequence[int]) -> UnknownVersion:
    """The error for a version whose state is not kept; says which are."""
    kept = ", ".join(map(str, versions)) or "none yet"
    asked = "yet" if version is None else f"at version {version}"
    return UnknownVersion(
        f"{index} cannot be searched {asked}. Searchable versions: {kept}.",
        metadata={"index": index, "version": version, "searchable": list(versions)},
    )


def _elapsed_ms(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 3)
