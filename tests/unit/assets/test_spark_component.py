"""What a Spark transform may declare, and what changes its code version."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assets.components import component
from assets.datasets.spark import SparkTransformComponent
from core.errors import InvalidPayload

SQL = {
    "asset": "flights.gold.days",
    "description": "Flights by day.",
    "inputs": ["flights.silver.flights"],
    "sql": "SELECT flight_date, count(*) AS flights FROM flights.silver.flights GROUP BY flight_date",
}


def made(**changes: Any) -> SparkTransformComponent:
    attributes = {name: value for name, value in {**SQL, **changes}.items() if value is not None}
    found = component("SparkTransformComponent", attributes)
    assert isinstance(found, SparkTransformComponent)
    return found


def spec(declared: SparkTransformComponent) -> dg.AssetSpec:
    (asset,) = dg.build_defs_for_component(declared).assets or ()
    assert isinstance(asset, dg.AssetsDefinition)
    (found,) = asset.specs
    return found


def test_inputs_are_the_upstream_assets() -> None:
    found = spec(made())
    assert [dep.asset_key.path for dep in found.deps] == [["flights", "silver", "flights"]]
    assert {"spark", "sql", "delta"} <= set(found.kinds)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"sql": None}, "exactly one of sql and function"),
        ({"function": "a:b"}, "exactly one of sql and function"),
        ({"sql": None, "function": "no function"}, "write module:function"),
        ({"mode": "merge"}, "a merge needs key columns"),
        ({"on": ["flight_date"]}, "only a merge has them"),
        ({"inputs": ["flights.gold.days"]}, "cannot be an input of itself"),
        ({"inputs": []}, "inputs"),
        ({"sql": "SELECT * FROM flights.silver.planes"}, "which is not an input"),
        ({"sql": "DROP TABLE flights"}, "one SELECT"),
        ({"mode": "sideways"}, "mode"),
    ],
)
def test_faults_are_named(changes: dict[str, Any], fault: str) -> None:
    with pytest.raises(InvalidPayload, match=fault):
        made(**changes)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [({"sql": None, "function": "os:system"}, "Publish SQL"), ({"sql": {"file": "x.sql"}}, "Publish the statement")],
)
def test_a_published_definition_names_neither_code_nor_files(changes: dict[str, Any], fault: str) -> None:
    with pytest.raises(InvalidPayload, match=fault):
        dg.build_defs_for_component(made(**changes))


def test_a_changed_statement_or_function_is_a_new_code_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert spec(made()).code_version == spec(made(description="Other words.")).code_version
    assert spec(made()).code_version != spec(made(sql=f"{SQL['sql']} ORDER BY 1")).code_version
    monkeypatch.syspath_prepend(str(tmp_path))
    versions = set()
    for text in ("def days(spark, inputs): ...", "def days(spark, inputs): return None"):
        (tmp_path / "day_functions.py").write_text(text)
        declared = made(sql=None, function="day_functions:days")
        declared._folder = tmp_path
        versions.add(spec(declared).code_version)
    assert len(versions) == 2


def test_a_statement_beside_the_yaml_is_looked_at_too(tmp_path: Path) -> None:
    declared = made(sql={"file": "days.sql"})
    declared._folder = tmp_path
    with pytest.raises(InvalidPayload, match="there is no file"):
        dg.build_defs_for_component(declared)
    (tmp_path / "days.sql").write_text("SELECT * FROM text.`/etc/passwd`")
    with pytest.raises(InvalidPayload, match="by path"):
        dg.build_defs_for_component(declared)
