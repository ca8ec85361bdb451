"""`Tables`: every read and write of the lakehouse goes through here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from core.db import Database
from core.errors import Conflict, ConstraintViolated, UnknownTable
from core.settings import Settings
from lakehouse import diff, history, maintenance, writes
from lakehouse.commits import Committer, Write
from lakehouse.diff import TableDiff
from lakehouse.handles import Handles
from lakehouse.history import Commit
from lakehouse.ledger import Ledger
from lakehouse.pins import Pins
from lakehouse.schemas import Prepared, TableData, to_arrow
from lakehouse.snapshot import Snapshot
from lakehouse.storage import Storage

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import CommitProperties, DeltaTable

__all__ = ["Commit", "Snapshot", "TableData", "TableDiff", "Tables"]


class Tables:
    """The Delta tables of one lakehouse. Thread-safe; create it after a fork, never before.

    Table names are asset ids, `project.schema.table`. Every method raises `UnknownTable` for a table that does not
    exist, `TableDamaged` for a log that lost or changed a commit, and `Unavailable` if the store does not answer; every
    write raises `WriteConflict` if another process committed something it cannot follow, and `StorageFull`. A write
    that changes nothing commits nothing and returns the current version.
    """

    def __init__(self, root: str, database: Database, *, storage_options: Mapping[str, str] | None = None) -> None:
        self.storage = Storage(root, storage_options)
        self.ledger = Ledger(database)
        self.pins = Pins(database)
        self._handles = Handles(self.storage, self.ledger)
        self._committer = Committer(self._handles)

    @classmethod
    def from_settings(cls, settings: Settings, database: Database) -> Tables:
        """The lakehouse of these settings."""
        return cls(settings.effective_lakehouse_url, database, storage_options=settings.storage_options)

    def uri(self, table: str) -> str:
        """Location of a table, whether or not it exists."""
        return self.storage.uri(table)

    def exists(self, table: str) -> bool:
        """Whether a table has a Delta log."""
        self.uri(table)
        return self.storage.log(table).oldest_readable is not None

    # Writes

    def create(
        self,
        table: str,
        schema: pa.Schema,
        *,
        partition_by: Sequence[str] = (),
        constraints: Mapping[str, str] = {},
        description: str = "",
        properties: Mapping[str, str] = {},
        facts: Mapping[str, Any] | None = None,
    ) -> Commit:
        """Makes an empty table with its change data feed on.

        Args:
            constraints: name to SQL condition that every row must meet.
            properties: Delta table properties, over our defaults.

        Raises:
            Conflict: the table exists.
        """

        def run(uri: str, commit: CommitProperties) -> None:
            writes.create(
                uri,
                table,
                schema,
                commit,
                partition_by=partition_by,
                description=description,
                configuration=properties,
                options=self.storage.options,
            )

        if self.exists(table):
            raise Conflict(f"Table {table} exists already. Append to it, overwrite it, or choose another name.")
        commit = self._committer.create(table, run, _unrun(table, "creating", facts))
        for name, rule in constraints.items():
            commit = self.add_constraint(table, name, rule)
        return commit

    def create_with(
        self,
        table: str,
        data: TableData,
        *,
        partition_by: Sequence[str] = (),
        description: str = "",
        properties: Mapping[str, str] = {},
        once: str | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> Commit:
        """Makes a table that holds `data`, in one commit. Arguments as for `create` and `append`.

        Raises:
            Conflict: the table exists.
        """
        prepared = to_arrow(data)

        def run(uri: str, commit: CommitProperties) -> None:
            writes.create_with(
                uri,
                table,
                prepared,
                commit,
                partition_by=partition_by,
                options=self.storage.options,
                description=description,
                configuration=properties,
            )

        return self._committer.create(table, run, _unrun(table, "creating", facts, once))

    def append(
        self,
        table: str,
        data: TableData,
        *,
        evolve_schema: bool = False,
        once: str | None = None,
        if_version: int | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> Commit:
        """Adds rows; makes the table if it is missing.

        Args:
            once: key of this batch; a second append with the same key returns the first one's commit.
            if_version: raise `WriteConflict` unless this is the newest version (also for the other writes).

        Raises:
            SchemaMismatch: names the columns that do not fit (without `evolve_schema` also new and missing ones).
            ConstraintViolated: names the constraint.
        """
        prepared = to_arrow(data)

        def run(delta: DeltaTable, commit: CommitProperties) -> None:
            files = self.storage.filesystem(table)
            writes.append(table, delta, prepared, commit, evolve=evolve_schema, files=files)

        write = Write(table, "appending to", run, facts, once, _repeatable(prepared), if_version)
        return self._write(write, prepared)

    def overwrite(
        self,
        table: str,
        data: TableData,
        *,
        where: str | None = None,
        evolve_schema: bool = False,
        partition_by: Sequence[str] = (),
        if_version: int | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> Commit:
        """Replaces all rows, or those that match the SQL condition `where`; makes the table if it is missing.

        With `evolve_schema` a whole overwrite may also replace the schema and the partitioning.

        Raises:
            SchemaMismatch, ConstraintViolated: as for `append`; with `where` every new row must match it.
        """
        prepared = to_arrow(data)

        def run(delta: DeltaTable, commit: CommitProperties) -> None:
            writes.overwrite(
                table, delta, prepared, commit, where=where, evolve=evolve_schema, partition_by=partition_by
            )

        write = Write(table, "overwriting", run, facts, if_version=if_version)
        return self._write(write, prepared, partition_by=partition_by, where=where)

    def merge(
        self,
        table: str,
        data: TableData,
        on: Sequence[str],
        *,
        delete_missing: bool = False,
        evolve_schema: bool = False,
        if_version: int | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> Commit:
        """Updates rows whose key exists and inserts the others; makes the table if it is missing.

        Args:
            on: key columns; the data must hold each key once.
            delete_missing: also deletes the rows whose key the data lacks.
        """
        prepared = to_arrow(data)

        def run(delta: DeltaTable, commit: CommitProperties) -> None:
            writes.merge(table, delta, prepared, commit, on=on, delete_missing=delete_missing, evolve=evolve_schema)

        return self._write(Write(table, "merging into", run, facts, if_version=if_version), prepared)

    def delete(
        self, table: str, where: str, *, if_version: int | None = None, facts: Mapping[str, Any] | None = None
    ) -> Commit:
        """Deletes the rows that match the SQL condition `where`."""

        def run(delta: DeltaTable, commit: CommitProperties) -> None:
            writes.delete(delta, where, commit)

        return self._committer.commit(Write(table, "deleting from", run, facts, if_version=if_version))

    # Reads

    def snapshot(self, table: str, *, version: int | None = None, timestamp: datetime | None = None) -> Snapshot:
        """The table at a version, at an instant, or now. The version is resolved here, once.

        Raises:
            UnknownVersion: the table has no such version (says which exist), or was made after `timestamp`.
        """
        if version is None and timestamp is not None:
            version = history.version_at(self._handles, table, timestamp)
        return self._handles.snapshot(table, version)

    def history(self, table: str, *, limit: int = 100) -> list[Commit]:
        """Commits, newest first."""
        return history.commits(self._handles, table, limit)

    def diff(
        self, table: str, from_version: int, to_version: int, *, key: Sequence[str] = (), limit: int = 1000
    ) -> TableDiff:
        """What changed between two versions: schema, row counts, added and removed rows; with `key`, changed rows.

        Args:
            key: columns that tell rows apart.
            limit: most rows shown of each kind; counts are exact.
        """
        before, after = self.snapshot(table, version=from_version), self.snapshot(table, version=to_version)
        return diff.compare(before, after, key=key, limit=limit)

    def changes(self, table: str, from_version: int, to_version: int | None = None) -> pa.Table:
        """The change data feed, `from_version` and `to_version` included, in order of version.

        Columns of the table plus `_change_type`, `_commit_version`, `_commit_timestamp`.
        """
        return diff.changes(self._handles, table, from_version, to_version)

    # Schema and constraints

    def add_columns(self, table: str, columns: Sequence[pa.Field]) -> Commit:
        """Adds nullable columns."""
        return self._committer.commit(maintenance.add_columns(table, columns))

    def add_constraint(self, table: str, name: str, condition: str) -> Commit:
        """Adds a check constraint.

        Raises:
            ConstraintViolated: rows that are there already break it.
            Conflict: the name is taken.
        """
        return self._committer.commit(maintenance.add_constraint(table, name, condition))

    def drop_constraint(self, table: str, name: str) -> Commit:
        """Drops a check constraint."""
        return self._committer.commit(maintenance.drop_constraint(table, name))

    # Maintenance

    def optimize(self, table: str, *, zorder_by: Sequence[str] = ()) -> Commit:
        """Merges small files; with `zorder_by`, also lays rows out so that filters on these columns skip files."""
        return self._committer.commit(maintenance.optimize(table, zorder_by))

    def vacuum(self, table: str, *, retention_hours: float = 168.0, dry_run: bool = False) -> list[str]:
        """Deletes data files that no version younger than `retention_hours` and no pinned version needs.

        Returns the paths that were (or with `dry_run` would be) deleted, relative to the table.
        """
        return maintenance.vacuum(self._handles, self._committer, self.pins, table, retention_hours, dry_run=dry_run)

    def restore(self, table: str, version: int) -> Commit:
        """Makes the content of an earlier version the newest version."""
        self.snapshot(table, version=version)
        return self._committer.commit(maintenance.restore(table, version))

    def clone(self, source: str, target: str, *, version: int | None = None) -> Commit:
        """Copies a table at a version, with its partitioning, constraints and description, into a new table."""
        return maintenance.clone(self, self.snapshot(source, version=version), target)

    def verify(self, table: str) -> list[str]:
        """Compares the whole log with the digests on record. Returns findings, none if the table is sound."""
        return maintenance.verify(self._handles, table)

    def adopt(self, table: str) -> None:
        """Accepts the log as it is now, after damage was looked at: forgets the digests on record."""
        self.ledger.forget(table)
        self._handles.drop(table)

    # Last, because it hides the builtin from the annotations below it.
    def list(self, prefix: str = "") -> list[str]:
        """Names of the tables whose name starts with `prefix`, sorted."""
        return self.storage.tables(prefix)

    def _write(
        self, write: Write, data: Prepared, *, partition_by: Sequence[str] = (), where: str | None = None
    ) -> Commit:
        for attempt in range(2):
            try:
                return self._committer.commit(write)
            except ConstraintViolated as error:
                delta = self._handles.current(write.table)
                raise writes.blame(write.table, error, delta, data, where) from error
            except UnknownTable:
                if attempt == 1:
                    raise
            try:
                return self.create_with(
                    write.table, data, partition_by=partition_by, once=write.once, facts=write.facts
                )
            except Conflict:  # another writer made it in between
                continue
        raise AssertionError("unreachable")


def _repeatable(data: Prepared) -> bool:
    import pyarrow as pa

    return isinstance(data, pa.Table)  # a reader is used up by the first attempt


def _unrun(table: str, doing: str, facts: Mapping[str, Any] | None, once: str | None = None) -> Write:
    return Write(table, doing, lambda _delta, _commit: None, facts, once)
