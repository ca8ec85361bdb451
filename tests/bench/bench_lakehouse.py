"""`Tables` against raw delta-rs: small appends, five million rows, opening; lineage against a recursive SQL query.

Both sides work in turn in one process, on data of the same shape, each on its own tables.
"""

from __future__ import annotations

import random
import shutil
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import sqlalchemy as sa
from deltalake import DeltaTable, write_deltalake

from core.db import METADATA, Database
from lakehouse.lineage import Edge, Lineage
from lakehouse.tables import Tables

BIG_ROWS, BIG_ROUNDS, READS = 5_000_000, 6, 4
APPENDS, APPEND_ROWS = 150, 1000
TABLE = "bench.silver.rows"


class Pair:
    """Times of ours and of the peer, taken in turn; wall and CPU of this process with all its threads."""

    def __init__(self) -> None:
        self.headwater: list[tuple[float, float]] = []
        self.peer: list[tuple[float, float]] = []

    def round(self, headwater: Callable[[], object], peer: Callable[[], object]) -> None:
        """One round; who goes first changes from round to round."""
        if len(self.headwater) % 2:
            self.peer.append(_timed(peer))
            self.headwater.append(_timed(headwater))
        else:
            self.headwater.append(_timed(headwater))
            self.peer.append(_timed(peer))

    def row(self, name: str, peer: str, goal: str, note: str, *, faster: bool) -> dict[str, Any]:
        """`faster`: the ratio is how many times faster ours is; otherwise ours over the peer."""
        wall = [(p[0] / o[0]) if faster else (o[0] / p[0]) for o, p in zip(self.headwater, self.peer, strict=True)]
        cpu_ours, cpu_peer = sum(o[1] for o in self.headwater), sum(p[1] for p in self.peer)
        cpu = (cpu_peer / cpu_ours if faster else cpu_ours / cpu_peer) if cpu_ours and cpu_peer else 0.0
        return {
            "name": name,
            "peer": peer,
            "ours_ms": round(median(o[0] for o in self.headwater) * 1000, 3),
            "peer_ms": round(median(p[0] for p in self.peer) * 1000, 3),
            "ratio": round(median(wall), 2),
            "goal": goal,
            "note": f"{note}; ratio of CPU time {cpu:.2f}",
        }


def _timed(function: Callable[[], object]) -> tuple[float, float]:
    cpu, wall = time.process_time(), time.perf_counter()
    function()
    return time.perf_counter() - wall, time.process_time() - cpu


def _rows(count: int, seed: int) -> pa.Table:
    chance = np.random.default_rng(seed)
    kinds = np.array(["EWR", "JFK", "LGA", "BOS", "ORD", "LAX"])
    return pa.table(
        {
            "id": np.arange(count, dtype=np.int64),
            "value": chance.random(count),
            "at": pa.array(chance.integers(0, 2**50, count), pa.timestamp("us", tz="UTC")),
            "count": chance.integers(0, 1000, count),
            "kind": kinds[chance.integers(0, len(kinds), count)],
        }
    )


def _small_appends(tables: Tables, folder: Path) -> list[dict[str, Any]]:
    rows, raw, pairs = _rows(APPEND_ROWS, 1), str(folder / "raw_small"), (Pair(), Pair())
    tables.append(TABLE, rows)
    write_deltalake(raw, rows)
    for number in range(APPENDS):
        pairs[number >= APPENDS // 3].round(
            lambda: tables.append(TABLE, rows), lambda: write_deltalake(raw, rows, mode="append")
        )
    # Appended to the last: the interesting state of a table is not its first minutes.
    assert tables.snapshot(TABLE).row_count == DeltaTable(raw).count() == (APPENDS + 1) * APPEND_ROWS
    first, later = pairs
    peer, shape = "write_deltalake(path, mode='append')", f"{APPEND_ROWS} rows per append, digest and checks included"
    return [
        later.row(f"small append to a table of {APPENDS // 3}+ commits", peer, ">= 2", shape, faster=True),
        first.row(
            f"small append to a table of less than {APPENDS // 3} commits",
            peer,
            ">= 2",
            f"{shape}; the peer's cost grows with the log, ours does not",
            faster=True,
        ),
    ]


def _big(tables: Tables, folder: Path) -> list[dict[str, Any]]:
    rows, raw = _rows(BIG_ROWS, 2), str(folder / "raw_big")
    name, pairs = "bench.silver.big", {key: Pair() for key in ("write", "arrow", "polars", "both")}
    for number in range(BIG_ROUNDS + 1):
        shutil.rmtree(raw, ignore_errors=True)
        shutil.rmtree(tables.uri(name), ignore_errors=True)
        tables.adopt(name)
        recorded = pairs if number else {key: Pair() for key in pairs}  # the first round warms caches up
        recorded["write"].round(
            lambda: tables.overwrite(name, rows), lambda: write_deltalake(raw, rows, mode="overwrite")
        )
        for _ in range(READS):
            recorded["arrow"].round(
                lambda: tables.snapshot(name).to_arrow(), lambda: DeltaTable(raw).to_pyarrow_table()
            )
            recorded["polars"].round(lambda: tables.snapshot(name).scan().collect(), lambda: pl.read_delta(raw))
    for side in ("ours", "peer"):  # one write and one read of the same round
        writes, reads = getattr(pairs["write"], side), getattr(pairs["arrow"], side)[::READS]
        setattr(pairs["both"], side, [_sum(w, r) for w, r in zip(writes, reads, strict=True)])
    shape = f"{BIG_ROWS // 1_000_000}M rows, {rows.nbytes // 1_000_000} MB"
    return [
        pairs["both"].row("write and read", "write_deltalake + to_pyarrow_table", "<= 1.15", shape, faster=False),
        pairs["write"].row("write", "write_deltalake", "<= 1.15", shape, faster=False),
        pairs["arrow"].row("read as Arrow", "DeltaTable(path).to_pyarrow_table()", "<= 1.15", shape, faster=False),
        pairs["polars"].row("read as Polars", "polars.read_delta", "<= 1.15", shape, faster=False),
    ]


def _sum(one: tuple[float, float], other: tuple[float, float]) -> tuple[float, float]:
    return one[0] + other[0], one[1] + other[1]


def _opening(tables: Tables, folder: Path) -> dict[str, Any]:
    pair, raw = Pair(), str(folder / "raw_small")
    for _ in range(30):
        pair.round(lambda: tables.snapshot(TABLE).schema, lambda: DeltaTable(raw).schema())
    note = f"{APPENDS + 1} commits; ours looks for newer commits and compares the newest digest"
    return pair.row("resolve the newest version", "DeltaTable(path)", "-", note, faster=True)


_CHAIN = """
WITH RECURSIVE up(asset, version, depth) AS (
  VALUES(:asset, :version, 0)
  UNION
  SELECT e.in_asset, e.in_version, up.depth + 1 FROM up
  JOIN lineage_edge e ON e.out_asset = up.asset AND e.out_version = up.version WHERE up.depth < 20
) SELECT count(*) FROM (SELECT DISTINCT asset, version FROM up)
"""


def _edge(out: tuple[str, str], source: tuple[str, str]) -> Edge:
    return Edge(
        run="run", step="step", out_asset=out[0], out_version=out[1], in_asset=source[0], in_version=source[1],
        in_columns=(), code_version="", git_sha="", env_digest="", engine="", params_digest="", principal="",
        at=datetime.now(UTC),
    )  # fmt: skip


def _lineage(database: Database) -> list[dict[str, Any]]:
    lineage, chance = Lineage(database), random.Random(3)

    def node(number: int) -> tuple[str, str]:
        return f"bench.silver.a{number % 5000}", f"t{number % 5000}@{number // 5000}"

    edges = [_edge(node(i), node(chance.randrange(max(0, i - 20_000), i))) for i in range(1, 50_001) for _ in range(2)]
    chain = [_edge((f"bench.gold.c{i}", f"c{i}@0"), (f"bench.gold.c{i + 1}", f"c{i + 1}@0")) for i in range(10)]
    with database.write() as connection:
        for start in range(0, len(edges), 5000):
            Lineage.record_in(connection, edges[start : start + 5000])
        Lineage.record_in(connection, chain)
    started = time.perf_counter()
    lineage.upstream("bench.gold.c0")
    built = time.perf_counter() - started

    def by_sql(asset: str, version: str) -> int:
        with database.read() as connection:
            return int(connection.execute(sa.text(_CHAIN), {"asset": asset, "version": version}).scalar_one())

    rows = []
    for name, asset, version in (("chain of 10", "bench.gold.c0", "c0@0"), ("all ancestors", *node(50_000))):
        pair = Pair()
        found = len(lineage.upstream(asset, version, max_nodes=100_000).nodes)
        assert found == by_sql(asset, version)
        for _ in range(200 if found < 100 else 10):
            pair.round(
                lambda: lineage.upstream(asset, version, max_nodes=100_000),  # noqa: B023
                lambda: by_sql(asset, version),  # noqa: B023
            )
        goal = "< 1 ms" if found < 100 else "-"
        note = f"{found} nodes of 100,000 edges, the look for new edges included; index built once in {built:.2f} s"
        rows.append(pair.row(f"lineage, {name}", "recursive SQL on SQLite", goal, note, faster=True))
    return rows


def run() -> list[dict[str, Any]]:
    """All rows."""
    folder = Path(tempfile.mkdtemp(prefix="headwater-bench-"))
    database = Database(f"sqlite:///{folder / 'metadata.db'}")
    METADATA.create_all(database.engine)
    try:
        tables = Tables(str(folder / "lakehouse"), database)
        rows = [*_small_appends(tables, folder), _opening(tables, folder)]
        return [*_big(tables, folder), *rows, *_lineage(database)]
    finally:
        database.close()
        shutil.rmtree(folder)


def main() -> None:
    """Prints the rows."""
    for row in run():
        print(
            f"{row['name']}: ours {row['ours_ms']} ms, {row['peer']} {row['peer_ms']} ms, "
            f"ratio {row['ratio']} (goal {row['goal']}; {row['note']})"
        )


if __name__ == "__main__":
    main()
