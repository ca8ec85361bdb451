"""Which Delta version a Spark statement wrote: Spark Connect does not say, so it is looked up in the log."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from core.errors import UnknownTable, WriteConflict
from lakehouse.history import parse

if TYPE_CHECKING:
    from lakehouse.tables import Commit, Tables


def newest_version(tables: Tables, table: str) -> int:
    """The newest version of a table, -1 if there is none."""
    try:
        return tables.snapshot(table).version
    except UnknownTable:
        return -1


def written(tables: Tables, table: str, *, after: int, metadata: str, tagged: bool, writer: str) -> Commit | None:
    """Finds the commit that a statement made.

    Args:
        after: the newest version before the statement.
        metadata: what the statement was to put into `userMetadata`.
        tagged: whether the engine did put it there; Sail does so for appends and overwrites only.
        writer: how the engine calls itself in `engineInfo`, to tell its commits from others where there is no tag.

    Returns:
        The commit, or `None` if the statement changed nothing.

    Raises:
        WriteConflict: several commits could be it.
    """
    found = []
    for version, content in _commits_after(tables, table, after):
        info = _commit_info(content)
        if info.get("userMetadata") == metadata if tagged else str(info.get("engineInfo", "")).startswith(writer):
            found.append((version, content))
    if not found:
        return None
    if len(found) > 1:
        raise WriteConflict(
            f"Versions {', '.join(str(version) for version, _ in found)} of {table} were written at the same time by "
            f"several sessions of {writer}, so this one cannot be told from the others and has no lineage on record. "
            "Nothing was lost; have one step at a time change this table."
        )
    version, content = found[0]
    snapshot = tables.snapshot(table, version=version)
    return parse(version, content).commit(table, snapshot.table_id, snapshot.row_count)


def unchanged(tables: Tables, table: str) -> Commit:
    """The current version, as the result of a statement that changed nothing."""
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
