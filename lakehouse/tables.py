"""`Tables`, the interface for all reads and writes of the lakehouse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from core.db import Database
from core.errors import Conflict, WriteConflict
from core.settings import Settings
from lakehouse import alterations, diff, history, log_actions, maintenance
from lakehouse.commits import Commit, last_row_change
from lakehouse.diff import TableDiff
from lakehouse.evolution import evolution_write, plan
from lakehouse.features import copied_properties
from lakehouse.handles import Handles
from lakehouse.ledger import Ledger
from lakehouse.log_actions import CommitActions, FileAction
from lakehouse.pins import Pins
from lakehouse.provenance import PROVENANCE_KEY, provenance_of_clone
from lakehouse.schemas import TableData
from lakehouse.snapshot import Snapshot
from lakehouse.storage import Storage
from lakehouse.table_writes import TableWrites

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import NativeFile

__all__ = ["Commit", "Snapshot", "TableData", "TableDiff", "Tables"]

_MAX_ATTEMPTS = 4


class Tables(TableWrites):
    """The Delta tables of one lakehouse. Thread-safe; create it after a fork, never before.

    Table names are asset ids, `project.schema.table`. Every method raises `UnknownTable` for a table that doesn't
    exist, `TableDamaged` for a log in which a commit is missing or altered, and `Unavailable` if the store doesn't
    respond. Every write raises `StorageFull`, and `WriteConflict` if another process made a conflicting commit. A write
    that changes nothing commits nothing and returns the current version.
    """

    def __init__(self, root: str, database: Database, *, storage_options: Mapping[str, str] | None = None) -> None:
        storage = Storage(root, storage_options)
        self.ledger = Ledger(database)
        self.pins = Pins(database)
        super().__init__(storage, Handles(storage, self.ledger))

    @classmethod
    def from_settings(cls, settings: Settings, database: Database) -> Tables:
        """Returns the lakehouse of the settings."""
        return cls(settings.effective_lakehouse_url, database, storage_options=settings.storage_options)

    def uri(self, table: str) -> str:
        """Returns the location of a table. The table doesn't need to exist."""
        return self.storage.uri(table)

    # Reads

    def snapshot(self, table: str, *, version: int | None = None, timestamp: datetime | None = None) -> Snapshot:
        """Returns the table at a version, at an instant, or now. The version is resolved once, in this call.

        Raises:
            UnknownVersion: the table has no such version, or was created after `timestamp`.
        """
        if version is None and timestamp is not None:
            version = history.version_at(self._handles, table, timestamp)
        return self._handles.snapshot(table, version)

    def content_version(self, table: str, version: int) -> int:
        """Returns the newest version up to `version` that changed rows. Maintenance versions have the same rows."""
        entry = last_row_change(self.storage, table, version)
        return version if entry is None else entry.version

    def commit_at(self, table: str, instant: datetime) -> Commit:
        """Returns the commit of the version that was current at an instant, without its number of rows.

        Raises:
            UnknownTable: the table does not exist.
            UnknownVersion: the table, or the oldest commit that its log still has, is younger.
        """
        return history.commit_at(self._handles, table, instant)

    def history(self, table: str, *, limit: int = 100) -> list[Commit]:
        """Returns commits, newest first."""
        return history.newest_commits(self._handles, table, limit)

    def diff(
        self, table: str, from_version: int, to_version: int, *, key: Sequence[str] = (), limit: int = 1000
    ) -> TableDiff:
        """Returns the differences between two versions: schema, row counts, and added, removed, and changed rows.

        Args:
            table: table id.
            from_version: version before.
            to_version: version after.
            key: columns that identify a row. Without a key, a changed row is one removed and one added row.
            limit: maximum number of returned rows of each kind; counts are exact.
        """
        before, after = self.snapshot(table, version=from_version), self.snapshot(table, version=to_version)
        return diff.compare(before, after, key=key, limit=limit)

    def changes(self, table: str, from_version: int, to_version: int | None = None) -> pa.Table:
        """Returns the change data feed from `from_version` through `to_version`, in order of version.

        It has the columns of the table, `_change_type`, `_commit_version`, and `_commit_timestamp`.
        """
        return diff.changes(self._handles, table, from_version, to_version)

    # Files, for protocols that pass them on

    def added_files(self, snapshot: Snapshot) -> list[FileAction]:
        """Returns the files of a version with their actions in the log. Raises as `log_actions.added_files`."""
        return log_actions.added_files(self.storage, snapshot)

    def changed_files(self, table: str, versions: range, *, feed: bool) -> list[CommitActions]:
        """Returns the commits of these versions that changed rows. Raises as `log_actions.changed_files`."""
        return log_actions.changed_files(self.storage, table, versions, feed=feed)

    def open_file(self, snapshot: Snapshot, path: str) -> NativeFile:
        """Opens a file of a table for reading, by its path in the log.

        Raises:
            NotFound: the path leads out of the table, or a vacuum deleted the file.
        """
        return log_actions.open_file(snapshot, path)

    # Alterations

    def add_columns(self, table: str, columns: Sequence[pa.Field]) -> Commit:
        """Adds nullable columns."""
        return self._committer.commit(alterations.add_columns(table, columns))

    def evolve(
        self, table: str, declared: pa.Schema, *, user_metadata: Mapping[str, Any] | None = None
    ) -> Commit | None:
        """Adds the columns that rows of this schema need, and widens types. Returns `None` if nothing is needed.

        Nullable columns are added. To widen a type, all rows are rewritten in one commit. Every row keeps its values.

        Raises:
            SchemaMismatch: a column can't be changed. The message says why and what to do.
        """
        for attempt in range(_MAX_ATTEMPTS):
            snapshot = self.snapshot(table)
            evolution = plan(table, snapshot.schema, declared, empty=snapshot.row_count == 0)
            evolution.require()
            if not evolution.needed:
                return None
            try:
                return self._committer.commit(
                    replace(evolution_write(snapshot, evolution), user_metadata=user_metadata)
                )
            except WriteConflict:  # a rewrite of an outdated version would lose the rows appended since
                if attempt == _MAX_ATTEMPTS - 1:
                    raise
        raise AssertionError("unreachable")

    def drop_constraint(self, table: str, name: str) -> Commit:
        """Drops a check constraint."""
        return self._committer.commit(alterations.drop_constraint(table, name))

    # Maintenance

    def optimize(self, table: str, *, zorder_by: Sequence[str] = ()) -> Commit:
        """Merges small files. With `zorder_by`, also sorts the rows so that filters on these columns skip files."""
        return self._committer.commit(maintenance.optimize(table, zorder_by))

    def sort_partition(self, table: str, column: str, value: int, *, by: Sequence[str], group_rows: int) -> Commit:
        """Writes the rows of a partition again, sorted, so that filters on these columns skip most of them.

        Args:
            table: table id.
            column: partition column, of integers.
            value: its value in the partition.
            by: columns to sort by.
            group_rows: number of rows of a row group, the unit that filters skip.

        Raises:
            WriteConflict: another writer committed in the meantime. Nothing was written.
        """
        return self._committer.commit(maintenance.sort_partition(self.snapshot(table), column, value, by, group_rows))

    def vacuum(self, table: str, *, retention_hours: float = 168.0, dry_run: bool = False) -> list[str]:
        """Deletes data files that no version younger than `retention_hours` and no pinned version needs.

        Returns the paths of the deleted files, relative to the table. With `dry_run`, nothing is deleted.
        """
        return maintenance.vacuum(self._handles, self._committer, self.pins, table, retention_hours, dry_run=dry_run)

    def restore(self, table: str, version: int) -> Commit:
        """Restores the content of an earlier version as the newest version."""
        self.snapshot(table, version=version)
        return self._committer.commit(maintenance.restore(table, version))

    def clone(self, source: str, target: str, *, version: int | None = None) -> Commit:
        """Copies a version of a table with its partitioning, constraints, and description into a new table.

        The rows are streamed into one commit, which names their source. Each constraint is a further commit. Returns
        the last one.

        Raises:
            Conflict: the target exists.
        """
        snapshot = self.snapshot(source, version=version)
        if self.exists(target):
            raise Conflict(f"Table {target} already exists. Choose another name for the clone of {source}.")
        return self.copy(snapshot, target, user_metadata={PROVENANCE_KEY: provenance_of_clone(snapshot)})

    def copy(
        self,
        snapshot: Snapshot,
        target: str,
        *,
        transactions: Sequence[str] = (),
        user_metadata: Mapping[str, Any] | None = None,
    ) -> Commit:
        """Copies a snapshot, also one of another lakehouse, into a new table. See `clone`.

        Args:
            snapshot: the rows.
            target: name of the new table.
            transactions: application ids of appends that the rows contain already.
            user_metadata: stored in the commit with the rows.
        """
        rows = snapshot.batches()  # raises UnsupportedTable before the target is created
        commit = self.create_with(
            target,
            rows,
            partition_by=snapshot.partition_columns,
            description=snapshot.description,
            properties=copied_properties(snapshot.properties),
            transactions=transactions,
            user_metadata=user_metadata,
        )
        for name, condition in snapshot.constraints.items():
            commit = self.add_constraint(target, name, condition)
        return commit

    def verify(self, table: str) -> list[str]:
        """Compares the log with the ledger and checks the data files. Returns findings; none if the table is intact."""
        return maintenance.verify(self._handles, table)

    def adopt(self, table: str) -> None:
        """Accepts the log as it is, after damage was examined. Deletes the recorded digests."""
        self.ledger.forget(table)
        self._handles.drop(table)

    # Last, because it hides the built-in `list` from the annotations below it.
    def list(self, prefix: str = "") -> list[str]:
        """Returns the names of the tables whose name begins with `prefix`, sorted."""
        return self.storage.tables(prefix)
