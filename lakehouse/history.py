"""Commits: what each version of a table did, read from its log."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
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
    newest = handles.current(table)
    table_id = str(newest.metadata().id)
    entries = list(entries_down(handles.storage, table, newest.version(), limit))
    counts = row_counts(entries, newest.count())
    return [entry.commit(table, table_id, counts.get(entry.version)) for entry in entries]


def entries_down(storage: Storage, table: str, newest: int, limit: int | None = None) -> Iterator[LogEntry]:
    """Log entries from `newest` downwards, until the log begins."""
    lowest = -1 if limit is None else max(newest - limit, -1)
    for version in range(newest, lowest, -1):
        content = storage.commit_bytes(table, version)
        if content is None:
            return
        yield parse(version, content)


def row_counts(entries: list[LogEntry], newest: int) -> dict[int, int]:
    """Rows at each version, as far as the metrics of the commits tell. `entries` are newest first."""
    counts: dict[int, int] = {}
    rows: int | None = newest
    for entry in entries:
        if rows is None:
            rows = _rows_written(entry)
        if rows is not None:
            counts[entry.version] = rows
            change = _row_change(entry)
            rows = None if change is None else rows - change
    return counts


def _rows_written(entry: LogEntry) -> int | None:
    if entry.operation == "CREATE TABLE":
        return 0
    whole = entry.parameters.get("mode") == "Overwrite" and "predicate" not in entry.parameters
    return int(entry.metrics["num_added_rows"]) if whole and "num_added_rows" in entry.metrics else None


def _row_change(entry: LogEntry) -> int | None:
    """Rows this commit added, net; `None` where the commit does not tell."""
    metrics = entry.metrics
    match entry.operation:
        case "WRITE" if entry.parameters.get("mode") == "Append" and "num_added_rows" in metrics:
            return int(metrics["num_added_rows"])
        case "DELETE" if "num_deleted_rows" in metrics:
            return -int(metrics["num_deleted_rows"])
        case "MERGE" if "num_target_rows_inserted" in metrics:
            return int(metrics["num_target_rows_inserted"]) - int(metrics.get("num_target_rows_deleted", 0))
        case (
            "OPTIMIZE"
            | "ADD CONSTRAINT"
            | "DROP CONSTRAINT"
            | "ADD COLUMN"
            | "SET TBLPROPERTIES"
            | "VACUUM START"
            | "VACUUM END"
        ):
            return 0
    return None


def version_at(handles: Handles, table: str, instant: datetime) -> int:
    """The version that was current at an instant.

    Raises:
        UnknownVersion: the table, or what is left of its log, is younger.
    """
    newest = handles.current(table).version()
    oldest: LogEntry | None = None
    for entry in entries_down(handles.storage, table, newest):
        if entry.committed_at <= instant:
            return entry.version
        oldest = entry
    since = f": its log begins at {oldest.committed_at.isoformat()} (version {oldest.version})" if oldest else ""
    raise UnknownVersion(
        f"{table} had no version at {instant.isoformat()}{since}.",
        metadata={"table": table} | ({"oldest": oldest.version, "newest": newest} if oldest else {}),
    )
