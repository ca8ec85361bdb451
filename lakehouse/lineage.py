"""Lineage: which version was produced from which versions, with the code, engine, run, and principal.

Edges are immutable rows; deletion is a tombstone. Traversals run in memory on an index of these rows.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from core import clock
from core.db import METADATA, Database, UtcDateTime
from lakehouse import column_sources
from lakehouse.column_sources import ColumnSources
from lakehouse.graph import Direction, LineageGraph
from lakehouse.lineage_index import LineageIndex
from lakehouse.lineage_walk import walk

# Limits for a transaction that commits after others with higher sequence numbers.
_MAX_DELAY_SECONDS = 60.0
_MAX_DELAYED_EDGES = 500
_MAX_DELAYED_TOMBSTONES = 20
_PART = 50_000
"""Number of edges that `load_part` reads."""

_SEQUENCE = sa.BigInteger().with_variant(sa.Integer, "sqlite")

LINEAGE_EDGE = sa.Table(
    "lineage_edge",
    METADATA,
    sa.Column("sequence", _SEQUENCE, primary_key=True, autoincrement=True),
    sa.Column("run", sa.String(64), nullable=False, index=True),
    sa.Column("step", sa.String(200), nullable=False),
    sa.Column("out_asset", sa.String(200), nullable=False),
    sa.Column("out_version", sa.String(128), nullable=False),
    sa.Column("in_asset", sa.String(200), nullable=False),
    sa.Column("in_version", sa.String(128), nullable=False),
    sa.Column("in_columns", sa.JSON, nullable=False),
    sa.Column("code_version", sa.String(128), nullable=False),
    sa.Column("git_sha", sa.String(64), nullable=False),
    sa.Column("env_digest", sa.String(64), nullable=False),
    sa.Column("engine", sa.String(64), nullable=False),
    sa.Column("params_digest", sa.String(64), nullable=False),
    sa.Column("principal", sa.String(128), nullable=False),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("partition", sa.String(200), nullable=False, server_default=""),
    sa.UniqueConstraint(
        "out_asset", "out_version", "in_asset", "in_version", "run", "step", name="uq_lineage_edge_fact"
    ),
    sa.Index("ix_lineage_edge_in", "in_asset", "in_version"),
    sa.Index("ix_lineage_edge_readers", "in_asset", "out_asset"),
    sa.Index("ix_lineage_edge_out_at", "out_asset", "at"),
    # For searches, newest first.
    sa.Index("ix_lineage_edge_code_version", "code_version", "sequence"),
    sa.Index("ix_lineage_edge_git_sha", "git_sha", "sequence"),
    sa.Index("ix_lineage_edge_env_digest", "env_digest", "sequence"),
    sa.Index("ix_lineage_edge_engine", "engine", "sequence"),
    sa.Index("ix_lineage_edge_principal", "principal", "sequence"),
    sa.Index("ix_lineage_edge_at", "at"),
)

LINEAGE_TOMBSTONE = sa.Table(
    "lineage_tombstone",
    METADATA,
    sa.Column("sequence", _SEQUENCE, primary_key=True, autoincrement=True),
    sa.Column("asset", sa.String(200), nullable=False),
    sa.Column("version", sa.String(128)),
    sa.Column("edge_sequence", sa.BigInteger, nullable=False),
    sa.Column("principal", sa.String(128), nullable=False),
    sa.Column("reason", sa.String(500), nullable=False),
    sa.Column("at", UtcDateTime, nullable=False),
)

# Run at every traversal, so they're compiled once. Each uses an index: SQLite would scan for one statement with OR.
_EDGES = sa.select(
    LINEAGE_EDGE.c.sequence,
    LINEAGE_EDGE.c.out_asset,
    LINEAGE_EDGE.c.out_version,
    LINEAGE_EDGE.c.in_asset,
    LINEAGE_EDGE.c.in_version,
    LINEAGE_EDGE.c.run,
    LINEAGE_EDGE.c.step,
).order_by(LINEAGE_EDGE.c.sequence)
_NEW_EDGES = _EDGES.where(LINEAGE_EDGE.c.sequence > sa.bindparam("sequence"))
_SKIPPED_EDGES = _EDGES.where(LINEAGE_EDGE.c.sequence.in_(sa.bindparam("sequences", expanding=True)))
_NEW_TOMBSTONES = (
    sa.select(LINEAGE_TOMBSTONE)
    .where(LINEAGE_TOMBSTONE.c.sequence > sa.bindparam("sequence"))
    .order_by(LINEAGE_TOMBSTONE.c.sequence)
)


@dataclass(frozen=True, slots=True)
class Edge:
    """A record that `out_version` of `out_asset` was produced from `in_version` of `in_asset`.

    An output without inputs (produced by code alone) has one edge with an empty `in_asset`.
    """

    run: str
    step: str
    out_asset: str
    out_version: str
    in_asset: str
    in_version: str
    in_columns: tuple[str, ...]
    """Columns that were read; empty if all were read, or if they aren't known."""
    code_version: str
    git_sha: str
    env_digest: str
    engine: str
    params_digest: str
    principal: str
    at: datetime
    partition: str = ""
    """Key of the partition of the output that the step wrote; empty if it wrote no single partition."""


class Lineage:
    """Lineage record with traversals. Thread-safe. Versions are data versions, `<table id>@<version>`."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._index = LineageIndex()
        self._skipped: dict[int, float] = {}
        self._lock = threading.Lock()

    def record(self, edges: Sequence[Edge], columns: Sequence[ColumnSources] = ()) -> None:
        """Stores edges, and the column sources of their outputs. What is already recorded doesn't change."""
        if edges:
            with self.database.write() as connection:
                self.record_in(connection, edges)
                column_sources.record_in(connection, columns)

    @staticmethod
    def record_in(connection: Connection, edges: Sequence[Edge]) -> None:
        """Stores edges in the caller's transaction."""
        dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
        rows = [asdict(edge) | {"in_columns": list(edge.in_columns)} for edge in edges]
        connection.execute(dialect.insert(LINEAGE_EDGE).on_conflict_do_nothing(), rows)

    @contextmanager
    def index(self) -> Iterator[LineageIndex]:
        """Yields the index of everything recorded so far. No other thread uses it until the end of the block."""
        with self._lock:
            self._refresh()
            yield self._index

    def load_part(self) -> bool:
        """Reads some edges that the index doesn't contain yet, and returns whether there may be more.

        Between the parts, others can use the index, which then reads the rest.
        """
        with self._lock:
            return self._refresh(_PART) == _PART

    def upstream(
        self,
        asset: str,
        version: str | None = None,
        *,
        depth: int = 20,
        max_nodes: int = 1000,
        visible: Callable[[str], bool] | None = None,
    ) -> LineageGraph:
        """Returns the versions that a version was produced from, directly and indirectly.

        Args:
            asset: asset id.
            version: data version; `None` for the latest recorded version.
            depth: maximum number of steps from the start.
            max_nodes: maximum number of returned nodes. `truncated` is set if either limit cut off nodes.
            visible: returns whether an asset is visible. Hidden assets are left out and not traversed.
        """
        return self._walk("upstream", asset, version, depth, max_nodes, visible)

    def downstream(
        self,
        asset: str,
        version: str | None = None,
        *,
        depth: int = 20,
        max_nodes: int = 1000,
        visible: Callable[[str], bool] | None = None,
    ) -> LineageGraph:
        """Returns the versions that were produced from a version, directly and indirectly.

        The arguments are those of `upstream`.
        """
        return self._walk("downstream", asset, version, depth, max_nodes, visible)

    def latest(self, asset: str) -> str | None:
        """Returns the latest recorded version of an asset; `None` if none is recorded."""
        with self.index() as index:
            return index.latest(asset)

    def provenance(self, asset: str, version: str) -> list[Edge]:
        """Returns the direct inputs of a version with code, engine, run, and principal, in order of recording."""
        columns = LINEAGE_EDGE.c
        query = (
            sa.select(LINEAGE_EDGE)
            .where(columns.out_asset == asset, columns.out_version == version)
            .order_by(columns.sequence)
        )
        with self.database.read() as connection:
            return [_edge(row) for row in connection.execute(query)]

    def column_sources(self, asset: str, version: str) -> list[ColumnSources]:
        """Returns the recorded column sources of a version; none if its columns are unknown."""
        with self.database.read() as connection:
            return column_sources.of_version(connection, asset, version)

    def readers(self, asset: str) -> list[str]:
        """Returns the assets of which any recorded version read this one."""
        columns = LINEAGE_EDGE.c
        query = sa.select(columns.out_asset).where(columns.in_asset == asset, columns.out_asset != asset).distinct()
        with self.database.read() as connection:
            return sorted(connection.execute(query).scalars())

    def assets(self) -> list[str]:
        """Returns all assets that occur in the record."""
        with self.index() as index:
            return index.assets()

    def recorded_version(self, asset: str, version: str) -> str:
        """Returns the newest recorded version up to this one of the same table; the version itself if none is.

        A version without a separate record (a compaction, or a commit of another writer) follows the version before.
        """
        with self.index() as index:
            return index.recorded_version(asset, version)

    def previous(self, asset: str, version: str) -> str | None:
        """Returns the recorded version before this one, of the same table; `None` if there is none."""
        with self.index() as index:
            return index.previous(asset, version)

    def is_deleted(self, asset: str, version: str) -> bool:
        """Returns whether a tombstone marks the version as deleted."""
        with self.index() as index:
            return index.is_deleted(asset, version)

    def at(self, asset: str, instant: datetime) -> Edge | None:
        """Returns an edge of the version of an asset that was recorded last at an instant; `None` if none was yet."""
        columns = LINEAGE_EDGE.c
        query = sa.select(LINEAGE_EDGE).where(columns.out_asset == asset, columns.at <= instant)
        with self.database.read() as connection:
            row = connection.execute(query.order_by(columns.at.desc(), columns.sequence.desc()).limit(1)).first()
        return None if row is None else _edge(row)

    def first(self, asset: str) -> Edge | None:
        """Returns an edge of the first recorded version of an asset."""
        columns = LINEAGE_EDGE.c
        query = sa.select(LINEAGE_EDGE).where(columns.out_asset == asset).order_by(columns.at, columns.sequence)
        with self.database.read() as connection:
            row = connection.execute(query.limit(1)).first()
        return None if row is None else _edge(row)

    def tombstone(self, asset: str, version: str | None = None, *, principal: str = "", reason: str = "") -> None:
        """Marks a version, or all versions recorded so far, as deleted. Traversals include it and stop there."""
        with self.database.write() as connection:
            newest = connection.execute(sa.select(sa.func.max(LINEAGE_EDGE.c.sequence))).scalar() or 0
            connection.execute(
                LINEAGE_TOMBSTONE.insert().values(
                    asset=asset,
                    version=version,
                    edge_sequence=newest,
                    principal=principal,
                    reason=reason,
                    at=clock.now(),
                )
            )

    def _walk(
        self,
        direction: Direction,
        asset: str,
        version: str | None,
        depth: int,
        max_nodes: int,
        visible: Callable[[str], bool] | None,
    ) -> LineageGraph:
        with self.index() as index:
            return walk(index, direction, asset, version, depth=depth, max_nodes=max_nodes, visible=visible)

    def _refresh(self, limit: int | None = None) -> int:
        """Adds the edges and tombstones to the index that were recorded since the last traversal.

        Returns the number of edges, at most `limit`.

        The database assigns sequence numbers before a transaction commits, so a lower number may appear later. Skipped
        numbers are therefore read again for some time.
        """
        index, now = self._index, time.monotonic()
        self._skipped = {number: since for number, since in self._skipped.items() if now - since < _MAX_DELAY_SECONDS}
        with self.database.read() as connection:
            new = connection.execute(_NEW_EDGES.limit(limit), {"sequence": index.sequence}).all()
            rows = list(new)
            if self._skipped:
                rows = [*connection.execute(_SKIPPED_EDGES, {"sequences": list(self._skipped)}), *rows]
            first = index.tombstone_sequence - _MAX_DELAYED_TOMBSTONES
            tombstones = connection.execute(_NEW_TOMBSTONES, {"sequence": first}).all()
        for row in rows:
            for number in range(max(index.sequence + 1, row.sequence - _MAX_DELAYED_EDGES), row.sequence):
                self._skipped[number] = now
            self._skipped.pop(row.sequence, None)
            index.add(*row)
        for tombstone in tombstones:
            index.add_tombstone(tombstone.sequence, tombstone.asset, tombstone.version, tombstone.edge_sequence)
        return len(new)


def _edge(row: sa.Row[tuple[object, ...]]) -> Edge:
    values = dict(row._mapping)
    del values["sequence"]
    return Edge(**values | {"in_columns": tuple(values["in_columns"])})
