"""Inputs of a step: the exact version of every table, file, or other asset that it reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lakehouse.schemas import require_columns
from lakehouse.snapshot import Snapshot
from lakehouse.tables import Tables


class StepInputs:
    """The versions that a step reads, with the columns for column lineage."""

    def __init__(self, tables: Tables, asset: str, check_input: Callable[[Snapshot], None] | None) -> None:
        self._tables = tables
        self._asset = asset
        self._check_input = check_input
        self._snapshots: dict[str, Snapshot] = {}
        self.columns: dict[tuple[str, str], set[str] | None] = {}
        """Columns that were read, by asset and data version; `None` for all columns."""

    def read(self, table: str, *, version: int | None = None, columns: Sequence[str] | None = None) -> Snapshot:
        """Returns the table at the version that the step uses: the given one, or the newest at the first read.

        Args:
            table: table id.
            version: a version. If it differs from the version of an earlier read, it's an additional input.
            columns: columns to read, for column lineage; `None` for all columns.

        Raises:
            UnknownTable, UnknownVersion, UnknownColumn: the message lists the alternatives.
            UncheckedInput: the version did not pass its blocking checks.
        """
        snapshot = self._snapshots.get(table)
        if snapshot is None or (version is not None and version != snapshot.version):
            snapshot = self._tables.snapshot(table, version=version)
            if self._check_input is not None and table != self._asset:
                self._check_input(snapshot)
            self._snapshots.setdefault(table, snapshot)
        if columns is not None:
            require_columns(table, snapshot.schema.names, list(columns))
        self.use(table, snapshot.data_version, () if columns is None else columns)
        return snapshot

    def use(self, asset: str, version: str, columns: Sequence[str]) -> None:
        """Adds an input. Without `columns`, all columns count as read."""
        before = self.columns.get((asset, version), set())
        self.columns[asset, version] = before | set(columns) if columns and before is not None else None
