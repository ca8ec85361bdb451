"""Keeping tables sound and fast: schema changes, constraints, compaction, vacuum, restore, clone, verification."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from core.errors import Conflict
from lakehouse.commits import Committer, Write
from lakehouse.handles import Handles
from lakehouse.history import Commit
from lakehouse.schemas import require_columns
from lakehouse.snapshot import Snapshot
from lakehouse.writes import hooks, schema_of

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import CommitProperties, DeltaTable

    from lakehouse.tables import Tables


def add_columns(table: str, columns: Sequence[pa.Field]) -> Write:
    """Adds nullable columns."""

    def run(delta: DeltaTable, properties: CommitProperties) -> None:
        import pyarrow as pa
        from deltalake import Schema

        existing = schema_of(delta).names
        if taken := [column.name for column in columns if column.name in existing]:
            raise Conflict(f"{table} has columns named {', '.join(taken)} already.")
        fields = Schema.from_arrow(pa.schema([column.with_nullable(True) for column in columns])).fields
        delta.alter.add_columns(fields, commit_properties=properties, post_commithook_properties=hooks())

    return Write(table, "adding columns to", run)


def add_constraint(table: str, name: str, condition: str) -> Write:
    """Adds a check constraint."""

    def run(delta: DeltaTable, properties: CommitProperties) -> None:
        if f"delta.constraints.{name}" in delta.metadata().configuration:
            raise Conflict(f"{table} has a constraint named {name} already. Drop it first, or choose another name.")
        delta.alter.add_constraint({name: condition}, commit_properties=properties, post_commithook_properties=hooks())

    return Write(table, "adding a constraint to", run)


def drop_constraint(table: str, name: str) -> Write:
    """Drops a check constraint; does nothing if there is none of this name."""

    def run(delta: DeltaTable, properties: CommitProperties) -> None:
        delta.alter.drop_constraint(
            name, raise_if_not_exists=False, commit_properties=properties, post_commithook_properties=hooks()
        )

    return Write(table, "dropping a constraint of", run)


def optimize(table: str, zorder_by: Sequence[str]) -> Write:
    """Compacts, or compacts along a Z-order curve."""

    def run(delta: DeltaTable, properties: CommitProperties) -> None:
        if zorder_by:
            require_columns(table, schema_of(delta).names, list(zorder_by))
            delta.optimize.z_order(list(zorder_by), commit_properties=properties, post_commithook_properties=hooks())
        else:
            delta.optimize.compact(commit_properties=properties, post_commithook_properties=hooks())

    return Write(table, "optimizing", run, repeatable=True)


def restore(table: str, version: int) -> Write:
    """Makes an earlier content the newest."""

    def run(delta: DeltaTable, properties: CommitProperties) -> None:
        delta.restore(version, commit_properties=properties)

    return Write(table, "restoring", run)


def vacuum(
    handles: Handles, committer: Committer, pinned: list[int], table: str, retention_hours: float, *, dry_run: bool
) -> list[str]:
    """Deletes unreferenced files, keeping those of pinned versions."""
    raise NotImplementedError


def clone(tables: Tables, source: Snapshot, target: str) -> Commit:
    """Copies a snapshot into a new table."""
    import pyarrow as pa

    if tables.exists(target):
        raise Conflict(f"Table {target} exists already. Choose another name for the clone of {source.table}.")
    data = source.dataset().scanner().to_reader() if False else source.to_arrow()
    assert isinstance(data, pa.Table)
    commit = tables.overwrite(target, data, partition_by=source.partition_columns)
    for name, rule in source.constraints.items():
        commit = tables.add_constraint(target, name, rule)
    return commit


def verify(handles: Handles, table: str) -> list[str]:
    """Compares a log with the digests on record."""
    raise NotImplementedError
