"""Commits: what each version of a table did, read from its log."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from core.errors import UnknownVersion
from lakehouse.storage import Storage

if TYPE_CHECKING:
    from lakehouse.handles import Handles


@dataclass(frozen=True, slots=True)
class Commit:
    """One version of one table."""

    table: str
    table_id: str
    version: int
    operation: str
    """The Delta operation, such as `WRITE`, `MERGE`, `DELETE`, `OPTIMIZE`."""
    committed_at: datetime
    row_count: int | None
    """Rows in the table at this version; `None` where the log does not tell."""
    metrics: Mapping[str, Any]
    changed: bool = True
    """Returned by a write: whether it made this version; `False` if there was nothing to do."""

    @property
    def data_version(self) -> str:
        """`<table id>@<version>`: names this content in lineage and in Dagster."""
        return f"{self.table_id}@{self.version}"


@dataclass(frozen=True, slots=True)
class LogEntry:
    """The `commitInfo` of one commit file."""

    version: int
    operation: str
    parameters: Mapping[str, Any]
    metrics: Mapping[str, Any]
    committed_at: datetime
    marker: str
    """Identifier our writer put into the commit; empty in commits of other writers."""
    user_metadata: Mapping[str, Any]
    """Facts of the step that wrote it; empty if there are none."""
    transactions: tuple[str, ...]
    """Application ids of the `txn` actions: which idempotent appends this commit holds."""

    def commit(self, table: str, table_id: str, row_count: int | None) -> Commit:
        """The public form."""
        return Commit(table, table_id, self.version, self.operation, self.committed_at, row_count, self.metrics)


def parse(version: int, content: bytes) -> LogEntry:
    """Reads a commit file.

    Raises:
        ValueError: the file is empty or is not lines of JSON objects.
    """
    info: dict[str, Any] = {}
    transactions = []
    lines = [line for line in content.splitlines() if line.strip()]
    if not lines:
        raise ValueError("the commit file is empty")
    for line in lines:
        # Add actions make up most of a commit and tell nothing here: leave them unparsed.
        if line.startswith((b'{"add"', b'{"remove"', b'{"cdc"')) and line.endswith(b"}"):
            continue
        action = json.loads(line)
        info = action.get("commitInfo", info)
        if "txn" in action:
            transactions.append(str(action["txn"]["appId"]))
    return LogEntry(
        version=version,
        operation=str(info.get("operation", "UNKNOWN")),
        parameters=info.get("operationParameters") or {},
        metrics=info.get("operationMetrics") or {},
        committed_at=datetime.fromtimestamp(float(info.get("timestamp", 0)) / 1000, UTC),
        marker=str(info.get("headwaterCommit", "")),
        user_metadata=_json_object(info.get("userMetadata")),
        transactions=tuple(transactions),
    )


def _json_object(text: Any) -> Mapping[str, Any]:
    try:
        value = json.loads(text) if isinstance(text, str) else {}
    except ValueError:  # other writers put free text there
        return {}
    return value if isinstance(value, dict) else {}


def commits(handles: Handles, table: str, limit: int) -> list[Commit]:
    """Commits of a table, newest first, at most `limit`."""
    snapshot = handles.snapshot(table)
    lowest = max(snapshot.version - limit + 1, 0)
    contents = handles.storage.commit_contents(table, range(lowest, snapshot.version + 1))
    entries = [parse(version, content) for version, content in contents.items()]
    counts = row_counts(entries, snapshot.version, snapshot.row_count)
    return [entry.commit(table, snapshot.table_id, counts.get(entry.version)) for entry in reversed(entries)]


def entries_down(storage: Storage, table: str, newest: int, limit: int | None = None) -> Iterator[LogEntry]:
    """Log entries from `newest` downwards, until the log begins."""
    lowest = -1 if limit is None else max(newest - limit, -1)
    for version in range(newest, lowest, -1):
        content = storage.commit_bytes(table, version)
        if content is None:
            return
        yield parse(version, content)


def row_counts(entries: Sequence[LogEntry], newest: int, rows: int) -> dict[int, int]:
    """Rows at each version, as far as the metrics of the commits tell.

    Args:
        entries: in ascending order of version.
        newest: a version whose number of rows is known: `rows`.
    """
    counts = {newest: rows}
    for entry in entries:
        known = _rows_written(entry, counts)
        change = _row_change(entry)
        if known is None and change is not None and entry.version - 1 in counts:
            known = counts[entry.version - 1] + change
        if known is not None:
            counts.setdefault(entry.version, known)
    for entry in reversed(entries):
        change = _row_change(entry)
        if change is not None and entry.version in counts:
            counts.setdefault(entry.version - 1, counts[entry.version] - change)
    return counts


def _rows_written(entry: LogEntry, counts: Mapping[int, int]) -> int | None:
    """Rows of a version that does not depend on the one before it."""
    match entry.operation:
        case "CREATE TABLE":
            return 0
        case "RESTORE":
            return counts.get(int(entry.parameters.get("version", -1)))
        case "WRITE" if entry.version == 0 or (
            entry.parameters.get("mode") == "Overwrite" and not entry.parameters.get("predicate")
        ):
            return _number(entry, "num_added_rows")
    return None


def _row_change(entry: LogEntry) -> int | None:
    """Rows this commit added, net; `None` where the commit does not tell."""
    match entry.operation:
        case "WRITE" if entry.parameters.get("mode") == "Append":
            return _number(entry, "num_added_rows")
        case "DELETE":
            deleted = _number(entry, "num_deleted_rows")
            return None if deleted is None else -deleted
        case "MERGE":
            inserted, deleted = _number(entry, "num_target_rows_inserted"), _number(entry, "num_target_rows_deleted")
            return None if inserted is None or deleted is None else inserted - deleted
        case operation if operation in _ROW_PRESERVING:
            return 0
    return None


_ROW_PRESERVING = frozenset(
    {
        "OPTIMIZE",
        "UPDATE",
        "ADD CONSTRAINT",
        "DROP CONSTRAINT",
        "ADD COLUMN",
        "SET TBLPROPERTIES",
        "VACUUM START",
        "VACUUM END",
    }
)


def _number(entry: LogEntry, metric: str) -> int | None:
    return int(entry.metrics[metric]) if metric in entry.metrics else None


def version_at(handles: Handles, table: str, instant: datetime) -> int:
    """The version that was current at an instant.

    Raises:
        UnknownVersion: the table, or what is left of its log, is younger.
    """
    newest = handles.current(table).version()
    versions = [version for version in handles.storage.log(table).commits if version <= newest]

    def committed_at(version: int) -> datetime:
        return parse(version, handles.storage.commit_bytes(table, version) or b"{}").committed_at

    position = bisect_right(versions, instant, key=committed_at)
    if position:
        return versions[position - 1]
    raise UnknownVersion(
        f"{table} had no version at {instant.isoformat()}: its log begins with version {versions[0]} at "
        f"{committed_at(versions[0]).isoformat()}.",
        metadata={"table": table, "oldest": versions[0], "newest": newest},
    )
