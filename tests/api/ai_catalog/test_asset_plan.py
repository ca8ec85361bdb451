"""What a materialization would run, shown before it runs."""

from __future__ import annotations

import dataclasses

import pytest

from core.reports import CheckStatus
from core.runs import PartitionState
from tests.api.admin.tenants import tenant
from tests.api_process import Api
from tests.orchestration import FakeOrchestrator, node

BRONZE, SILVER, GOLD = "flights.bronze.flights", "flights.silver.flights", "flights.gold.route_delays"


@pytest.mark.effect("ai_catalog_get_asset_materialize_plan")
async def test_the_plan_is_what_a_launch_then_runs(api: Api, orchestrator: FakeOrchestrator) -> None:
    for upstream, expected in ((False, [GOLD]), (True, [BRONZE, GOLD, SILVER])):
        path = f"ai-catalog/assets/{GOLD}"
        plan = (await api.editor.get(f"{path}/materialize-plan", params={"upstream": upstream})).json
        assert [one["asset"] for one in plan["assets"]] == expected
        assert {one["allowed"] for one in plan["assets"]} == {True}
        assert (await api.editor.post(f"{path}:materialize", {"upstream": upstream})).status == 202
        assert sorted(orchestrator.launches[-1].assets) == expected
    viewed = (await api.viewer.get(f"ai-catalog/assets/{GOLD}/materialize-plan")).json
    assert [one["allowed"] for one in viewed["assets"]] == [False]


@pytest.mark.effect("ai_catalog_get_asset_materialize_plan")
async def test_it_names_what_would_stop_the_run(api: Api, orchestrator: FakeOrchestrator) -> None:
    state = orchestrator.states[SILVER]
    failed = dataclasses.replace(state.checks[0], status=CheckStatus.FAILED)
    orchestrator.states[SILVER] = dataclasses.replace(state, checks=(failed, state.checks[1]))
    path = f"ai-catalog/assets/{GOLD}/materialize-plan"
    assert (await api.editor.get(path)).json["blockers"] == [
        {"asset": SILVER, "check": "not_empty", "status": "FAILED"}
    ]
    assert (await api.editor.get(path, params={"upstream": True})).json["blockers"] == []


async def test_it_tells_what_the_same_step_makes_and_what_can_not_run(api: Api, orchestrator: FakeOrchestrator) -> None:
    orchestrator.nodes[GOLD] = node(GOLD, [SILVER], together=("flights.gold.daily",))
    plan = (await api.editor.get(f"ai-catalog/assets/{GOLD}/materialize-plan")).json
    assert {one["asset"]: one["together"] for one in plan["assets"]} == {GOLD: False, "flights.gold.daily": True}
    assert plan["partitioned"]
    observed = (await api.editor.get("ai-catalog/assets/flights.source.prices/materialize-plan")).json
    assert (observed["assets"], "only observed" in observed["problem"]) == ([], True)


@pytest.mark.effect("ai_catalog_get_asset_partitions")
async def test_partitions_are_in_their_order(api: Api) -> None:
    found = (await api.viewer.get("ai-catalog/assets/flights.gold.daily/partitions")).json
    assert (found["keys"], found["total"]) == (["a", "b", "c"], 3)
    assert (await api.viewer.get(f"ai-catalog/assets/{GOLD}/partitions")).json["keys"] == []


@pytest.mark.effect("ai_catalog_get_asset_partitions")
async def test_each_partition_has_its_state_and_all_are_counted(api: Api, orchestrator: FakeOrchestrator) -> None:
    path = "ai-catalog/assets/flights.gold.daily/partitions"
    states = list(PartitionState)
    orchestrator.partitions_of["flights.gold.daily"] = {f"p{n:05}": states[n % 4 % 3] for n in range(12_000)}
    found = (await api.viewer.get(path)).json
    assert (len(found["keys"]), found["keys"][0], found["total"]) == (10_000, "p02000", 12_000)
    assert found["states"][:5] == ["MATERIALIZED", "RUNNING", "FAILED", "MATERIALIZED", "MATERIALIZED"]
    assert found["counts"] == {"materialized": 6000, "running": 3000, "failed": 3000, "missing": 0}
    outside = await tenant(api, "outside")
    assert (await outside.admin.get(path)).status == 404
