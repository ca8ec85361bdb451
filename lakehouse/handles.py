"""Kept table handles: opening a table costs a listing and a read of its log, so it is done once and then advanced.

Per table there is one handle for reading and one for writing. The reading one is shared with the snapshots made from it
and advanced in place only when none of them is alive, so a snapshot never changes under its holder.
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from typing import TYPE_CHECKING

from core.errors import TableDamaged, UnknownTable, UnknownVersion
from lakehouse import ledger
from lakehouse.faults import translated
from lakehouse.history import parse
from lakehouse.ledger import Ledger
from lakehouse.snapshot import Snapshot
from lakehouse.storage import Signature, Storage

if TYPE_CHECKING:
    from deltalake import DeltaTable

_KEPT_TABLES = 512
_KEPT_VERSIONS = 32


class Handle:
    """What is kept of one table."""

    def __init__(self) -> None:
        self.queue = threading.RLock()
        """Held by the one writer of this process; others wait for it."""
        self.writer: DeltaTable | None = None
        self.written: tuple[int, Signature] | None = None
        """Version and signature of the commit that `writer` made last."""
        self.row_count: tuple[int, int] | None = None
        """A version and its number of rows, so that an append need not count again."""
        self.lock = threading.Lock()
        """Guards everything below; held for short reads only."""
        self.reader: DeltaTable | None = None
        self.leases: list[weakref.ref[DeltaTable]] = []
        self.confirmed: tuple[int, Signature | None] | None = None
        """The newest version `reader` was checked at, and the signature of its commit file."""
        self.versions: OrderedDict[int, DeltaTable] = OrderedDict()


class Handles:
    """The kept handles of every table. Thread-safe."""

    def __init__(self, storage: Storage, ledger: Ledger) -> None:
        self.storage = storage
        self.ledger = ledger
        self._handles: OrderedDict[str, Handle] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, table: str) -> Handle:
        """The handle of a table, whether or not it exists."""
        with self._lock:
            handle = self._handles.get(table)
            if handle is None:
                handle = self._handles[table] = Handle()
                while len(self._handles) > _KEPT_TABLES:
                    self._handles.popitem(last=False)
            self._handles.move_to_end(table)
            return handle

    def drop(self, table: str) -> None:
        """Forgets what is kept of a table, except the queue its writers wait in."""
        handle = self.get(table)
        with handle.lock:
            handle.writer = handle.written = handle.row_count = handle.reader = handle.confirmed = None
            handle.versions.clear()

    def snapshot(self, table: str, version: int | None = None) -> Snapshot:
        """The newest or a given version, for reading. Raises as `current` and `at`."""
        return Snapshot(table, self.current(table) if version is None else self.at(table, version), self.storage)

    def current(self, table: str) -> DeltaTable:
        """The newest version, checked against the ledger. Never changes once returned.

        Raises:
            UnknownTable: there is no such table.
            TableDamaged: the log is unreadable, ends before the newest recorded commit, or was altered.
        """
        handle = self.get(table)
        with handle.lock:
            reader = self._advance(table, handle)
            recorded = self.ledger.newest(table, str(reader.metadata().id))
            if recorded and recorded[0] > reader.version():
                # Recorded after the log was looked at, or lost: a commit is in the log before it is on record.
                reader = self._advance(table, handle)
            if recorded and recorded[0] > reader.version():
                raise ledger.lost(table, reader.version(), recorded[0])
            return self._lease(handle, reader)

    def at(self, table: str, version: int) -> DeltaTable:
        """One version of a table.

        Raises:
            UnknownTable, UnknownVersion, TableDamaged: see the names.
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
                while len(handle.versions) > _KEPT_VERSIONS:
                    handle.versions.popitem(last=False)
            handle.versions.move_to_end(version)
            return handle.versions[version]

    def unknown_version(self, table: str, version: int, newest: int) -> UnknownVersion:
        """The error for a version that cannot be read; says which can."""
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
            delta = self._load(table, version)
        self._check(table, str(delta.metadata().id), range(log.base(version) + 1, version + 1))
        return delta

    def _advance(self, table: str, handle: Handle) -> DeltaTable:
        reader = self._advanced(table, handle)
        handle.reader = reader
        handle.confirmed = (reader.version(), self.storage.commit_signature(table, reader.version()))
        return reader

    def _advanced(self, table: str, handle: Handle) -> DeltaTable:
        """The newest version; every commit file that was read for it is checked."""
        reader = handle.reader
        with translated(table, "opening"):
            if reader is None or handle.confirmed is None:
                return self._opened(table)
            version = reader.version()
            if self.storage.commit_signature(table, version) != handle.confirmed[1]:
                handle.versions.clear()
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
        """Compares commit files with the digests on record, and puts those on record that are not.

        Raises:
            TableDamaged: a file is empty, is no commit, or is not the one on record.
        """
        digests = {}
        for version, content in self.storage.commit_contents(table, versions).items():
            try:
                parse(version, content)
            except ValueError as error:
                raise ledger.altered(table, version) from error
            digests[version] = ledger.digest(content)
        self.ledger.check(table, table_id, digests)

    def _open(self, table: str) -> DeltaTable:
        try:
            return self._load(table)
        except Exception as error:
            from deltalake.exceptions import TableNotFoundError

            if not isinstance(error, TableNotFoundError):
                raise
            # Files alone are no damage: a table is being made, or its maker was killed before the first commit.
            if self.ledger.knows(table) and self.storage.has_files(table):
                raise TableDamaged(
                    f"{table} has files but its Delta log is gone. Put its `_delta_log` folder back from a backup; to "
                    f"give the table up, run `headwater tables adopt {table}`.",
                    metadata={"table": table},
                ) from error
            raise self.unknown_table(table) from error

    def unknown_table(self, table: str) -> UnknownTable:
        """The error for a table that does not exist; says which similar ones do."""
        from difflib import get_close_matches

        existing = self.storage.tables()
        similar = get_close_matches(table, existing, n=5, cutoff=0.5) or existing[:5]
        hint = f"Similar tables: {', '.join(similar)}." if similar else "The lakehouse has no tables yet."
        return UnknownTable(f"There is no table {table}. {hint}", metadata={"table": table, "existing": similar})

    def writer(self, table: str) -> DeltaTable:
        """The newest version, for the one who holds the table's queue: the next write advances it.

        Raises:
            UnknownTable, TableDamaged: as for `current`.
        """
        handle = self.get(table)
        if (writer := handle.writer) is not None and self._untouched(table, handle, writer):
            return writer
        newest = self.current(table)
        with translated(table, "opening"):
            if writer is None or writer.metadata().id != newest.metadata().id or writer.version() > newest.version():
                writer = handle.writer = self._load(table)
            elif writer.version() < newest.version():
                writer.update_incremental()
        return writer

    def _untouched(self, table: str, handle: Handle, writer: DeltaTable) -> bool:
        """Whether the newest commit is still the one this writer made."""
        if handle.written is None or handle.written[0] != writer.version():
            return False
        version, signature = handle.written
        if self.storage.commit_signature(table, version) != signature:
            return False
        if self.storage.commit_signature(table, version + 1) is not None:
            return False
        recorded = self.ledger.newest(table, str(writer.metadata().id))
        return recorded is None or recorded[0] <= version

    def _load(self, table: str, version: int | None = None) -> DeltaTable:
        from deltalake import DeltaTable

        return DeltaTable(self.storage.uri(table), version=version, storage_options=self.storage.options)

    def _lease(self, handle: Handle, reader: DeltaTable) -> DeltaTable:
        from deltalake import DeltaTable

        # A second wrapper of the same native table: as long as one is alive, the native table is not advanced.
        lease = DeltaTable.__new__(DeltaTable)
        lease._table = reader._table
        lease._storage_options = reader._storage_options
        handle.leases.append(weakref.ref(lease))
        return lease
