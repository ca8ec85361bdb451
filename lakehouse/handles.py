"""Cached table handles. Opening a table lists and reads its log, so a handle is opened once and then advanced.

Each table has one handle for reading and one for writing. Snapshots share the handle for reading. It's advanced in
place only while no snapshot uses it, so a snapshot never changes.
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from core.errors import TableDamaged, UnknownTable, UnknownVersion
from lakehouse import ledger
from lakehouse.commits import parse_commit
from lakehouse.faults import translated
from lakehouse.ledger import Ledger
from lakehouse.opening import open_table
from lakehouse.snapshot import Snapshot
from lakehouse.storage import Signature, Storage

if TYPE_CHECKING:
    from deltalake import DeltaTable

_MAX_TABLES = 512
_MAX_VERSIONS = 32
_MAX_FILE_CACHES = 2


class Handle:
    """Cached state of one table."""

    def __init__(self) -> None:
        self.queue = threading.RLock()
        """Lock of the one writer of this process. Other writers wait for it."""
        self.writer: DeltaTable | None = None
        self.written: tuple[int, Signature] | None = None
        """Version and signature of the newest commit that `writer` made."""
        self.row_count: tuple[int, int] | None = None
        """A version and its number of rows, so that an append doesn't count the rows again."""
        self.lock = threading.Lock()
        """Lock of the attributes below. It's held only for short reads."""
        self.reader: DeltaTable | None = None
        self.leases: list[weakref.ref[DeltaTable]] = []
        self.confirmed: tuple[int, Signature | None] | None = None
        """Newest version at which `reader` was checked, and the signature of its commit file."""
        self.versions: OrderedDict[int, DeltaTable] = OrderedDict()
        self.commit_times: dict[tuple[str, int], datetime] = {}
        """Commit times by table id and version."""
        self.file_caches: OrderedDict[tuple[str, int], dict[str, Any]] = OrderedDict()
        """Facts about the data files of a version, by table id and version, shared by its snapshots."""


class Handles:
    """Cached handles of all tables. Thread-safe."""

    def __init__(self, storage: Storage, ledger: Ledger) -> None:
        self.storage = storage
        self.ledger = ledger
        self._handles: OrderedDict[str, Handle] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, table: str) -> Handle:
        """Returns the handle of a table. The table doesn't need to exist."""
        with self._lock:
            handle = self._handles.get(table)
            if handle is None:
                handle = self._handles[table] = Handle()
                while len(self._handles) > _MAX_TABLES:
                    self._handles.popitem(last=False)
            self._handles.move_to_end(table)
            return handle

    def drop(self, table: str) -> None:
        """Drops the cached state of a table, except the lock of its writers."""
        handle = self.get(table)
        with handle.lock:
            handle.writer = handle.written = handle.row_count = handle.reader = handle.confirmed = None
            handle.versions.clear()
            handle.commit_times.clear()
            handle.file_caches.clear()

    def snapshot(self, table: str, version: int | None = None) -> Snapshot:
        """Returns the newest or a given version for reading. Raises the errors of `current` and `at`."""
        delta = self.current(table) if version is None else self.at(table, version)
        return Snapshot(table, delta, self.storage, self._file_cache(table, delta))

    def _file_cache(self, table: str, delta: DeltaTable) -> dict[str, Any]:
        handle, key = self.get(table), (str(delta.metadata().id), delta.version())
        with handle.lock:
            cache = handle.file_caches.setdefault(key, {})
            handle.file_caches.move_to_end(key)
            while len(handle.file_caches) > _MAX_FILE_CACHES:
                handle.file_caches.popitem(last=False)
            return cache

    def current(self, table: str) -> DeltaTable:
        """Returns the newest version, checked against the ledger. The returned object never changes.

        Raises:
            UnknownTable: the table doesn't exist.
            TableDamaged: the log is unreadable, ends before the newest recorded commit, or was altered.
        """
        handle = self.get(table)
        with handle.lock:
            reader = self._advance(table, handle)
            recorded = self.ledger.newest(table, str(reader.metadata().id))
            if recorded and recorded[0] > reader.version():
                # Another process may have committed after the log was read: a commit is in the log before the ledger.
                reader = self._advance(table, handle)
            if recorded and recorded[0] > reader.version():
                raise ledger.truncated(table, reader.version(), recorded[0])
            return self._lease(handle, reader)

    def at(self, table: str, version: int) -> DeltaTable:
        """Returns one version of a table.

        Raises:
            UnknownVersion: the version doesn't exist, or the log no longer contains it.
            UnknownTable, TableDamaged: as for `current`.
        """
        newest = self.current(table)
        if version == newest.version():
            return newest
        if not 0 <= version < newest.version():
            raise self.unknown_version(table, version, newest.version())
        handle = self.get(table)
        with handle.lock:
            if version not in handle.versions:
                handle.versions[version] = self._load_version(table, version, newest.version())
                while len(handle.versions) > _MAX_VERSIONS:
                    handle.versions.popitem(last=False)
            handle.versions.move_to_end(version)
            return handle.versions[version]

    def unknown_version(self, table: str, version: int, newest: int) -> UnknownVersion:
        """Returns the error for a version that can't be read. It names the versions that can."""
        oldest = self.storage.log(table).oldest_readable or 0
        return UnknownVersion(
            f"{table} has no version {version}: it has versions {oldest} to {newest}.",
            metadata={"table": table, "version": version, "oldest": oldest, "newest": newest},
        )

    def _load_version(self, table: str, version: int, newest: int) -> DeltaTable:
        log = self.storage.log(table)
        if log.oldest_readable is None or version < log.oldest_readable:
            raise self.unknown_version(table, version, newest)
        with translated(table, "opening"):
            delta = open_table(self.storage, table, version)
        self._check(table, str(delta.metadata().id), range(log.base(version) + 1, version + 1))
        return delta

    def _advance(self, table: str, handle: Handle) -> DeltaTable:
        reader = self._advanced(table, handle)
        handle.reader = reader
        handle.confirmed = (reader.version(), self.storage.commit_signature(table, reader.version()))
        return reader

    def _advanced(self, table: str, handle: Handle) -> DeltaTable:
        """Returns the newest version. Every commit file that was read for it is checked."""
        reader = handle.reader
        with translated(table, "opening"):
            if reader is None or handle.confirmed is None:
                return self._opened(table)
            version = reader.version()
            if self.storage.commit_signature(table, version) != handle.confirmed[1]:
                handle.versions.clear()
                handle.file_caches.clear()
                handle.row_count = None
                return self._opened(table)
            if self.storage.commit_signature(table, version + 1) is None:
                return reader
            handle.leases = [lease for lease in handle.leases if lease() is not None]
            if handle.leases:
                return self._opened(table, since=version)
            reader.update_incremental()
        self._check(table, str(reader.metadata().id), range(version + 1, reader.version() + 1))
        return reader

    def _opened(self, table: str, since: int | None = None) -> DeltaTable:
        reader = self._open(table)
        newest = reader.version()
        base = self.storage.log(table).base(newest) if since is None else since
        self._check(table, str(reader.metadata().id), range(base + 1, newest + 1))
        return reader

    def _check(self, table: str, table_id: str, versions: range) -> None:
        """Compares commit files with the digests in the ledger, and records the digests of new ones.

        Raises:
            TableDamaged: a file is empty, can't be parsed, or isn't the file that was recorded.
        """
        digests = {}
        for version, content in self.storage.commit_contents(table, versions).items():
            try:
                parse_commit(version, content)
            except ValueError as error:
                raise ledger.altered(table, version) from error
            digests[version] = ledger.digest(content)
        self.ledger.check(table, table_id, digests)

    def _open(self, table: str) -> DeltaTable:
        try:
            return open_table(self.storage, table)
        except Exception as error:
            from deltalake.exceptions import TableNotFoundError

            if not isinstance(error, TableNotFoundError):
                raise
            # Files alone are no damage: a writer may be creating the table, or was killed before the first commit.
            if self.ledger.has_commits(table) and self.storage.has_files(table):
                raise TableDamaged(
                    f"{table} has files but no Delta log. Restore its `_delta_log` folder from a backup. To give up "
                    f"the table, run `headwater tables adopt {table}`.",
                    metadata={"table": table},
                ) from error
            raise self.unknown_table(table) from error

    def unknown_table(self, table: str) -> UnknownTable:
        """Returns the error for a table that doesn't exist. It names no other table, because those may be hidden."""
        return UnknownTable(f"There is no table {table}.", metadata={"table": table})

    def writer(self, table: str) -> DeltaTable:
        """Returns the newest version for a write, which advances it. The caller must hold the `queue` of the table.

        Raises:
            UnknownTable, TableDamaged: as for `current`.
        """
        handle = self.get(table)
        if (writer := handle.writer) is not None and self._untouched(table, handle, writer):
            return writer
        newest = self.current(table)
        with translated(table, "opening"):
            if writer is None or writer.metadata().id != newest.metadata().id or writer.version() > newest.version():
                writer = handle.writer = open_table(self.storage, table)
            elif writer.version() < newest.version():
                writer.update_incremental()
        return writer

    def _untouched(self, table: str, handle: Handle, writer: DeltaTable) -> bool:
        """Returns whether the newest commit is still the one that this writer made."""
        if handle.written is None or handle.written[0] != writer.version():
            return False
        version, signature = handle.written
        if self.storage.commit_signature(table, version) != signature:
            return False
        if self.storage.commit_signature(table, version + 1) is not None:
            return False
        recorded = self.ledger.newest(table, str(writer.metadata().id))
        return recorded is None or recorded[0] <= version

    def _lease(self, handle: Handle, reader: DeltaTable) -> DeltaTable:
        from deltalake import DeltaTable

        # A second wrapper of the same native table. While one is alive, the native table isn't advanced.
        lease = DeltaTable.__new__(DeltaTable)
        lease._table = reader._table
        lease._storage_options = reader._storage_options
        handle.leases.append(weakref.ref(lease))
        return lease
