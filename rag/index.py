"""The LanceDB side of an index: one table that mirrors one version of the Delta table of chunks.

The Delta table is the source. `Index.sync` brings the mirror to a Delta version by writing only the differences, then
tags the state with `v<Delta version>`. Searches read only tagged states, so they never see an incomplete one. If a
writer dies before it tags the state, the next `sync` completes it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from core.errors import IndexInconsistent, UnknownVersion
from rag import maintenance, mirror
from rag.layout import CURRENT_LAYOUT, EMBEDDER, LAYOUT, TABLE_ID, Policy, Store, version_tag
from rag.lock import WriterLock

if TYPE_CHECKING:
    from lakehouse.tables import Snapshot


@dataclass(frozen=True, slots=True)
class SyncReport:
    """The number of rows that a synchronization wrote. All zero if the mirror was already up to date."""

    version: int
    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    rows: int = 0
    rebuilt: bool = False
    took_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class IndexStatus:
    """The newest searchable state. Searches scan the `unindexed_rows` until the next optimization indexes them."""

    table_id: str
    version: int
    versions: tuple[int, ...]
    rows: int
    unindexed_rows: int
    vector_index: str
    embedder: str
    size_bytes: int


class Index:
    """Writes the mirror of one index. To search it, use `rag.retrieval.Retriever`.

    Args:
        store: storage location of the mirrors.
        name: asset id, which is also the name of the Delta table.
        policy: maintenance policy of the mirror.
    """

    def __init__(self, store: Store, name: str, policy: Policy | None = None) -> None:
        self.store = store
        self.name = name
        self.policy = policy or Policy()
        self.lock = WriterLock(store.lock_path(name))
        self._database: Any = None

    @contextmanager
    def write_lock(self) -> Iterator[None]:
        """Locks out other writers, and searches that would repair the mirror, while Delta table and mirror change.

        Raises:
            WriteConflict: another writer didn't finish in time.
        """
        with self.lock.held():
            yield

    def versions(self) -> list[int]:
        """Returns the searchable Delta versions, oldest first."""
        table = self._open()
        return [] if table is None else maintenance.tagged_versions(table)

    def sync(self, snapshot: Snapshot) -> SyncReport:
        """Makes the mirror equal to a snapshot of the chunk table and tags it. Safe to repeat and to interrupt.

        Changes nothing if the mirror already has this or a newer version.

        Raises:
            InvalidArgument: the table isn't a table of chunks.
            WriteConflict: another writer didn't finish in time.
            IndexInconsistent: the mirror differs from the snapshot after everything was written.
        """
        mirror.require_chunks(snapshot)
        started = time.perf_counter()
        with self.write_lock():
            table = self._open()
            stored = mirror.stored_identity(table) if table is not None else {}
            if table is not None and stored[TABLE_ID] == snapshot.table_id and stored[LAYOUT] == CURRENT_LAYOUT:
                newest = max(maintenance.tagged_versions(table), default=-1)
                if newest >= snapshot.version:
                    return SyncReport(newest, rows=table.count_rows(), took_ms=_elapsed_ms(started))
                if newest >= 0 and self._tag_if_equal(table, newest, snapshot):
                    return SyncReport(snapshot.version, rows=table.count_rows(), took_ms=_elapsed_ms(started))
            change = None
            if table is not None and stored == mirror.identity(snapshot):
                change = mirror.compare(table, snapshot)
                mirror.apply(table, snapshot, change)
            else:
                table = self._create(table, snapshot)
            self._finish(table, snapshot)
            maintenance.remove_old_states(table, self.policy.keep_versions)
            rows = table.count_rows()
        if change is None:
            return SyncReport(snapshot.version, rows, rows=rows, rebuilt=True, took_ms=_elapsed_ms(started))
        counts = (len(change.new), len(change.moved), len(change.deleted))
        return SyncReport(snapshot.version, *counts, rows=rows, took_ms=_elapsed_ms(started))

    def erase(self, snapshot: Snapshot) -> SyncReport:
        """Rebuilds the mirror from a snapshot and removes every older state, so that deleted text is erased.

        Call `rag.erasure.erase` instead to erase text from the Delta table too. Afterwards, searches pinned to an older
        version raise `UnknownVersion`.
        """
        mirror.require_chunks(snapshot)
        started = time.perf_counter()
        with self.write_lock():
            self.sync(snapshot)
            table = self._open()
            same_content = maintenance.versions_of_state(table.tags.list(), snapshot.version)
            maintenance.drop_tags(table)
            table = self._create(table, snapshot)
            maintenance.maintain(table, self.policy)
            # Before tagging: LanceDB refuses to clean up if a state other than the latest has a tag.
            maintenance.clean_up(table, timedelta(milliseconds=1), abandoned=True)
            self._finish(table, snapshot)
            for version in same_content:
                maintenance.tag_state(table, version)
            rows = table.count_rows()
        return SyncReport(snapshot.version, rows, rows=rows, rebuilt=True, took_ms=_elapsed_ms(started))

    def equals(self, snapshot: Snapshot) -> bool:
        """Returns whether the newest searchable state has exactly the rows of a snapshot."""
        table = self._open()
        versions = [] if table is None else maintenance.tagged_versions(table)
        if table is None or not versions or mirror.stored_identity(table) != mirror.identity(snapshot):
            return False
        table.checkout(version_tag(versions[-1]))
        return not mirror.compare(table, snapshot)

    def status(self) -> IndexStatus | None:
        """Describes the newest searchable state; None if there is none."""
        table = self._open()
        versions = [] if table is None else maintenance.tagged_versions(table)
        if table is None or not versions:
            return None
        table.checkout(version_tag(versions[-1]))
        stored = mirror.stored_identity(table)
        vectors = maintenance.vector_index(table.list_indices())
        return IndexStatus(
            table_id=stored[TABLE_ID],
            version=versions[-1],
            versions=tuple(versions),
            rows=table.count_rows(),
            unindexed_rows=maintenance.unindexed_rows(table),
            vector_index=f"{vectors.kind}, {vectors.partitions} partitions" if vectors else "none: searched exactly",
            embedder=stored[EMBEDDER],
            size_bytes=int(table.stats()["total_bytes"]),
        )

    def documents(self, version: int | None = None) -> dict[str, int]:
        """Returns the number of chunks per document, at a version or at the newest one.

        Raises:
            UnknownVersion: the version isn't searchable. The message lists the searchable versions.
        """
        table = self._open()
        versions = [] if table is None else maintenance.tagged_versions(table)
        requested = versions[-1] if version is None and versions else version
        if table is None or requested not in versions or requested is None:
            raise unknown_version(self.name, version, versions)
        table.checkout(version_tag(requested))
        counts: dict[str, int] = {}
        for document in table.search().select(["document"]).to_arrow()["document"].to_pylist():
            counts[document] = counts.get(document, 0) + 1
        return counts

    def _tag_if_equal(self, table: Any, newest: int, snapshot: Snapshot) -> bool:
        """Adds a tag to the newest state if the snapshot has the same content, as after OPTIMIZE or VACUUM."""
        table.checkout(version_tag(newest))
        try:
            if mirror.stored_identity(table) != mirror.identity(snapshot) or table.count_rows() != snapshot.row_count:
                return False
            if maintenance.unindexed_rows(table) or mirror.compare(table, snapshot):
                return False
            maintenance.tag_state(table, snapshot.version)
            return True
        finally:
            table.checkout_latest()

    def _finish(self, table: Any, snapshot: Snapshot) -> None:
        """Builds the indices, verifies the state against the snapshot and tags it."""
        maintenance.maintain(table, self.policy)
        if table.count_rows() != snapshot.row_count or mirror.compare(table, snapshot):
            raise IndexInconsistent(
                f"The search index of {self.name} differs from version {snapshot.version} of its table after a "
                "synchronization. Materialize it again. If that doesn't help, delete its folder under the vectors "
                "root: the next materialization rebuilds it from the table.",
                metadata={"index": self.name, "version": snapshot.version},
            )
        maintenance.tag_state(table, snapshot.version)

    def _create(self, table: Any, snapshot: Snapshot) -> Any:
        identity = mirror.identity(snapshot)
        if table is not None and mirror.stored_identity(table)[TABLE_ID] != identity[TABLE_ID]:
            maintenance.drop_tags(table)  # the tags name versions of a table that no longer exists
        rows = mirror.mirror_rows(snapshot)
        mode = "create" if table is None else "overwrite"
        return self._connection().create_table(self.name, data=rows, schema=rows.schema, mode=mode)

    def _open(self) -> Any:
        try:
            return self._connection().open_table(self.name)
        except ValueError as error:
            if "was not found" in str(error):  # also raised for a folder without a committed state
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
    """Returns the error for a version without a searchable state. The message lists the searchable versions."""
    searchable = ", ".join(map(str, versions)) or "none"
    problem = "can't be searched yet" if version is None else f"can't be searched at version {version}"
    return UnknownVersion(
        f"{index} {problem}. Searchable versions: {searchable}.",
        metadata={"index": index, "version": version, "searchable": list(versions)},
    )


def _elapsed_ms(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 3)
