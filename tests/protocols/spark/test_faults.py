"""Spark dies at the worst moment: nothing is lost, nothing is doubled, and the next use works."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable

import pyarrow as pa
import pytest

from core.errors import Unavailable
from lakehouse.lineage import Lineage
from lakehouse.step import Step
from lakehouse.tables import Tables
from resources.spark import Spark
from resources.spark_server import endpoint

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ROWS = pa.table({"id": pa.array([1, 2, 3], pa.int64())})
NEVER_ENDING = "SELECT count(*) AS n FROM range(1000000000) a CROSS JOIN range(1000) b WHERE (a.id * b.id) % 7 = 3"


def kill(spark: Spark) -> int:
    server = endpoint(spark.settings())
    os.kill(server.pid, signal.SIGKILL)
    while server.alive:
        time.sleep(0.01)
    return server.pid


def test_the_next_use_starts_spark_anew(spark: Spark) -> None:
    assert spark.arrow(spark.sql("SELECT 1 AS a")).to_pylist() == [{"a": 1}]
    killed = kill(spark)
    assert spark.arrow(spark.sql("SELECT 2 AS a")).to_pylist() == [{"a": 2}]
    assert endpoint(spark.settings()).pid != killed


def test_a_statement_under_way_fails_with_a_clear_error(spark: Spark) -> None:
    frame = spark.sql(NEVER_ENDING)
    threading.Timer(2.0, kill, [spark]).start()
    started = time.monotonic()
    with pytest.raises(Unavailable, match=r"Spark went away while computing .* Run the step again"):
        spark.arrow(frame)
    assert time.monotonic() - started < 60


def test_a_write_that_died_before_its_commit_leaves_the_table_as_it_was(
    spark: Spark, tables: Tables, step_of: Callable[[str], Step]
) -> None:
    tables.create("t.out.killed", ROWS.schema, properties={"delta.enableChangeDataFeed": "false"})
    before = tables.append("t.out.killed", ROWS)
    frame = spark.sql(NEVER_ENDING.replace("count(*) AS n", "count(*) AS id"))
    killer = threading.Timer(2.0, kill, [spark])
    killer.start()
    with pytest.raises(Unavailable):
        spark.write(step_of("t.out.killed"), frame, mode="append")
    killer.join()  # a big process takes a moment to die, and would be taken for the one to use
    assert tables.snapshot("t.out.killed").version == before.version
    again = spark.write(step_of("t.out.killed"), spark.sql("SELECT 4L AS id"), mode="append")
    assert again.row_count == 4


def test_a_write_that_died_after_its_commit_counts_once(
    spark: Spark,
    tables: Tables,
    lineage: Lineage,
    step_of: Callable[[str], Step],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from resources.spark_writes import FrameWrite

    tables.create("t.out.late", ROWS.schema, properties={"delta.enableChangeDataFeed": "false"})
    save = FrameWrite.save

    def save_and_die(self: FrameWrite, path: str, metadata: str, *, new: bool) -> None:
        save(self, path, metadata, new=new)
        kill(spark)
        self.frame.collect()  # fails as the lost answer would

    monkeypatch.setattr(FrameWrite, "save", save_and_die)
    commit = spark.write(step_of("t.out.late"), spark.sql("SELECT 7L AS id"), mode="append")
    assert commit.row_count == 1
    assert lineage.provenance("t.out.late", commit.data_version)
    assert tables.snapshot("t.out.late").version == commit.version


def test_a_killed_server_leaves_no_scratch_files(spark: Spark) -> None:
    spark.session()
    scratch = spark.settings().run_dir / "spark"
    before = set(scratch.glob("blockmgr-*"))
    kill(spark)
    spark.session()
    assert not before & set(scratch.glob("blockmgr-*"))
