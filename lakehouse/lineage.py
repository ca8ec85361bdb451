"""Lineage: which versions of which assets went into which, by which code, engine, run and principal.

Edges are immutable rows; deletion is a tombstone. Traversals run in memory on an index of those rows.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from core import clock
from core.db import METADATA, Database, UtcDateTime
from lakehouse.graph import Direction, LineageGraph, LineageIndex

if TYPE_CHECKING:
    from lakehouse.tables import Tables

# How long, and how far back, a transaction may take to show its sequence numbers.
_LATE_SECONDS = 60.0
_LATE_EDGES = 500
_LATE_TOMBSTONES = 20

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
    sa.UniqueConstraint(
        "out_asset", "out_version", "in_asset", "in_version", "run", "step", name="uq_lineage_edge_fact"
    ),
    sa.Index("ix_lineage_edge_in", "in_asset", "in_version"),
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

# Asked at every traversal, so they are compiled once. An index serves each: SQLite scans for one statement with OR.
_ARCS = sa.select(
    LINEAGE_EDGE.c.sequence,
    LINEAGE_EDGE.c.out_asset,
    LINEAGE_EDGE.c.out_version,
    LINEAGE_EDGE.c.in_asset,
    LINEAGE_EDGE.c.in_version,
    LINEAGE_EDGE.c.run,
    LINEAGE_EDGE.c.step,
).order_by(LINEAGE_EDGE.c.sequence)
_NEW_EDGES = _ARCS.where(LINEAGE_EDGE.c.sequence > sa.bindparam("sequence"))
_LATE = _ARCS.where(LINEAGE_EDGE.c.sequence.in_(sa.bindparam("sequences", expanding=True)))
_NEW_TOMBSTONES = (
    sa.select(LINEAGE_TOMBSTONE)
    .where(LINEAGE_TOMBSTONE.c.sequence > sa.bindparam("sequence"))
    .order_by(LINEAGE_TOMBSTONE.c.sequence)
)


@dataclass(frozen=True, slots=True)
class Edge:
    """One fact: `out_version` of `out_asset` was made from `in_version` of `in_asset`.

    An output without any input (made by code alone) has one edge with an empty `in_asset`.
    """

    run: str
    step: str
    out_asset: str
    out_version: str
    in_asset: str
    in_version: str
    in_columns: tuple[str, ...]
    """Columns that were read; empty: all, or not known."""
    code_version: str
    git_sha: str
    env_digest: str
    engine: str
    params_digest: str
    principal: str
    at: datetime


class Lineage:
    """Records and walks lineage. Thread-safe. Versions are data versions, `<table id>@<version>`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._index = LineageIndex()
        self._skipped: dict[int, float] = {}
        self._lock = threading.Lock()

    def record(self, edges: Sequence[Edge]) -> None:
        """Stores edges; those on record already are left as they are."""
        if edges:
            with self._database.write() as connection:
                self.record_in(connection, edges)

    @staticmethod
    def record_in(connection: Connection, edges: Sequence[Edge]) -> None:
        """Stores edges in the caller's transaction."""
        dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
        rows = [asdict(edge) | {"in_columns": list(edge.in_columns)} for edge in edges]
        connection.execute(dialect.insert(LINEAGE_EDGE).on_conflict_do_nothing(), rows)

    def upstream(
        self,
        asset: str,
        version: str | None = None,
        *,
        depth: int = 20,
        max_nodes: int = 1000,
        visible: Callable[[str], bool] | None = None,
    ) -> LineageGraph:
        """What a version was made from, transitively. `None` is the latest recorded version.

        Args:
            depth: most steps away from the start.
            max_nodes: most nodes returned; `truncated` tells whether either limit cut something off.
            visible: whether an asset may be shown; hidden ones are left out and not walked through.
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
        """What was made from a version, transitively. Arguments as for `upstream`."""
        return self._walk("downstream", asset, version, depth, max_nodes, visible)

    def latest(self, asset: str) -> str | None:
        """The version of an asset that was recorded last; `None` if none was."""
        with self._lock:
            self._refresh()
            return self._index.latest(asset)

    def provenance(self, asset: str, version: str) -> list[Edge]:
        """Direct inputs of a version with code, engine, run and principal, in order of recording."""
        columns = LINEAGE_EDGE.c
        query = (
            sa.select(LINEAGE_EDGE)
            .where(columns.out_asset == asset, columns.out_version == version)
            .order_by(columns.sequence)
        )
        with self._database.read() as connection:
            return [_edge(row) for row in connection.execute(query)]

    def tombstone(self, asset: str, version: str | None = None, *, principal: str = "", reason: str = "") -> None:
        """Marks a version as deleted, or all versions recorded so far. Traversals show it and stop there."""
        with self._database.write() as connection:
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

    def repair(self, tables: Tables, assets: Iterable[str] | None = None, *, whole: bool = True) -> int:
        """Records the edges of commits whose writer died before it could; returns how many commits it mended.

        Args:
            assets: tables to look at; all by default.
            whole: looks at whole logs; otherwise only back to the newest version on record.
        """
        from lakehouse.step import mend

        return sum(mend(tables, self, asset, whole=whole) for asset in (tables.list() if assets is None else assets))

    def _walk(
        self,
        direction: Direction,
        asset: str,
        version: str | None,
        depth: int,
        max_nodes: int,
        visible: Callable[[str], bool] | None,
    ) -> LineageGraph:
        with self._lock:
            self._refresh()
            return self._index.walk(direction, asset, version, depth=depth, max_nodes=max_nodes, visible=visible)

    def _refresh(self) -> None:
        """Takes in what was recorded since the last traversal.

        Sequence numbers are given out before a transaction commits, so a smaller one may turn up later: numbers that
        were skipped are asked for again for a while.
        """
        index, now = self._index, time.monotonic()
        self._skipped = {number: since for number, since in self._skipped.items() if now - since < _LATE_SECONDS}
        with self._database.read() as connection:
            rows = connection.execute(_NEW_EDGES, {"sequence": index.sequence}).all()
            if self._skipped:
                rows = [*connection.execute(_LATE, {"sequences": list(self._skipped)}), *rows]
            late = index.tombstone_sequence - _LATE_TOMBSTONES
            tombstones = connection.execute(_NEW_TOMBSTONES, {"sequence": late}).all()
        for row in rows:
            for number in range(max(index.sequence + 1, row.sequence - _LATE_EDGES), row.sequence):
                self._skipped[number] = now
            self._skipped.pop(row.sequence, None)
            index.add(*row)
        for tombstone in tombstones:
            index.bury(tombstone.sequence, tombstone.asset, tombstone.version, tombstone.edge_sequence)


def _edge(row: sa.Row[tuple[object, ...]]) -> Edge:
    values = dict(row._mapping)
    del values["sequence"]
    return Edge(**values | {"in_columns": tuple(values["in_columns"])})
