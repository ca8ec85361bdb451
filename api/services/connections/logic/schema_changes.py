"""What changed between two schema snapshots."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.services.connections.connection_tables import SNAPSHOT_TABLE

Table = tuple[str, str]
"""Schema and name."""

_PART = 400
"""Tables that one statement reads. SQLite limits the number of values of a statement."""


class ChangeKind(StrEnum):
    """What changed."""

    TABLE_ADDED = "TABLE_ADDED"
    TABLE_REMOVED = "TABLE_REMOVED"
    KIND_CHANGED = "KIND_CHANGED"
    KEY_CHANGED = "KEY_CHANGED"
    COLUMN_ADDED = "COLUMN_ADDED"
    COLUMN_REMOVED = "COLUMN_REMOVED"
    TYPE_CHANGED = "TYPE_CHANGED"
    BECAME_NULLABLE = "BECAME_NULLABLE"
    BECAME_REQUIRED = "BECAME_REQUIRED"


BREAKING = frozenset(
    {ChangeKind.TABLE_REMOVED, ChangeKind.COLUMN_REMOVED, ChangeKind.TYPE_CHANGED, ChangeKind.BECAME_NULLABLE}
)
"""Changes that can break what reads the table."""


@dataclass(frozen=True, slots=True)
class Change:
    """A difference between two snapshots."""

    table: Table
    kind: ChangeKind
    column: str = ""
    before: str = ""
    after: str = ""

    @property
    def breaking(self) -> bool:
        """Whether it can break what reads the table."""
        return self.kind in BREAKING


def changes(connection: Connection, before: str, after: str) -> list[Change]:
    """Returns the differences between two snapshots, by table. Only tables that differ are read."""
    old, new = (_digests(connection, id) for id in (before, after))
    differing = sorted(table for table in old.keys() & new.keys() if old[table] != new[table])
    found = [Change(table, ChangeKind.TABLE_REMOVED) for table in old.keys() - new.keys()]
    found += [Change(table, ChangeKind.TABLE_ADDED) for table in new.keys() - old.keys()]
    contents = [_contents(connection, id, differing) for id in (before, after)]
    for table in differing:
        found += _between(table, contents[0][table], contents[1][table])
    return sorted(found, key=lambda one: (one.table, one.column, one.kind))


def _digests(connection: Connection, id: str) -> dict[Table, str]:
    table = SNAPSHOT_TABLE.c
    select = sa.select(table.schema_name, table.table_name, table.digest).where(table.snapshot_id == id)
    return {(row.schema_name, row.table_name): row.digest for row in connection.execute(select)}


def _contents(connection: Connection, id: str, tables: list[Table]) -> dict[Table, sa.Row[Any]]:
    found: dict[Table, sa.Row[Any]] = {}
    columns = SNAPSHOT_TABLE.c
    for start in range(0, len(tables), _PART):
        names = sa.tuple_(columns.schema_name, columns.table_name).in_(tables[start : start + _PART])
        for row in connection.execute(sa.select(SNAPSHOT_TABLE).where(columns.snapshot_id == id, names)):
            found[row.schema_name, row.table_name] = row
    return found


def _between(table: Table, before: sa.Row[Any], after: sa.Row[Any]) -> Iterator[Change]:
    if before.kind != after.kind:
        yield Change(table, ChangeKind.KIND_CHANGED, before=before.kind, after=after.kind)
    if before.key != after.key:
        yield Change(table, ChangeKind.KEY_CHANGED, before=", ".join(before.key), after=", ".join(after.key))
    old, new = (_by_name(row.columns) for row in (before, after))
    for name in old.keys() - new.keys():
        yield Change(table, ChangeKind.COLUMN_REMOVED, name, before=old[name]["type"])
    for name in new.keys() - old.keys():
        yield Change(table, ChangeKind.COLUMN_ADDED, name, after=new[name]["type"])
    for name in old.keys() & new.keys():
        if old[name]["type"] != new[name]["type"]:
            yield Change(table, ChangeKind.TYPE_CHANGED, name, old[name]["type"], new[name]["type"])
        if old[name]["nullable"] != new[name]["nullable"]:
            kind = ChangeKind.BECAME_NULLABLE if new[name]["nullable"] else ChangeKind.BECAME_REQUIRED
            yield Change(table, kind, name)


def _by_name(columns: list[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    return {one["name"]: one for one in columns}
