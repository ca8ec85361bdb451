"""Spark dies at critical moments: no data is lost or duplicated, and the next use works."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psutil
import pyarrow as pa
import pytest

from core.errors import Unavailable
from lakehouse.lineage import Lineage
from lakehouse.step import Step
from lakehouse.tables import Tables
from resources.spark.resource import Spark
from resources.spark.server import endpoint

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ROWS = pa.table({"id": pa.array([1, 2, 3], pa.int64())})
NEVER_ENDING = "SELECT count(*) AS n FROM range(1000000000) a CROSS JOIN range(1000) b WHERE (a.id * b.id) % 7 = 3"


def kill(spark: Spark) -> int:
    server = endpoint(spark.settings())
    os.kill(server.pid, signal.SIGKILL)
    while server.alive:
        time.sleep(0.01)
    return server.pid


def kill_while_it_computes(spark: Spark) -> threading.Thread:
    """Kills the server in a thread, once it has spent some CPU time since this call."""
    server = psutil.Process(endpoint(spark.settings()).pid)

    def used() -> float:
        times = server.cpu_times()
        return float(times.user + times.system)

    before = used()

    def wait_and_kill() -> None:
        while used() < before + 3:
            time.sleep(0.05)
        kill(spark)

    killer = threading.Thread(target=wait_and_kill)
    killer.start()
    return killer


def test_the_next_use_starts_spark_again_without_the_scratch_files_of_the_killed_server(spark: Spark) -> None:
    assert spark.arrow(spark.sql("SELECT 1 AS a")).to_pylist() == [{"a": 1}]
    scratch = spark.settings().run_dir / "spark"
    before = set(scratch.glob("blockmgr-*"))
    assert bool(before) == (spark.settings().spark == "local")
    killed = kill(spark)
    assert spark.arrow(spark.sql("SELECT 2 AS a")).to_pylist() == [{"a": 2}]
    assert endpoint(spark.settings()).pid != killed
    assert not before & set(scratch.glob("blockmgr-*"))


def test_what_runs_fails_with_a_clear_error_and_a_write_before_its_commit_changes_nothing(
    spark: Spark, tables: Tables, step_of: Callable[[str], Step]
) -> None:
    tables.create("t.out.killed", ROWS.schema, properties={"delta.enableChangeDataFeed": "false"})
    before = tables.append("t.out.killed", ROWS)
    frame = spark.sql(NEVER_ENDING.replace("count(*) AS n", "count(*) AS id"))
    other = Spark()
    statement = other.sql(NEVER_ENDING)
    killer = kill_while_it_computes(spark)
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(other.arrow, statement)
        with pytest.raises(Unavailable):
            spark.write(step_of("t.out.killed"), frame, mode="append")
        with pytest.raises(
            Unavailable, match=r"The connection to Spark was lost while computing .* Run the step again"
        ):
            reading.result()
    killer.join()  # a large process needs a moment to exit, and would be used again meanwhile
    other.close()
    assert tables.snapshot("t.out.killed").version == before.version
    again = spark.write(step_of("t.out.killed"), spark.sql("SELECT 4L AS id"), mode="append")
    assert again.row_count == 4


def test_a_write_that_fails_after_its_commit_is_recorded_once(
    spark: Spark,
    tables: Tables,
    lineage: Lineage,
    step_of: Callable[[str], Step],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from resources.spark.writes import FrameWrite

    tables.create("t.out.late", ROWS.schema, properties={"delta.enableChangeDataFeed": "false"})
    save = FrameWrite.save

    def save_and_die(self: FrameWrite, path: str, metadata: str, *, new: bool) -> None:
        save(self, path, metadata, new=new)
        kill(spark)
        self.frame.collect()  # fails as if the response was lost

    monkeypatch.setattr(FrameWrite, "save", save_and_die)
    commit = spark.write(step_of("t.out.late"), spark.sql("SELECT 7L AS id"), mode="append")
    assert commit.row_count == 1
    assert lineage.provenance("t.out.late", commit.data_version)
    assert tables.snapshot("t.out.late").version == commit.version
