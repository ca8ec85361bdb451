"""A training as an asset: real features in; a table version with verdicts, pictures and lineage out, that predicts."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from pydantic import ValidationError

from assets.features.component import FeatureViewComponent
from assets.features.point_in_time import build
from assets.models.checks import BEATS_BASE_RATE, EXPORT_IS_EXACT, MEETS_REQUIREMENTS
from assets.models.component import ModelTrainingComponent
from core.db import Database
from core.ids import asset_key
from core.settings import load_settings
from lakehouse.lineage import Lineage
from lakehouse.tables import Tables
from resources.contracts import CONTRACT_CHECK
from resources.delta import Delta
from serving.predictor import Predictor
from serving.registry import find
from tests import sample
from tests.databases import with_tables

FEATURES = "flights.features.departures"
MODEL = "flights.models.arrival_delay"
KEY = dg.AssetKey(asset_key(MODEL))
DAY = "date_part('day', predicted_at)"


@cache
def july() -> pl.DataFrame:
    """The features of three weeks of July."""
    since, until = datetime(2013, 7, 1, tzinfo=UTC), datetime(2013, 7, 22, tzinfo=UTC)
    view = FeatureViewComponent.model_validate(sample.attributes("features"))
    flights = sample.flights().filter(pl.col("scheduled_departure_at").is_between(since, until))
    weather = sample.weather().filter(pl.col("observed_at").is_between(since, until))
    return build(view, {"flights": flights, "weather": weather})


@pytest.fixture
def tables(home: Path) -> Tables:
    settings = load_settings()
    database = with_tables(settings.effective_database_url)
    tables = Tables.from_settings(settings, database)
    tables.overwrite(FEATURES, july())
    return tables


def component(**changes: Any) -> ModelTrainingComponent:
    small = {
        "train": f"{DAY} <= 14",
        "tune": f"{DAY} IN (12, 13, 14)",
        "test": f"{DAY} > 14",
        "requirements": {"min_auc": 0.6},
        "parameters": {"max_iter": 25, "max_leaf_nodes": 8, "min_samples_leaf": 100, "learning_rate": 0.15},
    }
    return ModelTrainingComponent.model_validate(sample.attributes("models") | small | changes)


def run(declared: ModelTrainingComponent, *extra: dg.AssetsDefinition) -> Any:
    job = dg.define_asset_job("everything", "*")
    defs = dg.Definitions.merge(
        dg.build_defs_for_component(declared),
        dg.Definitions(assets=list(extra), jobs=[job], resources={"delta": Delta()}, executor=dg.in_process_executor),
    )
    with dg.DagsterInstance.ephemeral() as instance:
        return defs.resolve_job_def("everything").execute_in_process(instance=instance, raise_on_error=False)


def lineage() -> Lineage:
    return Lineage(Database(load_settings().effective_database_url))


def failure(result: Any) -> str:
    return "".join(str(event.event_specific_data.error) for event in result.all_events if event.is_step_failure)


class TestTraining:
    def test_a_run_appends_a_judged_model(self, tables: Tables) -> None:
        result = run(component())
        assert result.success
        record, snapshot = find(tables, MODEL), tables.snapshot(MODEL)
        assert (record.version, snapshot.row_count, record.accepted) == (snapshot.version, 1, True)
        assert record.metrics["auc"] > record.baseline["auc"]
        assert record.metrics["rows"] == july().filter(pl.sql_expr(f"{DAY} > 14"), pl.col("late").is_not_null()).height
        assert record.parameters["parameters"]["max_leaf_nodes"] == 8
        assert set(record.parameters["libraries"]) >= {"scikit-learn", "skl2onnx", "onnxruntime"}
        checks = {evaluation.check_name: evaluation for evaluation in result.get_asset_check_evaluations()}
        assert set(checks) == {BEATS_BASE_RATE, MEETS_REQUIREMENTS, EXPORT_IS_EXACT, CONTRACT_CHECK}
        assert all(check.passed and check.blocking for check in checks.values())
        assert checks[EXPORT_IS_EXACT].metadata["largest_difference"].value <= 1e-5

    def test_the_materialization_shows_figures_and_pictures(self, tables: Tables) -> None:
        declared = component()
        (materialization,) = run(declared).asset_materializations_for_node(declared.op_name)
        assert materialization.tags["dagster/data_version"] == tables.snapshot(MODEL).data_version
        metadata = materialization.metadata
        for name in ("calibration_plot", "roc_plot", "importance_plot"):
            assert metadata[name].value.startswith("![")
        assert sum(len(str(entry.value)) for entry in metadata.values()) < 150_000  # each run keeps it for ever
        assert metadata["model/digest"].value == find(tables, MODEL).digest
        assert len(metadata["importances"].value) == 47

    def test_lineage_is_exact(self, tables: Tables) -> None:
        assert run(component()).success
        record = find(tables, MODEL)
        (edge,) = Lineage(Database(load_settings().effective_database_url)).provenance(MODEL, record.data_version)
        assert (edge.in_asset, edge.in_version) == (FEATURES, tables.snapshot(FEATURES).data_version)
        assert edge.in_version == record.features_version
        assert {"late", "carrier", "departure_hour", "origin_waiting"} <= set(edge.in_columns)
        assert "dest" not in edge.in_columns
        assert edge.code_version == component().code_version()

    def test_the_same_training_keeps_the_version_and_another_one_makes_one(self, tables: Tables) -> None:
        assert run(component()).success
        first = find(tables, MODEL)
        assert run(component()).success
        again = find(tables, MODEL)
        assert (again.version, again.model_id) == (first.version, first.model_id)
        runs = {edge.run for edge in lineage().provenance(MODEL, tables.snapshot(MODEL).data_version)}
        assert len(runs) == 2
        assert run(component(seed=7)).success
        other = find(tables, MODEL)
        assert other.version == first.version + 1
        assert other.model_id != first.model_id
        assert find(tables, MODEL, first.version).model_id == first.model_id

    def test_a_model_that_falls_short_blocks_and_is_not_served(self, tables: Tables) -> None:
        assert run(component()).success
        good = find(tables, MODEL)

        @dg.asset(deps=[KEY])
        def deployment() -> None: ...

        result = run(component(requirements={"min_auc": 0.95}), deployment)
        assert not result.success
        assert result.asset_materializations_for_node("deployment") == []
        newest = find(tables, MODEL, tables.snapshot(MODEL).version)
        assert newest.version == good.version + 1
        assert (newest.accepted, newest.checks[MEETS_REQUIREMENTS]) == (False, False)
        assert Predictor(tables).predict(MODEL, [{"distance": 500}]).model_data_version == good.data_version

    def test_it_predicts_for_a_flight_by_its_id(self, tables: Tables) -> None:
        assert run(component()).success
        flight = july().filter(pl.col("late")).row(1000, named=True)
        answer = Predictor(tables).predict(MODEL, [{"flight_id": flight["flight_id"]}], explain=True)
        assert answer.features_data_version == tables.snapshot(FEATURES).data_version
        (prediction,) = answer.predictions
        assert 0 < prediction.probability < 1
        assert prediction.contributions is not None
        given = {each.feature: each.value for each in prediction.contributions}
        assert given["origin_waiting"] == flight["origin_waiting"]

    def test_the_signature_tells_the_ranges_of_the_training_rows(self, tables: Tables) -> None:
        assert run(component()).success
        stored = json.loads(tables.snapshot(MODEL).scan().select("signature").collect().item())
        temp = next(feature for feature in stored["features"] if feature["name"] == "temp")
        column = july().filter(pl.sql_expr(f"{DAY} <= 14"), pl.col("late").is_not_null())["temp"]
        assert (temp["minimum"], temp["maximum"], temp["median"]) == (column.min(), column.max(), column.median())
        assert (stored["entity_table"], stored["entity_key"], stored["target"]) == (FEATURES, ["flight_id"], "late")


class TestFaults:
    def test_an_unknown_input_is_named(self, tables: Tables) -> None:
        result = run(component(inputs=["distance", "altitude"]))
        assert not result.success
        assert "has no column altitude" in failure(result)
        assert not tables.exists(MODEL)

    def test_judging_by_rows_it_was_trained_on_is_refused(self, tables: Tables) -> None:
        result = run(component(test=f"{DAY} >= 14"))
        assert not result.success
        assert "overlap: both select" in failure(result)

    @pytest.mark.parametrize(
        "changes", [{"key": []}, {"threshold": 1.5}, {"parameters": {"depth": 3}}, {"inputs": []}, {"tune": None}]
    )
    def test_a_declaration_that_makes_no_sense_is_refused(self, changes: dict[str, Any]) -> None:
        with pytest.raises(ValidationError):
            component(**changes)
