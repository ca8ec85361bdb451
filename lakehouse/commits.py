"""Commits of a table, parsed from its log."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from lakehouse.storage import Storage

ROW_PRESERVING_OPERATIONS = frozenset(
    {"OPTIMIZE", "ADD CONSTRAINT", "DROP CONSTRAINT", "SET TBLPROPERTIES", "VACUUM START", "VACUUM END"}
)
"""Delta operations after which the table has the same rows as before."""

_EPOCH = datetime.fromtimestamp(0, UTC)


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
    """Rows in the table at this version; `None` if the log doesn't contain the number."""
    metrics: Mapping[str, Any]
    changed: bool = True
    """Whether the write that returned this commit made it; `False` if there was nothing to change."""

    @property
    def data_version(self) -> str:
        """`<table id>@<version>`, which identifies this content in lineage and in Dagster."""
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
    """Identifier that the platform's writer puts into a commit; empty in commits of other writers."""
    user_metadata: Mapping[str, Any]
    """Provenance of the step that wrote the commit; empty if there is none."""
    transactions: tuple[str, ...]
    """Application ids of the `txn` actions, which identify idempotent appends."""

    def commit(self, table: str, table_id: str, row_count: int | None) -> Commit:
        """Returns the public form."""
        return Commit(table, table_id, self.version, self.operation, self.committed_at, row_count, self.metrics)


def parse_commit(version: int, content: bytes, written_at: Callable[[], datetime] | None = None) -> LogEntry:
    """Parses a commit file.

    Args:
        version: version of the table that the file describes.
        content: bytes of the file.
        written_at: returns when the file was written; used if the commit doesn't contain its own time.

    Raises:
        ValueError: the file is empty or doesn't consist of lines of JSON objects.
    """
    info: dict[str, Any] = {}
    transactions = []
    lines = [line for line in content.splitlines() if line.strip()]
    if not lines:
        raise ValueError("the commit file is empty")
    for line in lines:
        # Add actions make up most of a commit and aren't needed, so they aren't parsed.
        if line.startswith((b'{"add"', b'{"remove"', b'{"cdc"')) and line.endswith(b"}"):
            continue
        action = json.loads(line)
        if not isinstance(action, dict):
            raise ValueError("a line of the commit file is not a JSON object")  # noqa: TRY004 - the file is wrong
        info = _object(action.get("commitInfo")) or info
        if "txn" in action:
            transactions.append(str(_object(action["txn"]).get("appId")))
    recorded = _instant(info.get("inCommitTimestamp")) or _instant(info.get("timestamp"))
    return LogEntry(
        version=version,
        operation=str(info.get("operation", "UNKNOWN")),
        parameters=_object(info.get("operationParameters")),
        metrics=_object(info.get("operationMetrics")),
        committed_at=recorded or (written_at() if written_at else _EPOCH),
        marker=str(info.get("headwaterCommit", "")),
        user_metadata=_json_object(info.get("userMetadata")),
        transactions=tuple(transactions),
    )


def read_entry(storage: Storage, table: str, version: int) -> LogEntry:
    """Reads the log entry of a version; without operation and metrics if the log no longer has the commit file."""
    content = storage.commit_bytes(table, version) or b"{}"
    return parse_commit(version, content, partial(storage.committed_at, table, version))


def entries_backwards(storage: Storage, table: str, newest: int, limit: int | None = None) -> Iterator[LogEntry]:
    """Yields log entries in descending order of version, from `newest` to the first one that the log has."""
    lowest = -1 if limit is None else max(newest - limit, -1)
    for version in range(newest, lowest, -1):
        content = storage.commit_bytes(table, version)
        if content is None:
            return
        yield parse_commit(version, content, partial(storage.committed_at, table, version))


def last_row_change(storage: Storage, table: str, version: int) -> LogEntry | None:
    """Returns the newest commit up to `version` that changed rows. Maintenance commits, such as compaction, don't.

    Returns `None` if the log no longer has that commit.
    """
    for entry in entries_backwards(storage, table, version):
        if entry.operation not in ROW_PRESERVING_OPERATIONS:
            return entry
    return None


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _instant(milliseconds: Any) -> datetime | None:
    """Returns the time in a commit; `None` if the value isn't a valid time."""
    if isinstance(milliseconds, bool) or not isinstance(milliseconds, int | float):
        return None
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC) if milliseconds > 0 else None
    except (OverflowError, ValueError, OSError):
        return None


def _json_object(text: Any) -> Mapping[str, Any]:
    try:
        value = json.loads(text) if isinstance(text, str) else {}
    except ValueError:  # other writers store plain text in this field
        return {}
    return value if isinstance(value, dict) else {}
