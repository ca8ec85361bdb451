"""First Spark result from a cold start: embedded (Sail) against local Apache Spark, asked in the same way.

Each round starts from nothing: a fresh Python process, no server, one aggregation over a Delta table of 300,000 rows.
Apache Spark is measured twice: behind Spark Connect, as the platform runs it, and as plain PySpark in the asking
process.
The Delta jars are in the local cache before the first round, so no download is measured.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).parents[2]
ROUNDS = 3
GOAL = "at least 6 times faster"

QUERY = "SELECT origin, dest, count(*) AS n, avg(delay) AS delay FROM flights GROUP BY origin, dest"

CONNECT = """
import time
began = time.perf_counter()
from core.settings import load_settings
from resources.spark.server import endpoint, stop
from resources.spark.session import connect
settings = load_settings()
session = connect(endpoint(settings))
session.read.format("delta").load({table!r}).createOrReplaceTempView("flights")
rows = session.sql({query!r}).toArrow().num_rows
first = time.perf_counter() - began
began = time.perf_counter()
session.sql({query!r}).toArrow()
print(first, time.perf_counter() - began, rows)
session.stop()
stop(settings)
"""

CLASSIC = """
import time
began = time.perf_counter()
from pathlib import Path
from core.settings import load_settings
from resources.spark.conf import spark_conf
from resources.spark.jars import jars
from pyspark.sql import SparkSession
builder = SparkSession.builder.master("local[*]")
conf = spark_conf(load_settings(), "127.0.0.1", 0, Path({scratch!r}))
conf["spark.driver.extraClassPath"] = f"{{jars(load_settings())}}/*"
for key, value in conf.items():
    if not key.startswith("spark.connect."):
        builder = builder.config(key, value)
session = builder.getOrCreate()
session.read.format("delta").load({table!r}).createOrReplaceTempView("flights")
rows = session.sql({query!r}).toArrow().num_rows
first = time.perf_counter() - began
began = time.perf_counter()
session.sql({query!r}).toArrow()
print(first, time.perf_counter() - began, rows)
session.stop()
"""


def run() -> list[dict[str, Any]]:
    """Measures the engines in turn, `ROUNDS` times; the medians are compared."""
    times: dict[str, list[tuple[float, float]]] = {"embedded": [], "local": [], "classic": []}
    with tempfile.TemporaryDirectory() as folder:
        table = _table(Path(folder))
        _first_result("local", table, Path(folder) / "warm-up")
        for number in range(ROUNDS):
            for engine, found in times.items():
                found.append(_first_result(engine, table, Path(folder) / f"{engine}-{number}"))
    headwater = times["embedded"]
    return [
        _row("first result, behind Spark Connect", "local Apache Spark 4.2", headwater, times["local"], 0, GOAL),
        _row("first result, plain PySpark", "pyspark 4.2 in process", headwater, times["classic"], 0, GOAL),
        _row("second result, behind Spark Connect", "local Apache Spark 4.2", headwater, times["local"], 1, "none"),
    ]


def _row(
    name: str, peer: str, headwater: list[tuple[float, float]], theirs: list[tuple[float, float]], at: int, goal: str
) -> dict[str, Any]:
    measured, other = median(pair[at] for pair in headwater) * 1000, median(pair[at] for pair in theirs) * 1000
    return {
        "name": name,
        "peer": peer,
        "ours_ms": round(measured, 1),
        "peer_ms": round(other, 1),
        "ratio": round(other / measured, 2),
        "goal": goal,
        "note": f"median of {ROUNDS} cold starts each; imports and server start counted, download of jars not",
    }


def _table(folder: Path) -> str:
    import numpy as np
    import pyarrow as pa
    from deltalake import write_deltalake

    random = np.random.default_rng(0)
    rows = 300_000
    data = pa.table(
        {
            "origin": np.array(["EWR", "JFK", "LGA"])[random.integers(0, 3, rows)],
            "dest": np.array([f"D{number:02}" for number in range(100)])[random.integers(0, 100, rows)],
            "delay": random.normal(7, 40, rows),
        }
    )
    write_deltalake(folder / "flights", data)
    return str(folder / "flights")


def _first_result(engine: str, table: str, home: Path) -> tuple[float, float]:
    home.mkdir()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1] - 4
    environment = {
        **os.environ,
        "HEADWATER_HOME": str(home),
        "HEADWATER_PORT": str(port),
        "HEADWATER_SPARK": "local" if engine == "classic" else engine,
        "PYTHONPATH": str(ROOT),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "JAVA_HOME": _java_home(),
    }
    code = (CLASSIC if engine == "classic" else CONNECT).format(table=table, query=QUERY, scratch=str(home))
    finished = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False, timeout=600
    )
    if finished.returncode:
        raise RuntimeError(f"{engine}: {finished.stderr[-2000:]}")
    first, second, rows = finished.stdout.split()[-3:]
    assert int(rows) == 300
    return float(first), float(second)


def _java_home() -> str:
    from core.java import find_java

    return str(find_java(os.environ).executable.resolve().parent.parent)


def main() -> None:
    """Prints the rows."""
    for row in run():
        print(json.dumps(row))


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
