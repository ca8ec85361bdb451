"""In which order assets of several code locations are launched."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import sqlalchemy as sa

from api.gateways.dagster.launching import is_backfill, retry_params, run_params, stages
from api.kernel.operations import store
from api.services.ai_catalog.logic.selection import plan, with_upstream
from core.errors import InvalidPayload
from core.pipelines import PIPELINE_TAG
from core.runs import Launch
from migrations.tables import METADATA
from resources import gates
from tests.orchestration import FakeOrchestrator, node


def test_one_location_is_one_stage_whatever_depends_on_what() -> None:
    nodes = [node("p.s.c", ["p.s.b"]), node("p.s.b", ["p.s.a"]), node("p.s.a")]
    assert [[one.id for one in stage] for stage in stages(nodes)] == [["p.s.c", "p.s.b", "p.s.a"]]


def test_what_another_location_needs_comes_before() -> None:
    nodes = [
        node("p.s.a"),
        node("p.s.b", ["p.s.a"], location="published"),
        node("p.s.c", ["p.s.b"]),
        node("p.s.d", ["p.s.a"]),
        node("p.s.e", ["p.s.x"], location="published"),
    ]
    assert [[one.id for one in stage] for stage in stages(nodes)] == [
        ["p.s.a", "p.s.d", "p.s.e"],
        ["p.s.b"],
        ["p.s.c"],
    ]


def test_a_stage_is_a_run_per_location_with_the_config_of_its_assets() -> None:
    nodes = [node("p.s.a"), node("p.s.b", location="published")]
    launch = Launch(("p.s.a", "p.s.b"), ("2013",), config={"p.s.b": {"rows": 1}}, tags={"k": "v"})
    first, second = run_params(launch, nodes)
    assert first["selector"]["repositoryLocationName"] == "flights"
    assert first["runConfigData"] == {}
    assert second["selector"]["assetSelection"] == [{"path": ["p", "s", "b"]}]
    assert second["runConfigData"] == {"ops": {"p__s__b": {"config": {"rows": 1}}}}
    assert {"key": "dagster/partition", "value": "2013"} in second["executionMetadata"]["tags"]
    assert not is_backfill(launch)
    assert is_backfill(Launch(("p.s.a",), ("1", "2")))
    assert is_backfill(Launch(("p.s.a",), all_partitions=True))


def test_a_pipeline_runs_exactly_the_assets_that_were_checked() -> None:
    """Dagster may still have an earlier job of the pipeline, with other assets."""
    nodes = [node("p.s.a", location="published"), node("p.s.b", location="published")]
    launch = Launch(("p.s.a", "p.s.b"), config={"p__s__b": {"days": 1}}, tags={PIPELINE_TAG: "pln_1"}, job="nightly")
    [params] = run_params(launch, nodes)
    assert params["selector"]["jobName"] == "nightly"
    assert params["selector"]["assetSelection"] == [{"path": ["p", "s", "a"]}, {"path": ["p", "s", "b"]}]
    assert params["runConfigData"] == {"ops": {"p__s__b": {"config": {"days": 1}}}}
    [other] = run_params(Launch(("p.s.a",), job="run_branch"), nodes[:1])
    assert "assetSelection" not in other["selector"]


@pytest.mark.parametrize(("all_steps", "strategy"), [(False, "FROM_FAILURE"), (True, "ALL_STEPS")])
def test_a_retry_names_the_run_and_what_to_repeat(all_steps: bool, strategy: str) -> None:
    launch = Launch((), tags={"k": "v"}, retries="run-1", repeats_all=all_steps)
    extra = [{"key": "k", "value": "v"}]
    assert retry_params(launch) == {"parentRunId": "run-1", "strategy": strategy, "extraTags": extra}


def test_assets_that_no_single_run_can_make_are_refused() -> None:
    with pytest.raises(InvalidPayload, match=r"p\.s\.a, p\.s\.b"):
        run_params(Launch(("p.s.a", "p.s.b")), [node("p.s.a"), node("p.s.b", jobs=("other",))])


def test_upstream_includes_what_checks_compare_with_and_ends_in_a_circle() -> None:
    nodes = [
        node("p.s.raw"),
        node("p.s.clean", ["p.s.raw"], compared_with=("p.s.codes",)),
        node("p.s.codes", ["p.s.code_list", "p.s.clean"]),
        node("p.s.code_list"),
        node("p.s.other"),
    ]
    view = FakeOrchestrator().view()
    view = dataclasses.replace(view, nodes={one.id: one for one in nodes})
    assert with_upstream(view, ["p.s.clean"]) == ("p.s.clean", "p.s.code_list", "p.s.codes", "p.s.raw")


async def test_a_plan_holds_what_the_same_step_always_makes() -> None:
    orchestrator = FakeOrchestrator()
    orchestrator.nodes = {
        one.id: one
        for one in (
            node("p.s.good", together=("p.s.bad",)),
            node("p.s.bad", together=("p.s.good",)),
            node("p.s.clean", ["p.s.good"]),
        )
    }

    async def planned(asset: str, *, upstream: bool) -> tuple[str, ...]:
        launch = await plan(
            orchestrator,
            orchestrator.view(),
            [asset],
            upstream=upstream,
            partitions=(),
            all_partitions=False,
            config={},
        )
        return tuple(sorted(launch.assets))

    assert await planned("p.s.clean", upstream=False) == ("p.s.clean",)
    assert await planned("p.s.good", upstream=False) == ("p.s.bad", "p.s.good")
    assert await planned("p.s.clean", upstream=True) == ("p.s.bad", "p.s.clean", "p.s.good")


async def test_a_launch_that_accepts_unchecked_inputs_says_so_on_every_run_of_every_stage() -> None:
    orchestrator = FakeOrchestrator()
    arguments: dict[str, Any] = {"upstream": False, "partitions": (), "all_partitions": False, "config": {}}
    asked = ["flights.silver.flights"]
    launch = await plan(orchestrator, orchestrator.view(), asked, **arguments, accept_unchecked=True)
    assert launch.tags == {gates.ACCEPT_TAG: "true"}
    assert (await plan(orchestrator, orchestrator.view(), asked, **arguments)).tags == {}
    engine = sa.create_engine("sqlite://")
    METADATA.create_all(engine)
    origin = store.Origin("assets:materialize", "", "ann", "usr_1", "req_1")
    with engine.begin() as connection:
        store.insert(connection, "op_1", launch, stages=2, origin=origin)
        assert store.get(connection, "op_1").launch.tags == launch.tags
