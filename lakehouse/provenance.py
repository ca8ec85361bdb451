"""Provenance that a step stores in its commits (`userMetadata`), and the lineage edges that follow from it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from lakehouse.column_sources import Sources, stored_form
from lakehouse.commits import ROW_PRESERVING_OPERATIONS, Commit, LogEntry, entries_backwards
from lakehouse.environment import env_digest, git_sha, params_digest
from lakehouse.lineage import Edge

if TYPE_CHECKING:
    from lakehouse.snapshot import Snapshot
    from lakehouse.storage import Storage

PROVENANCE_KEY = "headwater"
"""Key of the provenance in `userMetadata`."""


def new_provenance(
    *,
    run: str,
    step: str,
    inputs: Mapping[tuple[str, str], Collection[str] | None],
    continues: bool,
    code_version: str,
    engine: str,
    params: Mapping[str, Any],
    principal: str,
    partition: str = "",
    column_sources: Sources | None = None,
) -> dict[str, Any]:
    """Returns the provenance of a write by this process, as JSON values.

    Args:
        run: id of the run.
        step: name of the step within the run.
        inputs: columns that were read, by asset and data version; `None` for all columns.
        continues: whether the written version is based on the one before it.
        code_version: version of the code that determines the result.
        engine: engine that computed.
        params: further parameters that determine the result.
        principal: principal that requested the run.
        partition: key of the partition that is written; empty if it is no single one.
        column_sources: the input columns that each written column was computed from; `None` if they are unknown.
    """
    columns = None if column_sources is None else stored_form(column_sources)
    return {
        "run": run,
        "step": step,
        "inputs": [[asset, version, sorted(columns or ())] for (asset, version), columns in inputs.items()],
        "continues": continues,
        "code_version": code_version,
        "git_sha": git_sha(),
        "env_digest": env_digest(),
        "engine": engine,
        "params_digest": params_digest(params),
        "principal": principal,
        **({"partition": partition} if partition else {}),
        **({} if columns is None else {"column_sources": columns}),
    }


def provenance_of_clone(snapshot: Snapshot) -> dict[str, Any]:
    """Returns the provenance of a new table with the rows of a snapshot."""
    source = snapshot.table
    return new_provenance(
        run="clone",
        step=f"clone {source}"[:200],
        inputs={(source, snapshot.data_version): None},
        continues=False,
        code_version="",
        engine="headwater",
        params={},
        principal="",
        column_sources={name: [(source, name)] for name in snapshot.schema.names},
    )


def stored_provenance(entry: LogEntry) -> Mapping[str, Any] | None:
    """Returns the provenance in a commit; `None` for a commit of another writer."""
    provenance = entry.user_metadata.get(PROVENANCE_KEY)
    return provenance if isinstance(provenance, dict) else None


def written_partition(entry: LogEntry) -> str:
    """Returns the key of the partition that a commit wrote; empty if it wrote no single one."""
    return str((stored_provenance(entry) or {}).get("partition", ""))


def last_write(storage: Storage, table: str, version: int, partition: str) -> LogEntry | None:
    """Returns the newest commit up to `version` that wrote a partition, alone or with the whole table.

    Returns `None` if the log no longer has that commit.
    """
    for entry in entries_backwards(storage, table, version):
        if entry.operation not in ROW_PRESERVING_OPERATIONS and written_partition(entry) in ("", partition):
            return entry
    return None


def commit_edges(provenance: Mapping[str, Any], asset: str, commit: Commit) -> list[Edge]:
    """Returns the edges of a commit. A commit that continues the version before it also has an edge to that version."""
    inputs = list(_inputs(provenance))
    if provenance["continues"] and commit.version > 0:
        inputs.append((asset, f"{commit.table_id}@{commit.version - 1}", ()))
    return _edges(provenance, asset, commit.data_version, commit.committed_at, inputs)


def output_edges(provenance: Mapping[str, Any], asset: str, version: str, at: datetime) -> list[Edge]:
    """Returns the edges of an output that is not a table."""
    return _edges(provenance, asset, version, at, list(_inputs(provenance)))


def _inputs(provenance: Mapping[str, Any]) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    for asset, version, columns in provenance["inputs"]:
        yield str(asset), str(version), tuple(columns)


def _edges(
    provenance: Mapping[str, Any],
    asset: str,
    version: str,
    at: datetime,
    inputs: list[tuple[str, str, tuple[str, ...]]],
) -> list[Edge]:
    return [
        Edge(
            run=provenance["run"],
            step=provenance["step"],
            out_asset=asset,
            out_version=version,
            in_asset=in_asset,
            in_version=in_version,
            in_columns=in_columns,
            code_version=provenance["code_version"],
            git_sha=provenance["git_sha"],
            env_digest=provenance["env_digest"],
            engine=provenance["engine"],
            params_digest=provenance["params_digest"],
            principal=provenance["principal"],
            at=at,
            partition=provenance.get("partition", ""),
        )
        for in_asset, in_version, in_columns in inputs or [("", "", ())]
    ]
