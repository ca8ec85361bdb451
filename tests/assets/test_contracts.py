"""An active contract gates every version: a step that breaks it fails, and nothing is made from such a version."""

from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock

import dagster as dg
import pytest
import sqlalchemy as sa

from assets.binding import findings_of
from assets.components import component
from core import clock
from core.contracts import CONTRACT, CONTRACT_VIOLATION
from core.ids import asset_key
from resources.contracts import CONTRACT as CONTRACT_ID
from resources.contracts import CONTRACT_CHECK
from resources.delta import Delta, materialized
from resources.gates import DATA_VERSION
from tests.assets.test_gates import ACCEPT_TAG, GOOD, A, B, Bench, bench

__all__ = ["bench"]
# Published rows are built with a preview of Dagster.
pytestmark = pytest.mark.filterwarnings("ignore:Function `Definitions.map:dagster.PreviewWarning")

TERMS: dict[str, Any] = {
    "columns": [{"name": "id", "type": "string", "nullable": False}],
    "min_rows": 2,
    "max_rows": None,
    "max_age_hours": None,
    "rules": [{"name": "small amounts", "holds": "CAST(amount AS BIGINT) < 100", "tolerance": 0.0}],
}


def agree(bench: Bench, terms: dict[str, Any], asset: str = A, id: str = "ctr_1") -> None:
    """Makes terms the active contract of an asset."""
    row = {"id": id, "organization_id": "org_default", "project_id": "prj_1", "asset": asset, "version": 1}
    row |= {"state": "ACTIVE", "contact": "team:data", "terms": terms, "consumers": [], "consents": {}}
    with bench.tables.pins.database.write() as connection:
        connection.execute(CONTRACT.insert().values(**row, created_at=clock.now(), created_by="ada"))


def message(result: Any) -> str:
    (failure,) = result.get_step_failure_events()
    return str(failure.event_specific_data.error_display_string)


def violations(bench: Bench) -> list[Any]:
    with bench.tables.pins.database.read() as connection:
        return list(connection.execute(sa.select(CONTRACT_VIOLATION)))


@pytest.mark.effect("ai_catalog_activate_contract")
def test_a_broken_contract_stops_the_run_and_every_later_one(bench: Bench) -> None:
    bench.write(*GOOD)
    kind = str(_first(bench).field("id").type)
    agree(bench, {**TERMS, "columns": [{"name": "id", "type": kind, "nullable": False}]})
    assert bench.launch(A, B).success
    bench.write("1,5", "2,700")
    failed = bench.launch(A, B)
    assert not failed.success
    assert "1 of 2 rows break the rule 'small amounts'" in message(failed)
    assert [event.asset_key for event in failed.get_asset_materialization_events()] == [dg.AssetKey(asset_key(A))]
    (violation,) = violations(bench)
    assert violation.data_version == bench.tables.snapshot(A).data_version
    assert violation.faults == ["1 of 2 rows break the rule 'small amounts'."]
    later = bench.launch(B)
    assert "contract version 1 is broken" in message(later)
    assert bench.tables.snapshot(B).version == 0
    assert bench.launch(B, tags={ACCEPT_TAG: A}).success
    bench.write("1,5")
    assert "must have at least 2" in message(bench.launch(A))
    bench.write(*GOOD)
    assert bench.launch(A, B).success


def verdicts(result: Any) -> list[Any]:
    return [one for one in result.get_asset_check_evaluations() if one.check_name == CONTRACT_CHECK]


def test_the_verdict_is_a_blocking_check_of_the_asset(bench: Bench) -> None:
    bench.write(*GOOD)
    without = bench.launch(A, B)
    assert [(one.passed, CONTRACT_ID in one.metadata) for one in verdicts(without)] == [(True, False)] * 2
    kind = str(bench.tables.snapshot(A).schema.field("id").type)
    agree(bench, {**TERMS, "columns": [{"name": "id", "type": kind, "nullable": False}]})
    bench.write("3,5", "4,6")
    met, _ = verdicts(bench.launch(A, B))
    assert (met.passed, met.description, met.metadata[CONTRACT_ID].value) == (True, "Meets version 1.", "ctr_1")
    bench.write("1,5", "2,700")
    (broken,) = verdicts(bench.launch(A, B))
    assert (broken.passed, broken.blocking, broken.severity) == (False, True, dg.AssetCheckSeverity.ERROR)
    assert "1 of 2 rows break the rule 'small amounts'." in broken.metadata["faults"].data
    assert broken.metadata[DATA_VERSION].value == bench.tables.snapshot(A).data_version


def test_every_asset_of_a_component_has_the_check(bench: Bench) -> None:
    layer = bench.job.asset_layer.asset_graph
    checks = {key.asset_key for key in layer.asset_check_keys if key.name == CONTRACT_CHECK}
    assert checks == set(layer.materializable_asset_keys)


def test_a_contract_gates_versions_from_before_it_and_assets_in_code(bench: Bench) -> None:
    bench.write(*GOOD)
    assert bench.launch(A).success
    agree(bench, {**TERMS, "columns": [{"name": "missing", "type": "int64", "nullable": True}]})

    @dg.asset(key=asset_key("demo.gold.copy"), deps=[dg.AssetKey(asset_key(A))])
    def copy(context: dg.AssetExecutionContext, delta: Delta) -> dg.MaterializeResult[Any]:
        """Copies the rows in code."""
        step = delta.step(context)
        return materialized(context, step.overwrite(step.read(A).to_arrow()))

    definitions = dg.Definitions([copy], resources={"delta": Delta()}, executor=dg.in_process_executor)
    bench.job = definitions.resolve_implicit_global_asset_job_def()
    assert "The column missing is missing" in message(bench.launch("demo.gold.copy"))
    with bench.tables.pins.database.write() as connection:
        connection.execute(CONTRACT.update().values(state="SUPERSEDED"))
    assert bench.launch("demo.gold.copy").success


def test_rows_that_are_too_old_are_not_read_until_a_step_finds_them_again(bench: Bench) -> None:
    bench.write(*GOOD)
    kind = str(_first(bench).field("id").type)
    agree(bench, {**TERMS, "columns": [{"name": "id", "type": kind, "nullable": False}], "max_age_hours": 2})
    assert bench.launch(B).success
    version = bench.tables.snapshot(A).version
    with mock.patch.object(clock, "now", return_value=datetime.now(UTC) + timedelta(hours=3)):
        assert "older than 2 hours" in message(bench.launch(B))
        assert bench.launch(B, tags={ACCEPT_TAG: A}).success
        assert bench.launch(A).success, "the age says nothing about a version that is made now"
        assert bench.tables.snapshot(A).version == version
        assert bench.launch(B).success


def test_a_definition_whose_columns_break_a_contract_has_a_fault(bench: Bench) -> None:
    bench.write(*GOOD)
    assert bench.launch(A).success
    kind = str(bench.tables.snapshot(A).schema.field("id").type)
    agree(bench, {**TERMS, "columns": [{"name": "id", "type": kind, "nullable": False}]}, asset=B)
    attributes = {"asset": B, "description": "d", "sql": f"SELECT id, amount FROM {A}"}
    assert findings_of(component("SqlTransformComponent", attributes), bench.tables).faults == []
    attributes["sql"] = f"SELECT amount FROM {A}"
    (fault,) = findings_of(component("SqlTransformComponent", attributes), bench.tables).faults
    assert "contract" in fault["detail"]
    assert "The column id is missing" in fault["detail"]


def _first(bench: Bench) -> Any:
    assert bench.launch(A).success
    return bench.tables.snapshot(A).schema
