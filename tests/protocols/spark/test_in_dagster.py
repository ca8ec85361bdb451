"""Spark in assets: the transform component, the resource, and dagster-pyspark's resource."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest
import yaml
from dagster_pyspark import PySparkResource
from pyspark.sql import SparkSession

from assets.components import component
from core.settings import Settings
from lakehouse.lineage import Lineage
from lakehouse.tables import Tables
from resources.delta import Delta
from resources.spark.pyspark_resource import pyspark_resource
from resources.spark.resource import Spark
from resources.spark.server import endpoint

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[3]
DELAYS = pa.table(
    {
        "origin": ["EWR", "EWR", "EWR", "JFK"],
        "dest": ["BOS", "BOS", "BOS", "SJU"],
        "arr_delay": pa.array([10, 20, None, 5], pa.int32()),
        "air_time": pa.array([40, 50, None, 200], pa.int32()),
        "distance": pa.array([200, 200, 200, 1598], pa.int32()),
        "cancelled": [False, False, True, False],
    }
)
AIRPORTS = pa.table({"faa": ["BOS"], "name": ["Logan"]})


def run(definitions: dg.Definitions, **resources: Any) -> dg.ExecuteInProcessResult:
    everything = dg.define_asset_job("everything", executor_def=dg.in_process_executor)
    merged = dg.Definitions.merge(definitions, dg.Definitions(jobs=[everything], resources=resources))
    with dg.DagsterInstance.ephemeral() as instance:
        return merged.resolve_job_def("everything").execute_in_process(instance=instance)


def the_transform() -> dict[str, Any]:
    folder = ROOT / "dagster_project" / "defs" / "gold_spark"
    attributes: dict[str, Any] = yaml.safe_load((folder / "defs.yaml").read_text())["attributes"]
    return attributes | {"sql": (folder / attributes["sql"]["file"]).read_text()}


def test_the_sample_product_is_computed_with_lineage(settings: Settings, tables: Tables, lineage: Lineage) -> None:
    flights = tables.overwrite("flights.silver.flights", DELAYS)
    tables.overwrite("flights.silver.airports", AIRPORTS)
    definitions = dg.build_defs_for_component(component("SparkTransformComponent", the_transform()))
    result = run(definitions, delta=Delta(), spark=Spark())

    snapshot = tables.snapshot("flights.gold.route_delays")
    rows = snapshot.scan().collect().sort("origin").to_dicts()
    assert [(row["origin"], row["dest"], row["dest_name"], row["flights"], row["cancelled"]) for row in rows] == [
        ("EWR", "BOS", "Logan", 3, 1),
        ("JFK", "SJU", None, 1, 0),
    ]
    assert rows[0]["late_share"] == pytest.approx(0.5)
    assert (rows[0]["mean_arr_delay"], rows[0]["median_arr_delay"], rows[0]["p90_arr_delay"]) == (15.0, 15.0, 19.0)
    assert (rows[0]["cancelled_share"], rows[0]["mean_air_time"]) == (pytest.approx(1 / 3), 45.0)
    assert snapshot.schema.field("dest").metadata == {b"comment": b"FAA code of the destination."}

    (event,) = result.get_asset_materialization_events()
    metadata = event.materialization.metadata
    engine = {"embedded": "sail 0.7.2", "local": "spark 4.2.0"}[settings.spark]
    assert metadata["engine"].value == engine
    assert metadata["input/flights.silver.flights"].value == flights.version
    columns = metadata["dagster/column_lineage"].value.deps_by_column
    assert [dep.column_name for dep in columns["late_share"]] == ["arr_delay"]
    edges = {edge.in_asset: edge for edge in lineage.provenance("flights.gold.route_delays", snapshot.data_version)}
    assert edges["flights.silver.flights"].in_version == flights.data_version
    assert edges["flights.silver.airports"].engine == engine
    checks = {check.check_name: check.passed for check in result.get_asset_check_evaluations()}
    assert checks["unique_origin_dest"]
    assert not checks["references_dest"]


def test_a_function_is_merged_by_key(tables: Tables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tables.overwrite("flights.silver.flights", DELAYS)
    tables.create("flights.gold.longest", pa.schema([("dest", pa.string()), ("shout", pa.string())]))
    tables.append("flights.gold.longest", pa.table({"dest": ["BOS", "ANC"], "shout": ["old", "old"]}))
    (tmp_path / "shouting.py").write_text(
        "from pyspark.sql.functions import udf\n"
        "def _loud(text):\n"
        "    return text.upper() + MARK\n"
        "MARK = '!'\n"
        "def shout(spark, inputs):\n"
        "    rows = inputs['flights.silver.flights'].select('dest').distinct()\n"
        "    return rows.select('dest', udf(_loud, 'string')('dest').alias('shout'))\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    attributes = {
        "asset": "flights.gold.longest",
        "description": "Destinations, loudly.",
        "inputs": ["flights.silver.flights"],
        "function": "shouting:shout",
        "mode": "merge",
        "on": ["dest"],
    }
    transform = component("SparkTransformComponent", attributes)
    transform._folder = tmp_path
    run(dg.build_defs_for_component(transform), delta=Delta(), spark=Spark())
    rows = tables.snapshot("flights.gold.longest").scan().collect().sort("dest")
    assert rows.rows() == [("ANC", "old"), ("BOS", "BOS!"), ("SJU", "SJU!")]


def test_dagster_pyspark_works_with_the_same_endpoint(settings: Settings, tables: Tables) -> None:
    path = tables.uri("flights.silver.flights")
    tables.overwrite("flights.silver.flights", DELAYS)

    @dg.asset
    def counted(pyspark: PySparkResource) -> dg.MaterializeResult[Any]:
        rows = pyspark.spark_session.read.format("delta").load(path)
        return dg.MaterializeResult(metadata={"rows": rows.count()})

    plain = PySparkResource(spark_config={"spark.remote": endpoint(settings).url})
    for resource in (pyspark_resource(settings), plain):
        result = run(dg.Definitions(assets=[counted]), pyspark=resource)
        (event,) = result.get_asset_materialization_events()
        assert event.materialization.metadata["rows"].value == DELAYS.num_rows
    # dagster-pyspark doesn't close its session, so functions of later sessions would use it as the default.
    SparkSession.active().stop()


def test_the_session_ends_with_the_run(settings: Settings) -> None:
    seen = []

    @dg.asset
    def looks(spark: Spark) -> None:
        seen.append(spark)
        assert spark.arrow(spark.sql("SELECT 1 AS a")).to_pylist() == [{"a": 1}]

    run(dg.Definitions(assets=[looks]), spark=Spark())
    assert seen[0]._session is None
