"""Maintenance of a table: compaction, vacuum, restore, and verification."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from core.errors import Conflict, HeadwaterError, InvalidArgument, UnknownVersion
from lakehouse import ledger
from lakehouse.committer import Committer, Write
from lakehouse.faults import translated
from lakehouse.handles import Handles
from lakehouse.pins import Pins
from lakehouse.schemas import conform, require_columns
from lakehouse.writes import hooks, quoted, schema_of

if TYPE_CHECKING:
    from deltalake import CommitProperties, DeltaTable

    from lakehouse.snapshot import Snapshot

_log = logging.getLogger(__name__)


def optimize(table: str, zorder_by: Sequence[str]) -> Write:
    """Returns a write that merges small files; with `zorder_by`, it also sorts the rows along a Z-order curve."""

    def run(delta: DeltaTable, properties: CommitProperties) -> None:
        if zorder_by:
            require_columns(table, schema_of(delta).names, list(zorder_by))
            if nested := [name for name in zorder_by if "." in name]:
                raise InvalidArgument(
                    f"{table} can't be sorted by {nested[0]}: delta-rs reads a dot in a name as a field of a column. "
                    "Choose another column.",
                    metadata={"table": table, "column": nested[0]},
                )
            delta.optimize.z_order(list(zorder_by), commit_properties=properties, post_commithook_properties=hooks())
        else:
            delta.optimize.compact(commit_properties=properties, post_commithook_properties=hooks())

    return Write(table, "optimizing", run, repeatable=True)


def sort_partition(snapshot: Snapshot, column: str, value: int, by: Sequence[str], group_rows: int) -> Write:
    """Returns a write that sorts the rows of a partition of a version, directly after this version."""

    def run(delta: DeltaTable, properties: CommitProperties) -> None:
        import polars as pl
        import pyarrow as pa
        from deltalake import WriterProperties, write_deltalake

        rows = pa.table(snapshot.scan().filter(pl.col(column) == value).sort(by).collect())
        write_deltalake(
            delta,
            conform(rows, schema_of(delta), snapshot.table, evolve=False),
            mode="overwrite",
            predicate=f"{quoted(column)} = {value:d}",
            writer_properties=WriterProperties(max_row_group_size=group_rows),
            commit_properties=properties,
            post_commithook_properties=hooks(),
        )

    return Write(snapshot.table, "sorting", run, if_version=snapshot.version)


def restore(table: str, version: int) -> Write:
    """Returns a write that restores the rows of an earlier version."""

    def run(delta: DeltaTable, properties: CommitProperties) -> None:
        delta.restore(version, commit_properties=properties)

    return Write(table, "restoring", run)


def vacuum(
    handles: Handles, committer: Committer, pins: Pins, table: str, retention_hours: float, *, dry_run: bool
) -> list[str]:
    """Deletes unreferenced data files except those of pinned versions, then expired log files.

    Returns the paths of the data files. With `dry_run`, nothing is deleted.

    Raises:
        Conflict: delta-rs would delete files of pinned versions.
    """
    newest = handles.current(table)
    pinned = _pinned_files(handles, table, pins)
    settings: dict[str, Any] = {
        "retention_hours": math.ceil(retention_hours),
        "enforce_retention_duration": False,
        "full": True,  # includes files that no commit references, such as those of a killed writer
        "keep_versions": sorted(pinned) or None,
    }
    with translated(table, "vacuuming"):
        unreferenced = sorted(set(newest.vacuum(dry_run=True, **settings)))
    if protected := sorted({path for paths in pinned.values() for path in paths} & set(unreferenced)):
        raise Conflict(
            f"A vacuum of {table} would delete {len(protected)} files of pinned versions. Nothing was deleted."
        )
    if dry_run or not unreferenced:
        return unreferenced

    def run(delta: DeltaTable, properties: CommitProperties) -> None:
        delta.vacuum(dry_run=False, commit_properties=properties, post_commithook_properties=hooks(), **settings)

    committer.commit(Write(table, "vacuuming", run))
    if not pinned:
        with translated(table, "cleaning the log of"):
            handles.current(table).cleanup_metadata()
    return unreferenced


def _pinned_files(handles: Handles, table: str, pins: Pins) -> dict[int, list[str]]:
    """Returns the files of each pinned version that can still be opened."""
    files: dict[int, list[str]] = {}
    for version in pins.versions(table):
        try:
            files[version] = handles.snapshot(table, version).paths
        except UnknownVersion:
            _log.warning("%s: pinned version %d can't be opened", table, version)
    return files


def verify(handles: Handles, table: str) -> list[str]:
    """Compares the log with the ledger, and checks that the data files of the newest version exist.

    Returns the findings.
    """
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
    recorded = handles.ledger.digests(table, snapshot.table_id)
    for version, content in handles.storage.commit_contents(table, log.commits).items():
        if version in recorded and recorded[version] != ledger.digest(content):
            findings.append(ledger.altered(table, version).detail)
    missing = handles.storage.missing(table, snapshot.paths)
    if missing:
        findings.append(
            f"{len(missing)} data files of version {snapshot.version} of {table} are missing, such as {missing[0]}. "
            "Restore them from a backup. Earlier versions that don't need them can still be read."
        )
    return findings
