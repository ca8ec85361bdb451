"""Three hops of lineage in a million edges, with the rights of a caller who sees half of the assets.

    python tests/bench/bench_lineage.py

The peer is a recursive query on SQLite, without rights. Each look for new edges is included.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import sqlalchemy as sa

ROOT = Path(__file__).parents[2]
EDGES, ASSETS, INPUTS, HOPS = 1_000_000, 20_000, 5, 3

_SQL = """
WITH RECURSIVE found(asset, version, depth) AS (
  VALUES(:asset, :version, 0)
  UNION
  SELECT e.{to}_asset, e.{to}_version, found.depth + 1 FROM found
  JOIN lineage_edge e ON e.{at}_asset = found.asset AND e.{at}_version = found.version WHERE found.depth < 3
) SELECT count(*) FROM (SELECT DISTINCT asset, version FROM found)
"""


def run() -> list[dict[str, Any]]:
    """The rows of the report."""
    sys.path.insert(0, str(ROOT))
    from core.db import Database
    from lakehouse.lineage import LINEAGE_EDGE, Lineage
    from migrations.tables import METADATA

    with tempfile.TemporaryDirectory(prefix="hw-bench-") as folder:
        database = Database(f"sqlite:///{folder}/metadata.db")
        METADATA.create_all(database.engine)
        with database.write() as connection:
            for start in range(0, EDGES, 50_000):
                connection.execute(LINEAGE_EDGE.insert(), _edges(start, start + 50_000))
            connection.exec_driver_sql("ANALYZE")
        lineage = Lineage(database)
        began = time.perf_counter()
        lineage.latest("bench.silver.a0")
        built = time.perf_counter() - began
        chance = random.Random(5)
        starts = [_node(chance.randrange(EDGES // INPUTS // 4, EDGES // INPUTS // 2) & ~1) for _ in range(50)]
        rows = [
            _row(database, direction, getattr(lineage, direction), starts, built)
            for direction in ("upstream", "downstream")
        ]
        database.close()
        return rows


def _row(
    database: Any, direction: str, walk: Callable[..., Any], starts: list[tuple[str, str]], built: float
) -> dict[str, Any]:
    ends = {"to": "in", "at": "out"} if direction == "upstream" else {"to": "out", "at": "in"}
    statement = sa.text(_SQL.format(**ends))
    own, peer, nodes = [], [], []
    for asset, version in starts:
        began = time.perf_counter()
        graph = walk(asset, version, depth=HOPS, visible=_is_visible)
        own.append((time.perf_counter() - began) * 1e3)
        began = time.perf_counter()
        with database.read() as connection:
            connection.execute(statement, {"asset": asset, "version": version}).scalar_one()
        peer.append((time.perf_counter() - began) * 1e3)
        everything = walk(asset, version, depth=HOPS, max_nodes=100_000)
        with database.read() as connection:
            found = connection.execute(statement, {"asset": asset, "version": version}).scalar_one()
        assert len(everything.nodes) == found, (len(everything.nodes), found)
        nodes.append(len(graph.nodes))
    return {
        "name": f"lineage {direction}, {HOPS} hops in {EDGES:,} edges",
        "peer": "recursive SQL on SQLite, without rights",
        "ours_ms": round(median(own), 2),
        "peer_ms": round(median(peer), 2),
        "ratio": round(median(peer) / median(own), 1),
        "goal": "< 50 ms",
        "note": f"{median(nodes):.0f} nodes, {max(own):.1f} ms at most; index built once in {built:.1f} s",
    }


def _node(number: int) -> tuple[str, str]:
    return f"bench.silver.a{number % ASSETS}", f"t{number % ASSETS}@{number // ASSETS}"


def _is_visible(asset: str) -> bool:
    return asset[-1] in "02468"


def _edges(start: int, end: int) -> list[dict[str, Any]]:
    chance, now, rows = random.Random(start), datetime.now(UTC), []
    for number in range(start // INPUTS, end // INPUTS):
        out = _node(number + 1)
        for source in {chance.randrange(max(0, number - 50_000), number + 1) for _ in range(INPUTS)}:
            asset, version = _node(source)
            row = {"out_asset": out[0], "out_version": out[1], "in_asset": asset, "in_version": version}
            facts = dict.fromkeys(("code_version", "git_sha", "env_digest", "engine", "params_digest", "principal"), "")
            rows.append(row | facts | {"run": f"r{number}", "step": "s", "in_columns": [], "at": now})
    return rows


if __name__ == "__main__":
    for line in run():
        print(line)
