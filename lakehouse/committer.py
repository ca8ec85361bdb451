"""The committer: runs one write at a time on the newest version, and records the digest of the commit."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from core.errors import HeadwaterError, UnsupportedTable, WriteConflict
from core.ids import new_id
from lakehouse import ledger
from lakehouse.commits import Commit, LogEntry, parse_commit, read_entry
from lakehouse.data_files import DataFiles
from lakehouse.faults import translated
from lakehouse.features import require_writable
from lakehouse.handles import Handle, Handles

if TYPE_CHECKING:
    from deltalake import CommitProperties, DeltaTable

_log = logging.getLogger(__name__)
_MARKER = "headwaterCommit"


@dataclass(frozen=True, slots=True)
class Write:
    """A write that the committer runs."""

    table: str
    activity: str
    """Present participle for messages, such as "appending to"."""
    run: Callable[[DeltaTable, CommitProperties], object]
    """Function that gets the newest version of the table and the commit properties."""
    user_metadata: Mapping[str, Any] | None = None
    """Content of the commit's `userMetadata`."""
    once: str | None = None
    """Key of an append that must happen at most once."""
    repeatable: bool = False
    """Whether `run` can be called again after a conflict."""
    if_version: int | None = None
    """Version that the write must follow directly."""
    transactions: tuple[str, ...] = ()
    """Application ids of appends that the written rows contain already."""


class Committer:
    """Runs writes, one at a time per table. Delta's commit protocol resolves conflicts with other processes."""

    def __init__(self, handles: Handles) -> None:
        self._handles = handles

    def commit(self, write: Write) -> Commit:
        """Runs a write. Returns the version it made; the current version if it changed nothing.

        Raises:
            WriteConflict: another process made a commit that conflicts with this write.
        """
        handle = self._handles.get(write.table)
        with handle.queue:
            for attempt in range(4):
                try:
                    return self._attempt(handle, write)
                except WriteConflict:
                    if not write.repeatable or write.if_version is not None or attempt == 3:
                        raise
                    time.sleep(0.02 * 2**attempt)
        raise AssertionError("unreachable")

    def create(self, table: str, run: Callable[[str, CommitProperties], object], write: Write) -> Commit:
        """Runs a write that creates the table. `run` gets the location of the table and the commit properties."""
        handle = self._handles.get(table)
        with handle.queue:
            self._handles.drop(table)
            marker = new_id("cmt")
            with translated(table, write.activity):
                run(self._handles.storage.uri(table), _properties(marker, write))
            return self._finish(handle, self._handles.writer(table), write, marker, before=-1)

    def _attempt(self, handle: Handle, write: Write) -> Commit:
        writer = self._handles.writer(write.table)
        require_writable(write.table, writer)
        before = writer.version()
        if write.if_version is not None and before != write.if_version:
            raise WriteConflict(
                f"{write.table} is at version {before}, not at version {write.if_version} as expected: another writer "
                "committed in the meantime. Read the new version and try again.",
                metadata={"table": write.table, "version": before, "expected_version": write.if_version},
            )
        if write.once is not None and (earlier := self._earlier_append(write, writer)):
            return earlier
        marker = new_id("cmt")
        try:
            with translated(write.table, write.activity):
                write.run(writer, _properties(marker, write))
        except HeadwaterError:
            handle.writer = None  # its state after a failed write isn't defined
            # The response of a store may be lost although the commit succeeded. A retry would write twice.
            if not self._was_committed(write.table, marker, before):
                raise
            writer = self._handles.writer(write.table)
        except BaseException:
            handle.writer = None
            raise
        return self._finish(handle, writer, write, marker, before)

    def _was_committed(self, table: str, marker: str, before: int) -> bool:
        version = before + 1
        try:
            while (content := self._handles.storage.commit_bytes(table, version)) is not None:
                if parse_commit(version, content).marker == marker:
                    return True
                version += 1
        except (OSError, ValueError):
            return False
        return False

    def _earlier_append(self, write: Write, writer: DeltaTable) -> Commit | None:
        application = transaction_id(str(write.once))
        if writer._table.transaction_version(application) is None:
            return None
        table_id = str(writer.metadata().id)
        for version in range(writer.version(), -1, -1):
            content = self._handles.storage.commit_bytes(write.table, version)
            if content is None:
                break
            entry = parse_commit(version, content)
            if application in entry.transactions:
                return replace(entry.commit(write.table, table_id, None), changed=False)
        newest = read_entry(self._handles.storage, write.table, writer.version())
        return replace(newest.commit(write.table, table_id, None), changed=False)

    def _finish(self, handle: Handle, writer: DeltaTable, write: Write, marker: str, before: int) -> Commit:
        table_id = str(writer.metadata().id)
        digests, entry = self._read_commits(write.table, marker, before, writer.version())
        try:
            self._handles.ledger.record(write.table, table_id, digests)
        except HeadwaterError:
            # The commit succeeded. An error would make the caller write twice.
            _log.warning("digest of %s not recorded; the next opening records it", write.table, exc_info=True)
        signature = self._handles.storage.commit_signature(write.table, writer.version())
        handle.written = (writer.version(), signature) if signature else None
        changed = entry is not None
        if entry is None:
            entry = read_entry(self._handles.storage, write.table, writer.version())
        commit = entry.commit(write.table, table_id, self._row_count(handle, write.table, writer, entry))
        return replace(commit, changed=changed)

    def _read_commits(self, table: str, marker: str, before: int, after: int) -> tuple[dict[int, str], LogEntry | None]:
        """Returns the digests of the commits after `before`, and the entry of the one with the marker."""
        digests: dict[int, str] = {}
        match = None
        for version in range(before + 1, after + 1):
            content = self._handles.storage.commit_bytes(table, version)
            if content is None:
                continue
            digests[version] = ledger.digest(content)
            entry = parse_commit(version, content)
            match = entry if entry.marker == marker else match
        return digests, match

    def _row_count(self, handle: Handle, table: str, writer: DeltaTable, entry: LogEntry) -> int | None:
        if entry.version != writer.version():
            return None
        version, rows = handle.row_count or (None, 0)
        added = entry.metrics.get("num_added_rows")
        if version == entry.version - 1 and entry.parameters.get("mode") == "Append" and added is not None:
            count: int | None = rows + int(added)
        elif version == entry.version:
            count = rows
        else:
            count = self._count_rows(table, writer)
        if count is not None:
            handle.row_count = (entry.version, count)
        return count

    def _count_rows(self, table: str, writer: DeltaTable) -> int | None:
        try:
            return DataFiles(table, writer, self._handles.storage).row_count()
        except UnsupportedTable:  # the platform can write the table but not read it
            return None


def transaction_id(once: str) -> str:
    """Returns the Delta application id of an append that must happen at most once."""
    return f"headwater:{once}"


def _properties(marker: str, write: Write) -> CommitProperties:
    from deltalake import CommitProperties, Transaction

    metadata: dict[str, Any] = {_MARKER: marker}
    if write.user_metadata:
        metadata["userMetadata"] = json.dumps(write.user_metadata, separators=(",", ":"), sort_keys=True)
    ids = [*write.transactions, *([transaction_id(write.once)] if write.once is not None else [])]
    transactions = [Transaction(id, 1) for id in ids] or None
    # Without retries, a commit gets the next version or fails.
    retries = None if write.if_version is None else 0
    return CommitProperties(custom_metadata=metadata, app_transactions=transactions, max_commit_retries=retries)
