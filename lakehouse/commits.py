"""One write: in turn, on the newest version, under the platform's errors, with its digest put on record."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from core.errors import HeadwaterError, WriteConflict
from core.ids import new_id
from lakehouse import ledger
from lakehouse.faults import translated
from lakehouse.handles import Handle, Handles
from lakehouse.history import Commit, LogEntry, parse

if TYPE_CHECKING:
    from deltalake import CommitProperties, DeltaTable

_log = logging.getLogger(__name__)
_MARKER = "headwaterCommit"


@dataclass(frozen=True, slots=True)
class Write:
    """One write to be done.

    `run` gets the newest table and the commit properties, and is called again on a conflict if `repeatable`.
    """

    table: str
    doing: str
    """Present participle for messages: "appending to"."""
    run: Callable[[DeltaTable, CommitProperties], object]
    facts: Mapping[str, Any] | None = None
    """Stored in the commit's `userMetadata`."""
    once: str | None = None
    """Key of an append that must happen at most once."""
    repeatable: bool = False
    if_version: int | None = None
    """The write must follow this very version."""


class Committer:
    """Runs writes. One at a time per table in this process; other processes are met by Delta's own commit protocol."""

    def __init__(self, handles: Handles) -> None:
        self._handles = handles

    def commit(self, write: Write) -> Commit:
        """Runs a write and returns the version it made; if it changed nothing, the version that is current.

        Raises:
            WriteConflict: another process committed something this write cannot follow.
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
        """Runs a write that makes the table. `run` gets the location."""
        handle = self._handles.get(table)
        with handle.queue:
            self._handles.drop(table)
            marker = new_id("cmt")
            with translated(table, write.doing):
                run(self._handles.storage.uri(table), _properties(marker, write))
            return self._finish(handle, self._handles.writer(table), write, marker, before=-1)

    def _attempt(self, handle: Handle, write: Write) -> Commit:
        writer = self._handles.writer(write.table)
        before = writer.version()
        if write.if_version is not None and before != write.if_version:
            raise WriteConflict(
                f"{write.table} is at version {before}, not at {write.if_version} as expected: another writer was "
                "faster. Read the new version and try again.",
                metadata={"table": write.table, "version": before, "expected_version": write.if_version},
            )
        if write.once is not None and (done := self._done(write, writer)):
            return done
        marker = new_id("cmt")
        try:
            with translated(write.table, write.doing):
                write.run(writer, _properties(marker, write))
        except HeadwaterError:
            handle.writer = None  # its state after a failed write is not known
            # A store may lose its answer to a commit that stands: to try again would write twice.
            if not self._landed(write.table, marker, before):
                raise
            writer = self._handles.writer(write.table)
        except BaseException:
            handle.writer = None
            raise
        return self._finish(handle, writer, write, marker, before)

    def _landed(self, table: str, marker: str, before: int) -> bool:
        version = before + 1
        try:
            while (content := self._handles.storage.commit_bytes(table, version)) is not None:
                if parse(version, content).marker == marker:
                    return True
                version += 1
        except (OSError, ValueError):
            return False
        return False

    def _done(self, write: Write, writer: DeltaTable) -> Commit | None:
        application = transaction_id(str(write.once))
        if writer._table.transaction_version(application) is None:
            return None
        table_id = str(writer.metadata().id)
        for version in range(writer.version(), -1, -1):
            content = self._handles.storage.commit_bytes(write.table, version)
            if content is None:
                break
            entry = parse(version, content)
            if application in entry.transactions:
                return replace(entry.commit(write.table, table_id, None), changed=False)
        newest = parse(writer.version(), self._handles.storage.commit_bytes(write.table, writer.version()) or b"{}")
        return replace(newest.commit(write.table, table_id, None), changed=False)

    def _finish(self, handle: Handle, writer: DeltaTable, write: Write, marker: str, before: int) -> Commit:
        table_id = str(writer.metadata().id)
        digests, ours = self._collect(write.table, marker, before, writer.version())
        try:
            self._handles.ledger.record(write.table, table_id, digests)
        except HeadwaterError:
            # The commit stands; failing now would make the caller write twice. The next opening records it.
            _log.warning("digest of %s not recorded; the next opening does it", write.table, exc_info=True)
        signature = self._handles.storage.commit_signature(write.table, writer.version())
        handle.written = (writer.version(), signature) if signature else None
        changed = ours is not None
        if ours is None:
            ours = parse(writer.version(), self._handles.storage.commit_bytes(write.table, writer.version()) or b"{}")
        commit = ours.commit(write.table, table_id, self._row_count(handle, writer, ours))
        return replace(commit, changed=changed)

    def _collect(self, table: str, marker: str, before: int, after: int) -> tuple[dict[int, str], LogEntry | None]:
        digests: dict[int, str] = {}
        ours = None
        for version in range(before + 1, after + 1):
            content = self._handles.storage.commit_bytes(table, version)
            if content is None:
                continue
            digests[version] = ledger.digest(content)
            entry = parse(version, content)
            ours = entry if entry.marker == marker else ours
        return digests, ours

    def _row_count(self, handle: Handle, writer: DeltaTable, ours: LogEntry) -> int | None:
        if ours.version != writer.version():
            return None
        known = handle.row_count
        added = ours.metrics.get("num_added_rows")
        if known and known[0] == ours.version - 1 and ours.parameters.get("mode") == "Append" and added is not None:
            rows = known[1] + int(added)
        elif known and known[0] == ours.version:
            rows = known[1]
        else:
            rows = writer.count()
        handle.row_count = (ours.version, rows)
        return rows


def transaction_id(once: str) -> str:
    """Delta application id of an append that must happen at most once."""
    return f"headwater:{once}"


def _properties(marker: str, write: Write) -> CommitProperties:
    from deltalake import CommitProperties, Transaction

    metadata: dict[str, Any] = {_MARKER: marker}
    if write.facts:
        metadata["userMetadata"] = json.dumps(write.facts, separators=(",", ":"), sort_keys=True)
    transactions = [Transaction(transaction_id(write.once), 1)] if write.once is not None else None
    # Without retries a commit takes the next version or none.
    retries = None if write.if_version is None else 0
    return CommitProperties(custom_metadata=metadata, app_transactions=transactions, max_commit_retries=retries)
