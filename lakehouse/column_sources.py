"""Column sources: the input columns that each column of a version was computed from, where the writer knows them.

The writer stores them in its commit with the rest of the provenance. A version without them has unknown column lineage.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from core.db import METADATA

MAX_SOURCES = 5_000
"""Sources of a wider table are not stored, because each commit would contain them."""

Sources = Mapping[str, Collection[tuple[str, str]]]
"""Asset and column of each source, by the column that was computed from them."""

COLUMN_SOURCES = sa.Table(
    "lineage_column_sources",
    METADATA,
    sa.Column("out_asset", sa.String(200), primary_key=True),
    sa.Column("out_version", sa.String(128), primary_key=True),
    sa.Column("run", sa.String(64), primary_key=True),
    sa.Column("step", sa.String(200), primary_key=True),
    sa.Column("sources", sa.JSON, nullable=False),
)


@dataclass(frozen=True, slots=True)
class ColumnSources:
    """The sources of the columns of a version, as one step of a run computed it."""

    out_asset: str
    out_version: str
    run: str
    step: str
    sources: Mapping[str, Sequence[tuple[str, str]]]

    def of(self, column: str) -> Sequence[tuple[str, str]] | None:
        """Returns the sources of a column; `None` if they are not recorded."""
        return self.sources.get(column)

    def computed_from(self, asset: str, column: str) -> list[str]:
        """Returns the columns that were computed from a column of an input."""
        return sorted(name for name, used in self.sources.items() if (asset, column) in used)


def stored_form(sources: Sources) -> dict[str, list[list[str]]] | None:
    """Returns sources as JSON values; `None` if there are too many to store."""
    if sum(map(len, sources.values())) > MAX_SOURCES:
        return None
    return {column: [list(source) for source in sorted(used)] for column, used in sources.items()}


def of_provenance(provenance: Mapping[str, Any], asset: str, version: str) -> list[ColumnSources]:
    """Returns the column sources in a provenance; none if its writer did not know them."""
    stored = provenance.get("column_sources")
    if not isinstance(stored, Mapping):
        return []
    return [ColumnSources(asset, version, provenance["run"], provenance["step"], parsed(stored))]


def record_in(connection: Connection, records: Sequence[ColumnSources]) -> None:
    """Stores column sources in the caller's transaction. Recorded ones don't change."""
    if not records:
        return
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    rows = [
        {
            "out_asset": record.out_asset,
            "out_version": record.out_version,
            "run": record.run,
            "step": record.step,
            "sources": stored_form(record.sources),
        }
        for record in records
    ]
    connection.execute(dialect.insert(COLUMN_SOURCES).on_conflict_do_nothing(), rows)


def of_version(connection: Connection, asset: str, version: str) -> list[ColumnSources]:
    """Returns the recorded column sources of a version, one for each step that produced it and knows them."""
    table = COLUMN_SOURCES.c
    query = sa.select(COLUMN_SOURCES).where(table.out_asset == asset, table.out_version == version)
    rows = connection.execute(query.order_by(table.run, table.step))
    return [ColumnSources(asset, version, row.run, row.step, parsed(row.sources)) for row in rows]


def of_asset(connection: Connection, asset: str) -> dict[tuple[str, str, str], Sources]:
    """Returns the recorded column sources of all versions of an asset, by version, run, and step.

    Versions that one definition wrote have the same sources, which are read once.
    """
    table = COLUMN_SOURCES.c
    text = sa.cast(table.sources, sa.Text)
    query = sa.select(table.out_version, table.run, table.step, text).where(table.out_asset == asset)
    sources = functools.cache(lambda stored: parsed(json.loads(stored)))
    return {(version, run, step): sources(stored) for version, run, step, stored in connection.execute(query)}


def parsed(stored: Mapping[str, Any]) -> dict[str, list[tuple[str, str]]]:
    """Returns sources from their stored form."""
    return {str(column): [(str(asset), str(name)) for asset, name in used] for column, used in stored.items()}
