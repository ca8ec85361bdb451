"""Repair of lineage: records the edges of commits whose writer ended before it recorded them."""

from __future__ import annotations

from collections.abc import Iterable

from core.errors import UnknownTable
from lakehouse import column_sources
from lakehouse.column_sources import ColumnSources
from lakehouse.commits import entries_backwards
from lakehouse.lineage import Edge, Lineage
from lakehouse.provenance import commit_edges, stored_provenance
from lakehouse.tables import Tables

_MAX_RECENT_COMMITS = 50


def repair_lineage(tables: Tables, lineage: Lineage, assets: Iterable[str] | None = None) -> int:
    """Records the missing edges of all commits in the logs of tables. Returns the number of repaired commits.

    Args:
        tables: the lakehouse.
        lineage: the lineage record.
        assets: ids of the tables; all tables by default.
    """
    names = tables.list() if assets is None else assets
    return sum(_repair(tables, lineage, asset, limit=None) for asset in names)


def repair_recent(tables: Tables, lineage: Lineage, asset: str) -> int:
    """Records the missing edges of the commits after the newest recorded version, at most 50 commits.

    Returns the number of repaired commits.
    """
    return _repair(tables, lineage, asset, limit=_MAX_RECENT_COMMITS)


def unrecorded_edges(tables: Tables, lineage: Lineage, asset: str) -> list[Edge]:
    """Returns the missing edges of the commits after the newest recorded version, without recording them."""
    edges, _ = _missing(tables, lineage, asset, limit=_MAX_RECENT_COMMITS)
    return edges


def _repair(tables: Tables, lineage: Lineage, asset: str, *, limit: int | None) -> int:
    edges, columns = _missing(tables, lineage, asset, limit=limit)
    if edges:
        lineage.record(edges, columns)
    return len({edge.out_version for edge in edges})


def _missing(
    tables: Tables, lineage: Lineage, asset: str, *, limit: int | None
) -> tuple[list[Edge], list[ColumnSources]]:
    try:
        newest = tables.snapshot(asset)
    except UnknownTable:
        return [], []
    missing: list[Edge] = []
    columns: list[ColumnSources] = []
    for entry in entries_backwards(tables.storage, asset, newest.version, limit):
        provenance = stored_provenance(entry)
        if provenance is None:
            continue
        if lineage.provenance(asset, f"{newest.table_id}@{entry.version}"):
            if limit is not None:
                break
            continue
        commit = entry.commit(asset, newest.table_id, None)
        missing = commit_edges(provenance, asset, commit) + missing
        columns += column_sources.of_provenance(provenance, asset, commit.data_version)
    return missing, columns
