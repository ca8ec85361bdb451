"""Blocking checks gate every launch, whatever its origin.

The kind: a launch is a selection of assets and, apart from it, a selection of checks, made by a sensor, an automation
condition, a schedule, a backfill, REST, a raw GraphQL request or a re-execution. Whatever they select, every blocking
check of a materialized asset is evaluated on the version that was made, and nothing is made from a version that did
not pass.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from dagster import DagsterInvalidDefinitionError, DagsterInvalidSubsetError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assets.components import COMPONENTS
from assets.rows import ERROR_TAG, Row, definitions_of
from core.ids import asset_id, asset_key
from core.settings import load_settings
from dagster_project.definitions import defs
from dagster_project.shared_definitions import shared_definitions, with_policies_and_sensors
from lakehouse.lineage import Lineage
from lakehouse.tables import Tables
from resources.contracts import CONTRACT_CHECK
from resources.delta import Delta
from resources.gates import ACCEPT_TAG, ACCEPTED, DATA_VERSION
from tests import slices

# What published rows are built with is a preview in Dagster.
pytestmark = pytest.mark.filterwarnings("ignore:Function `Definitions.map:dagster.PreviewWarning")

REFUSALS = (DagsterInvalidSubsetError, DagsterInvalidDefinitionError)


TRAINING_SET = {
    "type": "assets.features.training_set.TrainingSetComponent",
    "attributes": {
        "description": "Flights with what was known before them.",
        "spine": {"table": "flights.silver.flights", "timestamp": "scheduled_departure", "labels": ["arrival_delay"]},
        "views": [
            {
                "name": "congestion",
                "table": "flights.features.departures",
                "keys": {"origin": "origin", "carrier": "carrier"},
                "features": ["origin_departures"],
            }
        ],
    },
}
"""The sample has no training set."""


def published() -> dg.Definitions:
    """Every kind of component as a user publishes it, each with gates of several sorts."""
    rows = []
    folders = ("bronze", "gold", "gold_spark", "features", "online", "models", "index", "rounds")
    documents = {folder: slices.documents(folder) for folder in folders} | {"training": [TRAINING_SET]}
    for folder, listed in documents.items():
        for number, document in enumerate(listed):
            kind = document["type"].rpartition(".")[2]
            attributes = {**document["attributes"], "asset": f"demo.{folder}.made_{number}"}
            if isinstance(attributes.get("sql"), dict):
                text = (slices.ROOT / "dagster_project" / "defs" / folder / attributes["sql"]["file"]).read_text()
                attributes["sql"] = text
            attributes["checks"] = [
                {"row_count": {"min": 1}, "name": "gate_count", "blocking": True},
                {"holds": "1 = 1", "name": "gate_holds", "blocking": True},
                {
                    "references": {"column": "a", "table": "flights.silver.airlines", "key": "carrier"},
                    "name": "gate_reference",
                    "blocking": True,
                },
                {"holds": "1 = 1", "name": "note"},
            ]
            rows.append(Row(attributes["asset"], kind, attributes))
    assert {row.component for row in rows} == set(COMPONENTS)
    built = definitions_of(rows)
    assert [spec.metadata[ERROR_TAG] for spec in built.assets or () if isinstance(spec, dg.AssetSpec)] == []
    return dg.Definitions.merge(with_policies_and_sensors(built), shared_definitions())


LOCATIONS = {"code": defs, "published": published}


@pytest.fixture(scope="module", params=LOCATIONS)
def job(request: pytest.FixtureRequest) -> dg.JobDefinition:
    """The job that every launch of a code location is a part of."""
    return LOCATIONS[request.param]().resolve_implicit_global_asset_job_def()


def test_every_blocking_check_is_part_of_the_step_that_makes_its_asset(job: dg.JobDefinition) -> None:
    graph = job.asset_layer.asset_graph
    gates = [key for key in graph.asset_check_keys if graph.get_check_spec(key).blocking]
    assert gates
    for key in gates:
        maker = graph.get(key.asset_key).assets_def
        assert key in maker.check_keys, f"{key} has a separate step"
        assert not maker.can_subset, f"{maker.node_def.name} can leave {key} out"


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_selection_leaves_a_gate_out(job: dg.JobDefinition, data: st.DataObject) -> None:
    graph = job.asset_layer.asset_graph
    assets = sorted(graph.materializable_asset_keys)
    checks = sorted(graph.asset_check_keys)
    chosen = data.draw(st.sets(st.sampled_from(assets), min_size=1), label="assets")
    arguments = data.draw(st.sampled_from(("unsaid", "none", "some")), label="checks")
    selected = (
        {"unsaid": None, "none": set()}.get(arguments)
        if arguments != "some"
        else data.draw(st.sets(st.sampled_from(checks)))
    )
    try:
        part = job.get_subset(asset_selection=chosen, asset_check_selection=selected)
    except REFUSALS:
        return  # refused: nothing runs
    steps = [step for step in part.asset_layer.asset_graph.assets_defs if step.is_executable]
    made = {key for step in steps for key in step.keys}
    evaluated = {key for step in steps for key in step.check_keys}
    assert chosen <= made
    assert {key for key in checks if key.asset_key in made and graph.get_check_spec(key).blocking} <= evaluated


A, B, C, D = (f"demo.silver.{name}" for name in "abcd")
"""A is read from a file, B is made from A, C from B, D from A and C; B and C have gates beside A's."""

SQL = {
    B: (f"SELECT id, amount FROM {A}", [A]),
    C: (f"SELECT id, amount * 2 AS amount FROM {B}", [B]),
    D: (f"SELECT a.id, c.amount FROM {A} a JOIN {C} c ON a.id = c.id", [A, C]),
}


def chain() -> dg.Definitions:
    gates = [
        {"holds": "amount >= 0", "name": "not_negative", "blocking": True},
        {"unique": ["id"], "blocking": True},
    ]
    rows = [
        Row(
            A,
            "DatasetComponent",
            {
                "asset": A,
                "description": "From a file.",
                "source": {"kind": "csv", "path": "a.csv"},
                "checks": gates,
            },
        ),
        *(
            Row(
                asset,
                "SqlTransformComponent",
                {"asset": asset, "description": "Made.", "sql": sql, "checks": gates if asset != D else []},
            )
            for asset, (sql, _) in SQL.items()
        ),
    ]
    extra = dg.Definitions(resources={"delta": Delta()}, executor=dg.in_process_executor)
    return dg.Definitions.merge(definitions_of(rows), extra)


@dataclasses.dataclass
class Bench:
    """A lakehouse and an instance on which runs are launched one after the other."""

    tables: Tables
    lineage: Lineage
    instance: dg.DagsterInstance
    job: dg.JobDefinition

    def write(self, *rows: str) -> None:
        folder = Path(load_settings().effective_landing_url) / "demo"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "a.csv").write_text("\n".join(("id,amount", *rows)) + "\n")

    def launch(self, *assets: str, checks: Any = None, tags: dict[str, str] | None = None) -> Any:
        part = self.job.get_subset(
            asset_selection={dg.AssetKey(asset_key(asset)) for asset in assets}, asset_check_selection=checks
        )
        return part.execute_in_process(instance=self.instance, raise_on_error=False, tags=tags)

    def require_the_promise(self, result: Any) -> None:
        """Every version that the run made was judged by all its gates, and was made from passed versions only."""
        graph = self.job.asset_layer.asset_graph
        judged = {
            (item.asset_key, item.check_name, item.metadata[DATA_VERSION].value)
            for item in result.get_asset_check_evaluations()
        }
        for event in result.get_asset_materialization_events():
            key = event.asset_key
            version = event.materialization.tags["dagster/data_version"]
            for check in graph.get(key).check_keys:
                if graph.get_check_spec(check).blocking:
                    assert (key, check.name, version) in judged
            for edge in self.lineage.provenance(asset_id(key.path), version):
                if edge.run == result.run_id and edge.in_asset in (A, B, C):
                    assert self.passed(edge.in_asset, edge.in_version), (key, edge.in_asset, edge.in_version)

    def passed(self, asset: str, version: str) -> bool:
        graph = self.job.asset_layer.asset_graph
        key = dg.AssetKey(asset_key(asset))
        for check in graph.get(key).check_keys:
            history = self.instance.event_log_storage.get_asset_check_execution_history(check, limit=100)
            verdicts = [
                record.evaluation.passed
                for record in history
                if record.status.value in ("SUCCEEDED", "FAILED")
                and record.evaluation.metadata[DATA_VERSION].value == version
            ]
            if not verdicts or not verdicts[0]:
                return False
        return True


@pytest.fixture
def bench(home: Path) -> Iterator[Bench]:
    tables = slices.open_tables()
    lineage = Lineage(tables.ledger._database)
    with dg.DagsterInstance.ephemeral() as instance:
        yield Bench(tables, lineage, instance, chain().resolve_implicit_global_asset_job_def())


GOOD, NEGATIVE, TWICE = ("1,5", "2,7"), ("1,5", "2,-7"), ("1,5", "1,7")


@settings(deadline=None, max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from((GOOD, NEGATIVE, TWICE, ("3,1",))),
            st.sets(st.sampled_from((A, B, C, D)), min_size=1),
            st.sampled_from((None, frozenset())),
        ),
        min_size=2,
        max_size=4,
    )
)
def test_whatever_is_launched_is_judged_and_nothing_follows_what_failed(bench: Bench, steps: Any) -> None:
    bench.write(*GOOD)
    bench.launch(A, B, C, D)
    for rows, assets, checks in steps:
        bench.write(*rows)
        try:
            result = bench.launch(*assets, checks=checks)
        except REFUSALS:
            continue
        bench.require_the_promise(result)


def test_a_failed_gate_stops_the_run_and_every_later_one(bench: Bench) -> None:
    bench.write(*GOOD)
    assert bench.launch(A, B, C).success
    bench.write(*NEGATIVE)
    failed = bench.launch(A, B, C)
    assert not failed.success
    assert [event.asset_key for event in failed.get_asset_materialization_events()] == [dg.AssetKey(asset_key(A))]
    later = bench.launch(B)
    assert not later.success
    (failure,) = later.get_step_failure_events()
    assert "not_negative failed" in failure.event_specific_data.error_display_string
    assert ACCEPT_TAG in failure.event_specific_data.error_display_string
    assert bench.tables.snapshot(B).version == 0
    bench.write("1,5")
    assert bench.launch(A, B, C).success


@pytest.mark.parametrize("accepted", ["true", A, f"{C},{A}"])
def test_a_run_may_accept_what_failed_and_says_so(bench: Bench, accepted: str) -> None:
    bench.write(*TWICE)
    assert not bench.launch(A).success
    for tags in (None, {ACCEPT_TAG: C}):
        assert not bench.launch(B, tags=tags).success
    result = bench.launch(B, tags={ACCEPT_TAG: accepted})
    (made,) = result.get_asset_materialization_events()
    message = made.materialization.metadata[f"{ACCEPTED}/{A}"].value
    assert message == f"{bench.tables.snapshot(A).data_version}: unique_id failed"


def test_a_version_that_nobody_judged_is_not_read(bench: Bench) -> None:
    """What a step leaves that is killed between its commit and its checks, and what another writer commits."""
    bench.write(*GOOD)
    assert bench.launch(A, B).success
    bench.tables.append(A, pl.DataFrame({"id": [9], "amount": [1]}))
    later = bench.launch(B)
    assert not later.success
    (failure,) = later.get_step_failure_events()
    assert "was not evaluated" in failure.event_specific_data.error_display_string


def test_upkeep_leaves_a_gate_open(bench: Bench) -> None:
    bench.write(*GOOD)
    assert bench.launch(A).success
    bench.tables.add_constraint(A, "small", "amount < 1000")
    assert bench.tables.snapshot(A).version == 1
    assert bench.launch(B).success


def test_a_check_that_cannot_be_evaluated_has_failed_and_the_others_are_evaluated(bench: Bench) -> None:
    bench.write("1,x", "2,y")
    result = bench.launch(A, B)
    assert not result.success
    verdicts = {item.check_name: item.passed for item in result.get_asset_check_evaluations()}
    assert verdicts == {"not_negative": False, "unique_id": True, CONTRACT_CHECK: True}


def test_a_gate_of_another_code_location_counts(bench: Bench) -> None:
    """A location knows another one's assets as inputs only; which checks they must pass, their versions say."""
    bench.write(*NEGATIVE)
    assert not bench.launch(A).success
    row = Row(B, "SqlTransformComponent", {"asset": B, "description": "Made.", "sql": SQL[B][0]})
    extra = dg.Definitions(resources={"delta": Delta()}, executor=dg.in_process_executor)
    elsewhere = dg.Definitions.merge(definitions_of([row]), extra)
    bench.job = elsewhere.resolve_implicit_global_asset_job_def()
    assert not bench.launch(B).success
