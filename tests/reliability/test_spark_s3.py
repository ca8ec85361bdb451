"""Embedded Spark over tables on an S3-compatible store."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from core.settings import Settings, load_settings
from lakehouse.lineage import Lineage
from lakehouse.step import Step
from lakehouse.tables import Tables
from resources.spark import jars
from resources.spark.conf import spark_conf
from resources.spark.resource import Spark
from resources.spark.server import stop
from tests.databases import with_tables
from tests.ports import free_ports
from tests.s3_store import s3_store

pytestmark = pytest.mark.slow


@pytest.fixture
def settings(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    with s3_store("lake") as options:
        monkeypatch.setenv("HEADWATER_PORT", str(free_ports(5)))
        monkeypatch.setenv("HEADWATER_LAKEHOUSE_URL", "s3://lake/tables")
        monkeypatch.setenv("HEADWATER_STORAGE_OPTIONS", json.dumps(options))
        yield load_settings()
        stop(load_settings())


def test_sail_reads_and_writes_tables_on_s3(settings: Settings) -> None:
    database = with_tables(settings.effective_database_url)
    tables = Tables.from_settings(settings, database)
    rows = pa.table({"id": pa.array([1, 2, 3], pa.int64())})
    first = tables.append("s.in.a", rows)
    tables.append("s.in.a", rows)
    tables.create("s.out.a", rows.schema, properties={"delta.enableChangeDataFeed": "false"})
    spark = Spark()
    step = Step(
        tables, Lineage(database), asset="s.out.a", run="r", step="s", code_version="c", engine="e", principal="p"
    )
    frame = spark.read(step.read("s.in.a", version=first.version))
    commit = spark.write(step, frame.where("id > 1"), mode="append")
    assert commit.row_count == 2
    assert spark.change(step, "DELETE FROM {table} WHERE id = 2").operation == "DELETE"
    assert tables.snapshot("s.out.a").to_arrow().to_pydict() == {"id": [3]}
    spark.close()
    database.close()


def test_apache_spark_gets_the_same_options_under_its_own_names(settings: Settings, tmp_path: Path) -> None:
    conf = spark_conf(settings, "127.0.0.1", 1, tmp_path)
    assert conf["spark.hadoop.fs.s3a.access.key"] == "key"
    assert conf["spark.hadoop.fs.s3a.secret.key"] == "hidden"
    assert conf["spark.hadoop.fs.s3a.endpoint"].startswith("http://127.0.0.1:")
    assert conf["spark.hadoop.fs.s3a.path.style.access"] == "true"


@pytest.mark.parametrize(("url", "expected"), [("s3://lake/tables", True), ("/lake", False)])
def test_apache_spark_gets_the_client_of_s3_only_for_tables_on_s3(
    home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, url: str, expected: bool
) -> None:
    asked: list[str] = []

    def record(packages: list[str], _excluded: object) -> Path:
        asked.extend(packages)
        return tmp_path

    monkeypatch.setenv("HEADWATER_LAKEHOUSE_URL", url)
    monkeypatch.setattr(jars, "downloaded", record)
    assert jars.jars(load_settings()) == tmp_path
    assert ("org.apache.hadoop:hadoop-aws:3.5.0" in asked) == expected
    assert jars.DELTA_PACKAGE in asked
