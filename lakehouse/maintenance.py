"""Keeping tables sound and fast: schema changes, constraints, compaction, vacuum, restore, clone, verification."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from core.errors import Conflict, ConstraintViolated, HeadwaterError, UnknownVersion
from lakehouse import ledger
from lakehouse.commits import Committer, Write
from lakehouse.faults import translated
from lakehouse.handles import Handles
from lakehouse.history import Commit
from lakehouse.pins import Pins
from lakehouse.schemas import require_columns
from lakehouse.snapshot import Snapshot
from lakehouse.writes import hooks, schema_of

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import CommitProperties, DeltaTable

    from lakehouse.tables import Tables


_log = logging.getLogger(__name__)


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
        try:
            with translated(table, "adding a constraint to"):
                delta.alter.add_constraint(
                    {name: condition}, commit_properties=properties, post_commithook_properties=hooks()
                )
        except ConstraintViolated as error:
            raise ConstraintViolated(
                f"Constraint {name} ({condition}) was not added to {table}: rows that are there break it. "
                "Correct or delete them first.",
                metadata={"table": table, "constraints": [name]},
            ) from error

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
    handles: Handles, committer: Committer, pins: Pins, table: str, retention_hours: float, *, dry_run: bool
) -> list[str]:
    """Deletes unreferenced files, keeping those of pinned versions, and then log files that expired."""
    newest = handles.current(table)
    pinned = _pinned(handles, table, pins, newest.version())
    settings: dict[str, Any] = {
        "retention_hours": math.ceil(retention_hours),
        "enforce_retention_duration": False,
        "full": True,  # also files that no commit knows: what a killed writer left behind
        "keep_versions": sorted(pinned) or None,
    }
    with translated(table, "vacuuming"):
        doomed = sorted(set(newest.vacuum(dry_run=True, **settings)))
    if held := sorted({path for paths in pinned.values() for path in paths} & set(doomed)):
        raise Conflict(f"Vacuuming {table} would delete {len(held)} files of pinned versions; nothing was deleted.")
    if dry_run or not doomed:
        return doomed

    def run(delta: DeltaTable, properties: CommitProperties) -> None:
        delta.vacuum(dry_run=False, commit_properties=properties, post_commithook_properties=hooks(), **settings)

    committer.commit(Write(table, "vacuuming", run))
    if not pinned:
        with translated(table, "cleaning the log of"):
            handles.current(table).cleanup_metadata()
    return doomed


def _pinned(handles: Handles, table: str, pins: Pins, newest: int) -> dict[int, list[str]]:
    """Files of each pinned version that can still be opened."""
    files: dict[int, list[str]] = {}
    for version in pins.versions(table):
        try:
            files[version] = handles.snapshot(table, version).paths
        except UnknownVersion:
            _log.warning("%s: pinned version %d cannot be opened any more", table, version)
    return files


def clone(tables: Tables, source: Snapshot, target: str) -> Commit:
    """Copies a snapshot into a new table, its rows in one commit; they are streamed. Returns the last commit."""
    if tables.exists(target):
        raise Conflict(f"Table {target} exists already. Choose another name for the clone of {source.table}.")
    with translated(source.table, "reading"):
        rows = source.dataset().scanner().to_reader()
    commit = tables.create_with(
        target,
        rows,
        partition_by=source.partition_columns,
        description=source.description,
        properties={name: value for name, value in source.properties.items() if "constraints" not in name},
    )
    # delta-rs takes constraints one commit at a time, and not with the first rows.
    for name, condition in source.constraints.items():
        commit = tables.add_constraint(target, name, condition)
    return commit


def verify(handles: Handles, table: str) -> list[str]:
    """Compares a log with the digests on record, and looks for the newest version's data files."""
    try:
        snapshot = handles.snapshot(table)
    except HeadwaterError as error:
        return [error.detail]
    findings = []
    log = handles.storage.log(table)
    if log.commits and log.commits != list(range(log.commits[0], log.commits[-1] + 1)):
        present = set(log.commits)
        gaps = [version for version in range(log.commits[0], log.commits[-1]) if version not in present]
        findings.append(f"The log of {table} lacks the commit files of versions {', '.join(map(str, gaps))}.")
    stored = handles.ledger.digests(table, snapshot.table_id)
    for version, content in handles.storage.commit_contents(table, log.commits).items():
        if version in stored and stored[version] != ledger.digest(content):
            findings.append(ledger.altered(table, version).detail)
    missing = handles.storage.missing(table, snapshot.paths)
    if missing:
        findings.append(
            f"{len(missing)} data files of version {snapshot.version} of {table} are missing, such as {missing[0]}. "
            "Put them back from a backup, or restore an earlier version."
        )
    return findings
