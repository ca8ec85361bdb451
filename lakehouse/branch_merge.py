"""Merge of a branch: each table that its runs changed becomes one new version of the lakehouse.

Each version contains the id of the branch, so that a killed merge continues where it ended, and merges no table twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from core.errors import HeadwaterError, WriteConflict
from lakehouse import column_sources
from lakehouse.branches import BranchTables, pinned, transactions
from lakehouse.commits import Commit, read_entry
from lakehouse.content import digest
from lakehouse.features import copied_properties
from lakehouse.lineage import Lineage
from lakehouse.provenance import PROVENANCE_KEY, commit_edges, stored_provenance
from lakehouse.snapshot import Snapshot
from lakehouse.tables import Tables

MERGE_KEY = "headwater_merge"
"""Key in `userMetadata` of the id of the branch that a commit merged."""


class MergeState(StrEnum):
    """State of a table of a branch. UNCHANGED: it has the rows of its base, so there is nothing to merge."""

    CHANGED = "CHANGED"
    UNCHANGED = "UNCHANGED"
    MERGED = "MERGED"
    CONFLICT = "CONFLICT"


@dataclass(frozen=True, slots=True)
class MergeStep:
    """A table that a branch has produced, and what a merge does with it."""

    table: str
    state: MergeState
    base: str | None
    """Data version that the branch started with; `None` if the table didn't exist."""
    current: str | None
    """Newest data version of the lakehouse that changed rows, or that the branch was merged into."""
    reason: str = ""
    """Reason of a conflict."""


def merge_steps(
    branch: BranchTables, failed: Mapping[str, Sequence[str]] = {}, outdated: Mapping[str, str] = {}
) -> list[MergeStep]:
    """Returns what a merge does, inputs before the tables that are made from them.

    Args:
        branch: the branch.
        failed: names of the failed blocking checks by table.
        outdated: reason by table whose definition isn't the one that the project runs.
    """
    return [_step(branch, table, failed.get(table, ()), outdated.get(table, "")) for table in _ordered(branch)]


def merge_table(branch: BranchTables, lineage: Lineage, table: str) -> Snapshot:
    """Makes the rows of a branch's table the newest version of the lakehouse, unless they are already.

    Raises:
        WriteConflict: another writer committed in the meantime.
    """
    main = branch.main
    if (version := merged_version(branch, table)) is not None:
        _record(branch, lineage, table, version)
        return main.snapshot(table, version=version)
    source, base = branch.snapshot(table), branch.plan.bases.get(table)
    # The version is read before it is compared with the base, so that no commit in between is replaced.
    newest = main.snapshot(table).version if main.exists(table) else None
    if _newest(main, table, newest) != _content(main, table, base):
        raise WriteConflict(f"{table} has a newer version than {base or 'none'}, with which the branch started.")
    # The digest of the rows, with which a later step finds that it would write the same ones.
    written = read_entry(branch.storage, table, source.version).user_metadata
    metadata = {**written, PROVENANCE_KEY: _provenance(branch, table), MERGE_KEY: branch.plan.id}
    if newest is not None and (start := _appended_to(branch, source)) is not None:
        commit = main.append(
            table,
            source.rows_without(set(start.paths)),
            evolve_schema=True,
            if_version=newest,
            transactions=transactions(branch, source, after=start.version),
            user_metadata=metadata,
        )
    elif newest is not None:
        commit = main.overwrite(
            table,
            source.batches(),
            evolve_schema=True,
            partition_by=source.partition_columns,
            if_version=newest,
            user_metadata=metadata,
        )
    else:
        commit = main.create_with(
            table,
            source.batches(),
            partition_by=source.partition_columns,
            description=source.description,
            properties=copied_properties(source.properties),
            transactions=transactions(branch, source),
            user_metadata=metadata,
        )
    _record(branch, lineage, table, commit.version)
    return main.snapshot(table, version=commit.version)


def merged_version(branch: BranchTables, table: str) -> int | None:
    """Returns the version of the lakehouse that this branch was merged into; `None` if it wasn't."""
    main = branch.main
    if not main.exists(table):
        return None
    base = branch.plan.bases.get(table)
    oldest = int(base.rpartition("@")[2]) + 1 if base else 0
    for version in range(main.snapshot(table).version, oldest - 1, -1):
        if read_entry(main.storage, table, version).user_metadata.get(MERGE_KEY) == branch.plan.id:
            return version
    return None


def _appended_to(branch: BranchTables, source: Snapshot) -> Snapshot | None:
    """Returns the version to which the branch has only appended rows; `None` if it has changed or removed some."""
    first = next((version for version in range(source.version + 1) if _written(branch, source, version)), 0)
    if not first or not source.comparable_by_file:
        return None
    start = branch.snapshot(source.table, version=first - 1)
    return start if start.paths and set(start.paths) <= set(source.paths) else None


def _written(branch: BranchTables, source: Snapshot, version: int) -> bool:
    return stored_provenance(read_entry(branch.storage, source.table, version)) is not None


def _step(branch: BranchTables, table: str, failed: Sequence[str], outdated: str) -> MergeStep:
    main, base = branch.main, branch.plan.bases.get(table)
    if (version := merged_version(branch, table)) is not None:
        return MergeStep(table, MergeState.MERGED, base, f"{main.snapshot(table).table_id}@{version}")
    current = _newest(main, table, main.snapshot(table).version if main.exists(table) else None)
    if not branch.produced_edges(table) or _same_rows(branch, table):
        return MergeStep(table, MergeState.UNCHANGED, base, current)
    if failed:
        reason = f"The version of the branch did not pass its blocking checks ({', '.join(failed)})."
        return MergeStep(table, MergeState.CONFLICT, base, current, reason)
    if outdated:
        return MergeStep(table, MergeState.CONFLICT, base, current, outdated)
    if current != _content(main, table, base):
        reason = (
            f"The branch started with {base or 'no table'}, and the newest version is {current or 'no table'}. "
            "Discard the branch, and make the table again from the newest versions."
        )
        return MergeStep(table, MergeState.CONFLICT, base, current, reason)
    return MergeStep(table, MergeState.CHANGED, base, current)


def _newest(main: Tables, table: str, version: int | None) -> str | None:
    """Returns the data version that changed rows last, up to a version; `None` without a version."""
    if version is None:
        return None
    return _content(main, table, main.snapshot(table, version=version).data_version)


def _content(main: Tables, table: str, version: str | None) -> str | None:
    """Returns the data version that changed rows last, up to a data version."""
    if version is None:
        return None
    table_id, _, number = version.rpartition("@")
    return f"{table_id}@{main.content_version(table, int(number))}"


def _same_rows(branch: BranchTables, table: str) -> bool:
    base = branch.plan.bases.get(table)
    if base is None:
        return False
    try:
        before = pinned(branch.main, table, base)
    except HeadwaterError:  # the base was replaced, which is a conflict
        return False
    found = digest(branch.snapshot(table).to_arrow())
    return found is not None and found == digest(before.to_arrow())


def _ordered(branch: BranchTables) -> list[str]:
    """Returns the produced tables that exist in the branch, inputs first."""
    waiting = {table for table in branch.plan.produced if branch.exists(table)}
    inputs = {table: {edge.in_asset for edge in _edges(branch, table)} & waiting - {table} for table in waiting}
    ordered: list[str] = []
    while waiting:
        ready = sorted(table for table in waiting if not inputs[table] & waiting) or sorted(waiting)[:1]
        ordered += ready
        waiting -= set(ready)
    return ordered


def _edges(branch: BranchTables, table: str) -> list[Any]:
    newest = branch.snapshot(table)
    versions = (f"{newest.table_id}@{version}" for version in range(newest.version + 1))
    return [edge for version in versions for edge in branch.edges(table, version) or ()]


def _provenance(branch: BranchTables, table: str) -> dict[str, Any]:
    """Returns the provenance of the newest step of the branch, with all inputs as versions of the lakehouse."""
    newest = branch.snapshot(table)
    inputs: dict[tuple[str, str], list[str]] = {}
    provenance: dict[str, Any] = {}
    for version in range(newest.version + 1):
        if (found := stored_provenance(read_entry(branch.storage, table, version))) is None:
            continue
        provenance = dict(found)
        for asset, data_version, columns in found["inputs"]:
            if (used := _in_lakehouse(branch, asset, data_version)) is not None and asset != table:
                inputs[asset, used] = columns
    return {**provenance, "inputs": [[asset, version, columns] for (asset, version), columns in inputs.items()]}


def _in_lakehouse(branch: BranchTables, asset: str, version: str) -> str | None:
    """Returns the version of the lakehouse that a version of the branch was merged into, or is equal to."""
    if not branch.owns(asset) or not branch.exists(asset):
        return version
    if branch.snapshot(asset).table_id != version.rpartition("@")[0]:
        return version  # a version of the lakehouse, from before the branch produced the table
    if (merged := merged_version(branch, asset)) is not None:
        return f"{branch.main.snapshot(asset).table_id}@{merged}"
    return branch.plan.bases.get(asset)


def _record(branch: BranchTables, lineage: Lineage, table: str, version: int) -> None:
    main = branch.main
    entry = read_entry(main.storage, table, version)
    commit: Commit = entry.commit(table, main.snapshot(table).table_id, None)
    provenance = stored_provenance(entry)
    if provenance is not None:
        columns = column_sources.of_provenance(provenance, table, commit.data_version)
        lineage.record(commit_edges(provenance, table, commit), columns)
