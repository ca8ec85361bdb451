"""History of the schema of a table: the versions at which its columns changed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from lakehouse.commits import parse_commit

if TYPE_CHECKING:
    from lakehouse.snapshot import Snapshot
    from lakehouse.tables import Tables

_BATCH = 200


@dataclass(frozen=True, slots=True)
class SchemaChange:
    """A version at which the columns of a table changed."""

    version: int
    operation: str
    """Delta operation that changed them."""
    committed_at: datetime
    added: Mapping[str, str]
    """Arrow types of new columns."""
    removed: Mapping[str, str]
    changed: Mapping[str, tuple[str, str]]
    """Arrow types before and after."""


def schema_changes(tables: Tables, table: str, newest: int) -> Iterator[SchemaChange]:
    """Yields the changes of the columns of a table, newest first, from version `newest` on.

    The last one is that of the first version that the log still has: all columns are new.

    Raises:
        UnknownTable: the table doesn't exist.
    """
    versions = list(_metadata_versions(tables, table, newest))
    for later, earlier in zip(versions, [*versions[1:], None], strict=True):
        after = _types(tables.snapshot(table, version=later))
        before = {} if earlier is None else _types(tables.snapshot(table, version=earlier))
        changed = {name: (before[name], type) for name, type in after.items() if before.get(name, type) != type}
        added = {name: type for name, type in after.items() if name not in before}
        removed = {name: type for name, type in before.items() if name not in after}
        if added or removed or changed:
            content = tables.storage.commit_bytes(table, later) or b"{}"
            entry = parse_commit(later, content, partial(tables.storage.committed_at, table, later))
            yield SchemaChange(later, entry.operation, entry.committed_at, added, removed, changed)


def _metadata_versions(tables: Tables, table: str, newest: int) -> Iterator[int]:
    """Yields the versions whose commits contain metadata, newest first, and the first version that can be read."""
    lowest = tables.storage.log(table).oldest_readable or 0
    yielded = None
    for end in range(newest, lowest - 1, -_BATCH):
        versions = range(max(lowest, end - _BATCH + 1), end + 1)
        contents = tables.storage.commit_contents(table, versions)
        for version in reversed(versions):
            if _has_metadata(contents.get(version, b"")):
                yielded = version
                yield version
    if yielded != lowest:
        yield lowest


def _has_metadata(content: bytes) -> bool:
    return any(
        b'"metaData"' in line and isinstance(json.loads(line), dict) and "metaData" in json.loads(line)
        for line in content.splitlines()
    )


def _types(snapshot: Snapshot) -> dict[str, str]:
    return {field.name: str(field.type) for field in snapshot.schema}
