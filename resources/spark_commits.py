"""Finds the Delta version that a Spark statement wrote. Spark Connect doesn't report it, so the log is searched."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from core.errors import UnknownTable, WriteConflict
from lakehouse.commits import parse_commit

if TYPE_CHECKING:
    from lakehouse.tables import Commit, Tables


def newest_version(tables: Tables, table: str) -> int:
    """Returns the newest version of a table; -1 if the table doesn't exist."""
    try:
        return tables.snapshot(table).version
    except UnknownTable:
        return -1


def find_commit(tables: Tables, table: str, *, after: int, metadata: str, tagged: bool, writer: str) -> Commit | None:
    """Finds the commit of a statement.

    Args:
        tables: the lakehouse.
        table: id of the table.
        after: newest version before the statement.
        metadata: value that identifies the statement in `userMetadata`.
        tagged: whether the engine writes `userMetadata`; Sail only does for appends and overwrites.
        writer: prefix of the engine's `engineInfo`, which identifies its commits if there is no tag.

    Returns:
        The commit, or `None` if the statement changed nothing.

    Raises:
        WriteConflict: several commits match.
    """
    matches = []
    for version, content in _commits_after(tables, table, after):
        info = _commit_info(content)
        if info.get("userMetadata") == metadata if tagged else str(info.get("engineInfo", "")).startswith(writer):
            matches.append((version, content))
    if not matches:
        return None
    if len(matches) > 1:
        raise WriteConflict(
            f"Several sessions of {writer} wrote versions {', '.join(str(version) for version, _ in matches)} of "
            f"{table} at the same time. The commit of this session can't be identified, so it has no lineage. "
            "No data was lost. Let only one step change this table at a time."
        )
    version, content = matches[0]
    snapshot = tables.snapshot(table, version=version)
    return parse_commit(version, content).commit(table, snapshot.table_id, snapshot.row_count)


def unchanged_commit(tables: Tables, table: str) -> Commit:
    """Returns the current version as the result of a statement that changed nothing."""
    return replace(tables.history(table, limit=1)[0], changed=False)


def _commits_after(tables: Tables, table: str, after: int) -> Iterator[tuple[int, bytes]]:
    version = after + 1
    while (content := tables.storage.commit_bytes(table, version)) is not None:
        yield version, content
        version += 1


def _commit_info(content: bytes) -> Mapping[str, Any]:
    for line in content.splitlines():
        if line.startswith(b'{"commitInfo"'):
            info: Mapping[str, Any] = json.loads(line)["commitInfo"]
            return info
    return {}
