"""Rows of external runs, jobs, and datasets that one request changes: loaded once, changed in memory, written once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.ids import new_id

Row = dict[str, Any]
Key = tuple[str, ...]

_CHUNK = 500
"""Maximum number of values in one condition."""


class LineageRows:
    """The rows of one table in one project, by the values of the columns that identify them."""

    def __init__(self, connection: Connection, table: sa.Table, prefix: str, key: tuple[str, ...], scope: Row) -> None:
        """Creates an empty cache.

        Args:
            connection: the transaction.
            table: the table.
            prefix: prefix of the ids of new rows.
            key: columns that identify a row in the project.
            scope: values of `organization_id` and `project_id`.
        """
        self._connection = connection
        self._table = table
        self._prefix = prefix
        self._key = key
        self._scope = scope
        self._rows: dict[Key, Row] = {}
        self._new: set[Key] = set()
        self._changed: set[Key] = set()
        self._indexes: dict[str, dict[str, list[Row]]] = {}

    def load(self, values: Iterable[str], column: str = "") -> None:
        """Loads the existing rows that have one of these values in a column, by default the first of the key."""
        condition = self._table.c[column or self._key[0]]
        of_project = self._table.c.project_id == self._scope["project_id"]
        for some in chunks(sorted(set(values))):
            for row in self._connection.execute(sa.select(self._table).where(of_project, condition.in_(some))):
                self._rows.setdefault(tuple(row._mapping[name] for name in self._key), dict(row._mapping))
        self._indexes.clear()

    def obtain(self, key: Key, **values: Any) -> Row:
        """Returns the row with this key, to be changed. A row that does not exist is created with these values."""
        row = self._rows.get(key)
        if row is None:
            row = {"id": new_id(self._prefix), **self._scope, **dict(zip(self._key, key, strict=True)), **values}
            self._rows[key] = row
            self._new.add(key)
            self._indexes.clear()
        self._changed.add(key)
        return row

    def all(self) -> list[Row]:
        """Returns the rows that were loaded or created."""
        return list(self._rows.values())

    def of(self, column: str, value: str) -> list[Row]:
        """Returns the rows with this value in a column, in the order of their ids."""
        return sorted(self._by(column).get(value, ()), key=lambda row: str(row["id"]))

    def with_id(self, id: str) -> Row:
        """Returns the row with this id."""
        return self._by("id")[id][0]

    def _by(self, column: str) -> dict[str, list[Row]]:
        if column not in self._indexes:
            index = self._indexes[column] = {}
            for row in self._rows.values():
                index.setdefault(row[column], []).append(row)
        return self._indexes[column]

    def upsert(self, table: sa.Table) -> None:
        """Writes the new and the changed rows to their table, which its callers name so that `explain` sees it."""
        if created := [self._rows[key] for key in sorted(self._new)]:
            self._connection.execute(table.insert(), created)
        names = [column.name for column in table.c if column.name not in ("id", *self._scope, *self._key)]
        if changed := [self._rows[key] for key in sorted(self._changed - self._new)]:
            update = (
                table.update()
                .where(table.c.id == sa.bindparam("row_id"))
                .values({name: sa.bindparam(f"new_{name}") for name in names})
            )
            values = [{"row_id": row["id"]} | {f"new_{name}": row[name] for name in names} for row in changed]
            self._connection.execute(update, values)
        self._new.clear()
        self._changed.clear()


def chunks(values: list[str]) -> Iterator[list[str]]:
    """Returns the values in lists that fit into one condition."""
    for start in range(0, len(values), _CHUNK):
        yield values[start : start + _CHUNK]


def merge(row: Row, facets: Mapping[str, Any], at: datetime) -> None:
    """Merges the facets of an event into those of a row. The latest event counts, in whatever order events arrive.

    A facet with `_deleted` removes the facet.
    """
    times = row["facet_times"] = dict(row["facet_times"])
    merged = row["facets"] = dict(row["facets"])
    moment = at.isoformat()
    for name, facet in facets.items():
        if times.get(name, "") > moment:
            continue
        times[name] = moment
        if isinstance(facet, dict) and facet.get("_deleted") is True:
            merged.pop(name, None)
        else:
            merged[name] = facet
