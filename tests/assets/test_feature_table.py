"""The feature table as an asset: real tables in, a Delta version with lineage and its proof out."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from assets.features.checks import EVIDENCE, FORGETTING, PointInTime, check_forgetting
from assets.features.component import FeatureViewComponent
from assets.features.drift import STABILITY
from core.db import Database
from core.ids import asset_key
from core.settings import load_settings
from lakehouse.lineage import Lineage
from lakehouse.tables import Tables
from resources.delta import Delta
from tests import sample
from tests.databases import with_tables

FEATURES = "flights.features.departures"
KEY = dg.AssetKey(asset_key(FEATURES))
JULY = pl.col("scheduled_departure_at").is_between(datetime(2013, 7, 1, tzinfo=UTC), datetime(2013, 7, 12, tzinfo=UTC))


@pytest.fixture
def tables(home: Path) -> Tables:
    """Eleven days of July as silver tables."""
    settings = load_settings()
    database = with_tables(settings.effective_database_url)
    tables = Tables.from_settings(settings, database)
    tables.overwrite("flights.silver.flights", sample.flights().filter(JULY))
    tables.overwrite("flights.silver.weather", sample.weather().filter(pl.col("observed_at").dt.month() == 7))
    return tables


def component(**changes: Any) -> FeatureViewComponent:
    return FeatureViewComponent.model_validate(sample.attributes("features") | changes)


def definitions(declared: FeatureViewComponent) -> dg.Definitions:
    return dg.Definitions.merge(dg.build_defs_for_component(declared), dg.Definitions(resources={"delta": Delta()}))


def run(declared: FeatureViewComponent, instance: dg.DagsterInstance) -> Any:
    defs = definitions(declared)
    job = dg.define_asset_job("features", dg.AssetSelection.assets(KEY))
    merged = dg.Definitions.merge(defs, dg.Definitions(jobs=[job], executor=dg.in_process_executor))
    return merged.resolve_job_def("features").execute_in_process(instance=instance, raise_on_error=False)


def verdicts(result: Any) -> dict[str, dg.AssetCheckEvaluation]:
    return {evaluation.check_name: evaluation for evaluation in result.get_asset_check_evaluations()}


class TestFeatureTable:
    def test_a_run_writes_the_table_and_proves_it(self, tables: Tables) -> None:
        declared = component()
        with dg.DagsterInstance.ephemeral() as instance:
            result = run(declared, instance)
            assert result.success
            materialization = result.asset_materializations_for_node(declared.op_name)[0]
        snapshot = tables.snapshot(FEATURES)
        assert snapshot.row_count == sample.flights().filter(JULY).height
        assert materialization.tags["dagster/data_version"] == snapshot.data_version
        assert materialization.metadata["late_share"].value == pytest.approx(0.397, abs=0.05)  # a stormy fortnight
        found = verdicts(result)
        assert found[EVIDENCE].passed
        assert found[EVIDENCE].blocking
        assert found[FORGETTING].passed
        assert found[FORGETTING].blocking
        assert found[FORGETTING].metadata["compared_rows"].value > 3000

    def test_lineage_names_versions_and_columns(self, tables: Tables) -> None:
        with dg.DagsterInstance.ephemeral() as instance:
            assert run(component(), instance).success
        edges = Lineage(Database(load_settings().effective_database_url)).provenance(
            FEATURES, tables.snapshot(FEATURES).data_version
        )
        used = {edge.in_asset: edge for edge in edges}
        assert set(used) == {"flights.silver.flights", "flights.silver.weather"}
        for name, edge in used.items():
            assert edge.in_version == tables.snapshot(name).data_version
        assert "cancelled" not in used["flights.silver.flights"].in_columns
        assert {"dep_delay", "arr_delay"} < set(used["flights.silver.flights"].in_columns)

    def test_columns_tell_how_they_were_made(self, tables: Tables) -> None:
        with dg.DagsterInstance.ephemeral() as instance:
            assert run(component(), instance).success
        schema = tables.snapshot(FEATURES).schema
        comment = (schema.field("origin_departure_delay").metadata or {})[b"comment"].decode()
        assert comment == "AVG(dep_delay) over today until prediction, by origin, as known at departed_at."
        assert all(b"comment" in (field.metadata or {}) for field in schema)

    def test_a_leak_blocks(self, tables: Tables) -> None:
        leak = {
            "kind": "window",
            "name": "leak",
            "source": "flights",
            "at": "departed_at",
            "by": ["origin"],
            "span": "day",
            "features": {"arrival_delay_of_departed": "AVG(arr_delay)"},
        }
        declared = component(groups=[*sample.attributes("features")["groups"], leak])

        @dg.asset(deps=[KEY])
        def downstream() -> None: ...

        with dg.DagsterInstance.ephemeral() as instance:
            defs = dg.Definitions.merge(
                definitions(declared),
                dg.Definitions(
                    assets=[downstream], jobs=[dg.define_asset_job("all", "*")], executor=dg.in_process_executor
                ),
            )
            result = defs.resolve_job_def("all").execute_in_process(instance=instance, raise_on_error=False)
        assert not result.success
        assert result.asset_materializations_for_node("downstream") == []
        found = verdicts(result)
        assert found[EVIDENCE].passed  # the evidence believes the declaration; forgetting does not
        assert not found[FORGETTING].passed
        assert "arrival_delay_of_departed" in str(found[FORGETTING].description)

    def test_a_table_that_used_the_future_is_caught_by_its_evidence(self, tables: Tables) -> None:
        with dg.DagsterInstance.ephemeral() as instance:
            assert run(component(), instance).success
            tampered = tables.snapshot(FEATURES).scan().collect()
            late = pl.col("predicted_at") + pl.duration(
                seconds=pl.when(pl.int_range(pl.len()) == 7).then(1).otherwise(0)
            )
            tables.overwrite(FEATURES, tampered.with_columns(weather_seen_at=late))
            snapshot = tables.snapshot(FEATURES)
        from assets.features.checks import check_evidence

        result = check_evidence(component(), snapshot)
        assert not result.passed
        assert result.metadata["violations"].value == {"weather": 1}  # type: ignore[union-attr]

    def test_checks_look_at_the_versions_the_table_was_made_from(self, tables: Tables) -> None:
        with dg.DagsterInstance.ephemeral() as instance:
            assert run(component(), instance).success
            # The source moves on: what happened is corrected after the fact.
            corrected = sample.flights().filter(JULY).with_columns(pl.col("dep_delay") + 30)
            tables.overwrite("flights.silver.flights", corrected)
        lineage = Lineage(Database(load_settings().effective_database_url))
        assert check_forgetting(component(), tables.snapshot(FEATURES), tables, lineage, PointInTime()).passed

    def test_drift_blocks(self, tables: Tables) -> None:
        declared = component(drift={"psi": 0.25, "blocking": True})
        with dg.DagsterInstance.ephemeral() as instance:
            first = run(declared, instance)
            assert first.success
            assert verdicts(first)[STABILITY].description == "There is no version before this one."
            before = tables.snapshot(FEATURES).data_version
            later = sample.flights().filter(JULY).with_columns(pl.col("dep_delay") + 120)
            tables.overwrite("flights.silver.flights", later)
            second = run(declared, instance)
            assert not second.success
            found = verdicts(second)[STABILITY]
            assert (found.passed, found.blocking) == (False, True)
            assert "origin_departure_delay" in str(found.description)
            assert found.metadata["compared_with"].value == before
            table = found.metadata["drift"]
            assert isinstance(table, dg.TableMetadataValue)
            drift = {str(one.data["feature"]): one.data for one in table.records}
            assert float(str(drift["origin_departure_delay"]["psi"])) > 0.25
            assert drift["distance"]["psi"] == 0.0

    def test_a_version_that_is_gone_does_not_pass(self, tables: Tables) -> None:
        with dg.DagsterInstance.ephemeral() as instance:
            found = verdicts(run(component(drift={"version": 7}), instance))[STABILITY]
        assert (found.passed, found.blocking) == (False, False)
        assert "Version 7 can't be compared" in str(found.description)

    def test_the_same_declaration_has_the_same_code_version(self) -> None:
        assert component().code_version() == component(description="Otherwise put.").code_version()
        assert component().code_version() == component(drift={"psi": 1.0}).code_version()
        assert component().code_version() != component(time_zone="UTC").code_version()
