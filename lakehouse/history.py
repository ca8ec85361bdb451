"""History of a table: its commits with their row counts, and the version that was current at a given time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from core.errors import UnknownVersion
from lakehouse.commits import ROW_PRESERVING_OPERATIONS, Commit, LogEntry, parse_commit
from lakehouse.handles import Handles

_MILLISECOND = timedelta(milliseconds=1)
_BATCH_SIZE = 64
_COUNT_PRESERVING_OPERATIONS = ROW_PRESERVING_OPERATIONS | {"UPDATE", "ADD COLUMN"}


def newest_commits(handles: Handles, table: str, limit: int) -> list[Commit]:
    """Returns the newest commits of a table, newest first, at most `limit`."""
    snapshot = handles.snapshot(table)
    lowest = max(snapshot.version - limit + 1, 0)
    contents = handles.storage.commit_contents(table, range(lowest, snapshot.version + 1))
    entries = [
        parse_commit(version, content, partial(handles.storage.committed_at, table, version))
        for version, content in contents.items()
    ]
    counts = row_counts(entries, snapshot.version, snapshot.row_count)
    return [entry.commit(table, snapshot.table_id, counts.get(entry.version)) for entry in reversed(entries)]


def row_counts(entries: Sequence[LogEntry], newest: int, rows: int) -> dict[int, int]:
    """Returns the number of rows of each version, as far as it follows from the metrics of the commits.

    Args:
        entries: log entries in ascending order of version.
        newest: version whose number of rows is known.
        rows: number of rows of `newest`.
    """
    counts = {newest: rows}
    for entry in entries:
        count = _total_rows(entry, counts)
        change = _row_change(entry)
        if count is None and change is not None and entry.version - 1 in counts:
            count = counts[entry.version - 1] + change
        if count is not None:
            counts.setdefault(entry.version, count)
    for entry in reversed(entries):
        change = _row_change(entry)
        if change is not None and entry.version in counts:
            counts.setdefault(entry.version - 1, counts[entry.version] - change)
    return counts


def version_at(handles: Handles, table: str, instant: datetime) -> int:
    """Returns the version that was current at an instant.

    Clocks of writers differ, so the times of successive commits may descend. As in other Delta readers, such a commit
    counts as made one millisecond after the commit before it.

    Raises:
        UnknownVersion: the table, or the oldest commit that its log still has, is younger.
    """
    current = handles.current(table)
    newest, table_id = current.version(), str(current.metadata().id)
    versions = [version for version in handles.storage.log(table).commits if version <= newest]
    match: int | None = None
    latest = datetime.min.replace(tzinfo=UTC)
    for version, committed_at in _commit_times(handles, table, table_id, versions):
        latest = max(committed_at, latest + _MILLISECOND)
        if latest > instant:
            break
        match = version
    if match is not None:
        return match
    raise UnknownVersion(
        f"{table} had no version at {instant.isoformat()}: its log begins with version {versions[0]} at "
        f"{latest.isoformat()}.",
        metadata={"table": table, "oldest": versions[0], "newest": newest},
    )


def commit_at(handles: Handles, table: str, instant: datetime) -> Commit:
    """Returns the commit of the version that was current at an instant. Raises as `version_at`."""
    version = version_at(handles, table, instant)
    content = handles.storage.commit_contents(table, [version])[version]
    entry = parse_commit(version, content, partial(handles.storage.committed_at, table, version))
    return entry.commit(table, str(handles.current(table).metadata().id), None)


def _total_rows(entry: LogEntry, counts: Mapping[int, int]) -> int | None:
    """Returns the rows of a version if they don't depend on the version before it."""
    match entry.operation:
        case "CREATE TABLE":
            return 0
        case "RESTORE":
            version = _integer(entry.parameters.get("version"))
            return None if version is None else counts.get(version)
        case "WRITE" if entry.version == 0 or (
            entry.parameters.get("mode") == "Overwrite" and not entry.parameters.get("predicate")
        ):
            return _metric(entry, "num_added_rows")
    return None


def _row_change(entry: LogEntry) -> int | None:
    """Returns added rows minus deleted rows; `None` if the commit doesn't contain both numbers."""
    match entry.operation:
        case "WRITE" if entry.parameters.get("mode") == "Append":
            return _metric(entry, "num_added_rows")
        case "DELETE":
            deleted = _metric(entry, "num_deleted_rows")
            return None if deleted is None else -deleted
        case "MERGE":
            inserted, deleted = _metric(entry, "num_target_rows_inserted"), _metric(entry, "num_target_rows_deleted")
            return None if inserted is None or deleted is None else inserted - deleted
        case operation if operation in _COUNT_PRESERVING_OPERATIONS:
            return 0
    return None


def _metric(entry: LogEntry, name: str) -> int | None:
    return _integer(entry.metrics.get(name))


def _integer(value: Any) -> int | None:
    """Returns an integer that the writer may have stored as text."""
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _commit_times(
    handles: Handles, table: str, table_id: str, versions: Sequence[int]
) -> Iterator[tuple[int, datetime]]:
    """Yields versions and their commit times in order. Times are read in batches and cached: commits never change."""
    cache = handles.get(table).commit_times
    for start in range(0, len(versions), _BATCH_SIZE):
        batch = versions[start : start + _BATCH_SIZE]
        unread = [version for version in batch if (table_id, version) not in cache]
        for version, content in handles.storage.commit_contents(table, unread).items():
            written_at = partial(handles.storage.committed_at, table, version)
            cache[table_id, version] = parse_commit(version, content, written_at).committed_at
        for version in batch:
            if (table_id, version) in cache:  # log cleanup may have removed the commit in the meantime
                yield version, cache[table_id, version]
