"""Names of all columns that a table has had, in any version that can still be read."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from lakehouse.schema_history import schema_changes

if TYPE_CHECKING:
    from lakehouse.tables import Tables


class ColumnNames:
    """The names, kept by table, so that only versions that are new are read. Thread-safe."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._found: dict[str, tuple[str, int, frozenset[str]]] = {}
        self._lock = threading.Lock()

    def of(self, table: str) -> frozenset[str]:
        """Returns the names of the columns of a table, including dropped ones.

        Raises:
            UnknownTable: the table doesn't exist.
        """
        newest = self._tables.snapshot(table)
        known = self._found.get(table)
        if known is not None and known[:2] == (newest.table_id, newest.version):
            return known[2]
        names = {name for change in schema_changes(self._tables, table, newest.version) for name in change.added}
        found = frozenset({*names, *newest.schema.names})
        with self._lock:
            self._found[table] = newest.table_id, newest.version, found
        return found
