"""Writes of rows: create, append, overwrite, merge, and delete."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from core.errors import Conflict, ConstraintViolated, UnknownTable
from lakehouse import alterations, merges, writes
from lakehouse.commits import Commit
from lakehouse.committer import Committer, Write
from lakehouse.handles import Handles
from lakehouse.schemas import Prepared, TableData, to_arrow
from lakehouse.storage import Storage

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import CommitProperties, DeltaTable


class TableWrites:
    """Writes of rows to the tables of one lakehouse. See `Tables`."""

    def __init__(self, storage: Storage, handles: Handles) -> None:
        self.storage = storage
        self._handles = handles
        self._committer = Committer(handles)

    def exists(self, table: str) -> bool:
        """Returns whether a table has a Delta log."""
        self.storage.uri(table)  # raises InvalidArgument for an invalid name
        return self.storage.log(table).oldest_readable is not None

    def create(
        self,
        table: str,
        schema: pa.Schema,
        *,
        partition_by: Sequence[str] = (),
        constraints: Mapping[str, str] = {},
        description: str = "",
        properties: Mapping[str, str] = {},
        user_metadata: Mapping[str, Any] | None = None,
    ) -> Commit:
        """Creates an empty table. Its change data feed is on.

        Args:
            table: table id.
            schema: columns.
            partition_by: columns to partition the rows by.
            constraints: SQL condition that every row must satisfy, by name.
            description: description of the table.
            properties: Delta table properties, which override the platform's defaults.
            user_metadata: content of the commit's `userMetadata`.

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
            raise Conflict(f"Table {table} already exists. Append to it, overwrite it, or choose another name.")
        commit = self._committer.create(table, run, _creation(table, user_metadata))
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
        transactions: Sequence[str] = (),
        user_metadata: Mapping[str, Any] | None = None,
    ) -> Commit:
        """Creates a table that contains `data`, in one commit. The arguments are those of `create` and `append`.

        `transactions` are the application ids of appends that the rows contain already.

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

        write = replace(_creation(table, user_metadata, once), transactions=tuple(transactions))
        return self._committer.create(table, run, write)

    def append(
        self,
        table: str,
        data: TableData,
        *,
        evolve_schema: bool = False,
        once: str | None = None,
        if_version: int | None = None,
        transactions: Sequence[str] = (),
        user_metadata: Mapping[str, Any] | None = None,
    ) -> Commit:
        """Adds rows. Creates the table if it's missing.

        Args:
            table: table id.
            data: rows.
            evolve_schema: whether the data may have new columns, and may lack nullable ones.
            once: key of this append. Another append with the same key returns the commit of the first one.
            if_version: version that must be the newest one; otherwise, the write raises `WriteConflict`.
            transactions: application ids of appends that the rows contain already.
            user_metadata: content of the commit's `userMetadata`.

        Raises:
            SchemaMismatch: the message lists the columns that don't match.
            ConstraintViolated: the message names the constraint.
        """
        prepared = to_arrow(data)

        def run(delta: DeltaTable, commit: CommitProperties) -> None:
            files = self.storage.filesystem(table)
            writes.append(table, delta, prepared, commit, evolve=evolve_schema, files=files)

        repeatable = _repeatable(prepared)
        write = Write(table, "appending to", run, user_metadata, once, repeatable, if_version, tuple(transactions))
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
        user_metadata: Mapping[str, Any] | None = None,
    ) -> Commit:
        """Replaces all rows, or the rows that match the SQL condition `where`. Creates the table if it's missing.

        With `evolve_schema` and without `where`, the schema and the partitioning are replaced as well. With `where`, a
        write that conflicts with another one is repeated on the version of that. The other arguments are those of
        `append` and `create`.

        Raises:
            SchemaMismatch, ConstraintViolated: as for `append`. With `where`, every new row must match it.
        """
        prepared = to_arrow(data)

        def run(delta: DeltaTable, commit: CommitProperties) -> None:
            writes.overwrite(
                table, delta, prepared, commit, where=where, evolve=evolve_schema, partition_by=partition_by
            )

        repeatable = where is not None and _repeatable(prepared)
        write = Write(table, "overwriting", run, user_metadata, repeatable=repeatable, if_version=if_version)
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
        user_metadata: Mapping[str, Any] | None = None,
    ) -> Commit:
        """Updates rows whose key exists and inserts the other rows. Creates the table if it's missing.

        If no row would change, the merge commits nothing and returns the current version with `changed` set to false.

        Args:
            table: table id.
            data: rows. Each key must occur once.
            on: key columns. A null equals another null.
            delete_missing: whether to delete the rows whose key isn't in the data.
            evolve_schema: as for `append`.
            if_version: as for `append`.
            user_metadata: as for `append`.
        """
        prepared = merges.keyed(table, to_arrow(data), on)

        def run(delta: DeltaTable, commit: CommitProperties) -> None:
            options: Any = {"on": on, "delete_missing": delete_missing, "evolve": evolve_schema}
            if merges.changes_rows(self._handles.snapshot(table, delta.version()), prepared, **options):
                merges.merge(table, delta, prepared, commit, **options)

        return self._write(Write(table, "merging into", run, user_metadata, if_version=if_version), prepared)

    def delete(
        self, table: str, where: str, *, if_version: int | None = None, user_metadata: Mapping[str, Any] | None = None
    ) -> Commit:
        """Deletes the rows that match the SQL condition `where`."""

        def run(delta: DeltaTable, commit: CommitProperties) -> None:
            writes.delete(delta, where, commit)

        return self._committer.commit(Write(table, "deleting from", run, user_metadata, if_version=if_version))

    def add_constraint(self, table: str, name: str, condition: str) -> Commit:
        """Adds a check constraint.

        Raises:
            ConstraintViolated: existing rows violate it.
            Conflict: the table already has a constraint with this name.
        """
        return self._committer.commit(alterations.add_constraint(table, name, condition))

    def _write(
        self, write: Write, data: Prepared, *, partition_by: Sequence[str] = (), where: str | None = None
    ) -> Commit:
        for attempt in range(2):
            try:
                return self._committer.commit(write)
            except ConstraintViolated as error:
                delta = self._handles.current(write.table)
                raise writes.explain_violation(write.table, error, delta, data, where) from error
            except UnknownTable:
                if attempt == 1:
                    raise
            try:
                return self.create_with(
                    write.table, data, partition_by=partition_by, once=write.once, user_metadata=write.user_metadata
                )
            except Conflict:  # another writer created the table in the meantime
                continue
        raise AssertionError("unreachable")


def _repeatable(data: Prepared) -> bool:
    import pyarrow as pa

    return isinstance(data, pa.Table)  # the first attempt consumes a reader


def _creation(table: str, user_metadata: Mapping[str, Any] | None, once: str | None = None) -> Write:
    return Write(table, "creating", lambda _delta, _commit: None, user_metadata, once)
