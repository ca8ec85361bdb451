"""The training set as an asset: what was known then, from named versions, in splits that stay."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pyarrow as pa
import pytest

from assets.features.training_set import LEAKAGE, TrainingSetComponent
from core.db import METADATA, Database
from core.ids import asset_key
from core.settings import load_settings
from lakehouse.lineage import Lineage
from lakehouse.tables import Tables
from resources.delta import Delta

SET, SPINE, VIEW = "shop.training.churn", "shop.silver.orders", "shop.features.customers"
START = datetime(2026, 3, 1, tzinfo=UTC)


def instants(hours: list[int]) -> pa.Array:
    return pa.array([START + timedelta(hours=hour) for hour in hours], pa.timestamp("us", "UTC"))


def orders(count: int = 200) -> pa.Table:
    numbers = list(range(count))
    return pa.table(
        {
            "buyer": pa.array([number % 50 for number in numbers], pa.int64()),
            "ordered_at": instants(numbers),
            "known_at": instants([number + 24 for number in numbers]),
            "returned": [number % 3 == 0 for number in numbers],
        }
    )


def customers(factor: int = 1) -> pa.Table:
    """Of each customer a row every tenth hour, whose value is its hour."""
    hours = [hour for hour in range(0, 300, 10) for _ in range(50)]
    return pa.table(
        {
            "customer_id": pa.array([number % 50 for number in range(len(hours))], pa.int64()),
            "predicted_at": instants(hours),
            "hour": pa.array([hour * factor for hour in hours], pa.int64()),
        }
    )


@pytest.fixture
def tables(home: Path) -> Tables:
    settings = load_settings()
    database = Database(settings.effective_database_url)
    METADATA.create_all(database.engine)
    tables = Tables.from_settings(settings, database)
    tables.overwrite(SPINE, orders())
    tables.overwrite(VIEW, customers())
    return tables


def component(**changes: Any) -> TrainingSetComponent:
    declared = {
        "asset": SET,
        "description": "d",
        "spine": {
            "table": SPINE,
            "timestamp": "ordered_at",
            "labels": ["returned"],
            "label_timestamp": "known_at",
        },
        "views": [{"name": "customer", "table": VIEW, "keys": {"customer_id": "buyer"}, "features": ["hour"]}],
        "split": {"seed": 7, "shares": {"train": 0.8, "test": 0.2}},
    }
    return TrainingSetComponent.model_validate(declared | changes)


def run(declared: TrainingSetComponent) -> Any:
    definitions = dg.Definitions.merge(
        dg.build_defs_for_component(declared),
        dg.Definitions(
            resources={"delta": Delta()},
            jobs=[dg.define_asset_job("build", dg.AssetSelection.assets(dg.AssetKey(asset_key(SET))))],
            executor=dg.in_process_executor,
        ),
    )
    with dg.DagsterInstance.ephemeral() as instance:
        job = definitions.resolve_job_def("build")
        return job.execute_in_process(instance=instance, raise_on_error=False)


def leakage(result: Any) -> dg.AssetCheckEvaluation:
    return next(one for one in result.get_asset_check_evaluations() if one.check_name == LEAKAGE)


def test_each_example_has_what_was_known_then(tables: Tables) -> None:
    result = run(component())
    assert result.success
    assert leakage(result).passed
    examples = pl.DataFrame(tables.snapshot(SET).to_arrow())
    assert examples.height == 200
    expected = (examples["ordered_at"] - START).dt.total_hours() // 10 * 10
    assert examples["customer__hour"].to_list() == expected.to_list()
    assert examples["customer__status"].unique().to_list() == ["PRESENT"]
    by_buyer = examples.group_by("buyer").agg(pl.col("split").n_unique())
    assert by_buyer["split"].max() == 1
    assert 0.6 < (examples["split"] == "train").mean() < 0.95  # type: ignore[operator]


def test_the_lineage_names_every_pin(tables: Tables) -> None:
    tables.overwrite(VIEW, customers(2))
    first = tables.snapshot(VIEW, version=0).data_version
    views = component().model_dump()["views"]
    result = run(component(views=[views[0] | {"version": 0}]))
    assert result.success
    edges = Lineage(Database(load_settings().effective_database_url)).provenance(SET, tables.snapshot(SET).data_version)
    assert {(edge.in_asset, edge.in_version) for edge in edges} == {
        (SPINE, tables.snapshot(SPINE).data_version),
        (VIEW, first),
    }
    hours = pl.DataFrame(tables.snapshot(SET).to_arrow())["customer__hour"]
    assert hours.max() == 190


def test_a_split_stays_when_examples_are_added(tables: Tables) -> None:
    assert run(component()).success
    before = pl.DataFrame(tables.snapshot(SET).to_arrow()).select("buyer", "split").unique()
    tables.overwrite(SPINE, orders(280))
    assert run(component()).success
    after = pl.DataFrame(tables.snapshot(SET).to_arrow()).select("buyer", "split").unique()
    assert before.sort("buyer").equals(after.sort("buyer"))
    assert run(component(split={"seed": 8, "shares": {"train": 0.8, "test": 0.2}})).success
    other = pl.DataFrame(tables.snapshot(SET).to_arrow()).select("buyer", "split").unique()
    assert not before.sort("buyer").equals(other.sort("buyer"))


def test_the_same_inputs_keep_the_version(tables: Tables) -> None:
    assert run(component()).success
    version = tables.snapshot(SET).data_version
    assert run(component()).success
    assert tables.snapshot(SET).data_version == version


@pytest.mark.parametrize("rule", ["feature_equals_label", "example_after_label", "entity_in_two_splits"])
def test_a_leak_blocks(tables: Tables, rule: str) -> None:
    changes: dict[str, Any] = {}
    if rule == "feature_equals_label":
        # The table says at once what becomes known a day later.
        known = orders().select(["buyer", "ordered_at", "returned"])
        known = known.rename_columns(["customer_id", "predicted_at", "r"])
        tables.overwrite("shop.features.returns", known)
        view = {"name": "leak", "table": "shop.features.returns", "keys": {"customer_id": "buyer"}, "features": ["r"]}
        changes["views"] = [view]
    elif rule == "example_after_label":
        spine = component().model_dump()["spine"]
        changes["spine"] = spine | {"timestamp": "known_at", "label_timestamp": "ordered_at"}
    else:
        changes["split"] = {"by": ["ordered_at"]}
    found = leakage(run(component(**changes)))
    assert not found.passed
    assert found.blocking
    assert rule in str(found.metadata["leaks"].value)
