"""Runs of assets: all are in one list, also those of schedules, for those who can see all of their assets."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import Any

import pytest

from core import clock
from core.ids import new_id
from core.runs import ProducedVersion, RunState, RunStatus, StepState, StepStatus
from tests.api.admin.tenants import grant, tenant, user
from tests.api.operations.materializations import ASSET, materialize
from tests.api_process import Api, Caller
from tests.orchestration import FakeOrchestrator, node

RUNS = "ai-catalog/asset-runs"
SILVER = "flights.silver.flights"


def ran(orchestrator: FakeOrchestrator, id: str, status: RunStatus = RunStatus.SUCCEEDED, **values: Any) -> str:
    """A run that the platform did not launch."""
    defaults = {"job": "__ASSET_JOB", "location": "flights", "assets": (ASSET,), "created_at": clock.now()}
    orchestrator.run_states[id] = RunState(id, status, 1, 1, **(defaults | values))
    return id


async def listed(caller: Caller, **query: str) -> list[dict[str, Any]]:
    reply = await caller.get(RUNS, params=query)
    assert reply.status == 200, reply.response.text
    return list(reply.json["items"])


async def ids(caller: Caller, **query: str) -> list[str]:
    return [run["id"] for run in await listed(caller, **query)]


async def test_each_run_names_what_started_it(api: Api, orchestrator: FakeOrchestrator) -> None:
    ran(orchestrator, "dagster")
    ran(orchestrator, "schedule", tags={"dagster/schedule_name": "daily"})
    ran(orchestrator, "sensor", tags={"dagster/sensor_name": "landing"})
    condition = {"dagster/sensor_name": "automation", "dagster/from_automation_condition": "true"}
    ran(orchestrator, "condition", tags=condition)
    operation = await materialize(api.editor)
    found = {run["id"]: (run["origin"], run["started_by"], run["operation"]) for run in await listed(api.viewer)}
    assert found == {
        "dagster": ("DAGSTER", None, None),
        "schedule": ("SCHEDULE", "daily", None),
        "sensor": ("SENSOR", "landing", None),
        "condition": ("CONDITION", "automation", None),
        "run-1": ("API", "editor", operation["id"]),
    }
    assert await ids(api.viewer, origin="SENSOR") == ["sensor"]
    assert await ids(api.viewer, filter='started_by == "daily"') == ["schedule"]
    assert await ids(api.viewer, filter=f'operation == "{operation["id"]}"') == ["run-1"]


async def test_runs_are_found_by_state_asset_project_and_time(api: Api, orchestrator: FakeOrchestrator) -> None:
    ran(orchestrator, "old", created_at=clock.now() - timedelta(days=2))
    ran(orchestrator, "silver", assets=(SILVER,))
    ran(orchestrator, "failed", RunStatus.FAILED)
    assert await ids(api.viewer, state="FAILED") == ["failed"]
    assert await ids(api.viewer, asset=SILVER) == ["silver"]
    assert await ids(api.viewer, project="flights") == ["failed", "silver", "old"]
    assert await ids(api.viewer, project="other") == []
    yesterday = (clock.now() - timedelta(days=1)).isoformat()
    assert await ids(api.viewer, created_after=yesterday) == ["failed", "silver"]
    assert await ids(api.viewer, created_before=yesterday) == ["old"]


async def test_pages_follow_each_other(api: Api, orchestrator: FakeOrchestrator) -> None:
    for n in range(5):
        ran(orchestrator, f"run-{n}")
    first = (await api.viewer.get(RUNS, params={"page_size": "2"})).json
    ran(orchestrator, "new")
    second = (await api.viewer.get(RUNS, params={"page_size": "9", "page_token": first["next_page_token"]})).json
    assert [run["id"] for run in first["items"]] == ["run-4", "run-3"]
    assert [run["id"] for run in second["items"]] == ["run-2", "run-1", "run-0"]
    assert second["next_page_token"] is None


async def test_a_run_of_a_whole_job_has_the_assets_of_the_job(api: Api, orchestrator: FakeOrchestrator) -> None:
    nightly = [ASSET, SILVER]
    for id in nightly:
        orchestrator.nodes[id] = dataclasses.replace(orchestrator.nodes[id], jobs=("nightly",))
    ran(orchestrator, "night", job="nightly", assets=())
    assert [run["assets"] for run in await listed(api.viewer)] == [sorted(nightly)]


class TestOfOthers:
    async def test_another_organization_sees_no_run(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        other = await tenant(api, "other")
        id = ran(orchestrator, "hidden", RunStatus.FAILED)
        assert await ids(other.admin) == []
        for path in ("", "/steps", "/graph", "/logs"):
            assert (await other.admin.get(f"{RUNS}/{id}{path}")).status == 404
        for verb in ("cancel", "retry"):
            assert (await other.admin.post(f"{RUNS}/{id}:{verb}", {})).status == 404

    async def test_a_run_with_one_asset_of_others_is_hidden(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        other = await tenant(api, "other")
        orchestrator.nodes["other_data.gold.one"] = node("other_data.gold.one")
        ran(orchestrator, "both", assets=(ASSET, "other_data.gold.one"))
        ran(orchestrator, "own", assets=("other_data.gold.one",))
        assert await ids(other.admin) == ["own"]
        assert (await other.admin.get(f"{RUNS}/both")).status == 404
        assert await ids(api.admin) == ["own", "both"]

    async def test_a_run_without_assets_is_for_those_who_see_everything(
        self, api: Api, orchestrator: FakeOrchestrator
    ) -> None:
        other = await tenant(api, "other")
        ran(orchestrator, "maintenance", assets=(), job="maintain_tables")
        assert await ids(api.admin) == ["maintenance"]
        assert await ids(other.admin) == []
        assert (await other.admin.get(f"{RUNS}/maintenance")).status == 404

    async def test_an_asset_that_is_denied_hides_its_runs(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        id = await user(api, "ada")
        await grant(api, id, "rol_viewer", "platform")
        ran(orchestrator, "hidden")
        ada = api.caller("ada")
        assert await ids(ada) == ["hidden"]
        await grant(api, id, "ai_catalog.asset.get", ASSET, effect="DENY", securable_kind="ai_catalog.asset")
        assert await ids(ada) == []

    async def test_who_may_not_read_the_rows_gets_neither_the_reason_nor_the_log(
        self, api: Api, orchestrator: FakeOrchestrator
    ) -> None:
        run = ran(orchestrator, "failed", RunStatus.FAILED, error="step: the value 4711 is wrong")
        orchestrator.log(run, "4711")
        id = await user(api, "ada")
        for permission in ("ai_catalog.asset.get", "ai_catalog.asset_run.*"):
            await grant(api, id, permission, "platform")
        ada = api.caller("ada")
        assert (await ada.get(f"{RUNS}/{run}")).json["error"] is None
        assert (await ada.get(f"{RUNS}/{run}/logs")).status == 403
        assert (await api.viewer.get(f"{RUNS}/{run}")).json["error"] == "step: the value 4711 is wrong"


@pytest.mark.effect("ai_catalog_get_asset_run_steps", "ai_catalog_get_asset_run_graph", "ai_catalog_get_asset_run_logs")
async def test_a_run_shows_its_steps_its_graph_and_its_log(api: Api, orchestrator: FakeOrchestrator) -> None:
    run = ran(orchestrator, "one", RunStatus.FAILED, assets=(ASSET, SILVER))
    orchestrator.step_states[run] = [
        StepState("flights__silver__flights", StepStatus.FAILED, error="no rows", attempts=1),
        StepState("flights__gold__route_delays", StepStatus.SKIPPED),
    ]
    orchestrator.log(run, "a line")
    steps = (await api.viewer.get(f"{RUNS}/{run}/steps")).json["steps"]
    assert [(step["assets"], step["state"], step["error"]) for step in steps] == [
        ([SILVER], "FAILED", "no rows"),
        ([ASSET], "SKIPPED", None),
    ]
    graph = (await api.viewer.get(f"{RUNS}/{run}/graph")).json
    assert {item["asset"]: item["produced"] for item in graph["nodes"]} == {
        "flights.bronze.flights": False,
        SILVER: True,
        ASSET: True,
    }
    events = await api.viewer.events(f"{RUNS}/{run}/logs")
    assert [event["data"]["message"] for event in events] == ["a line", "FAILED"]


@pytest.mark.effect("ai_catalog_cancel_asset_run")
async def test_a_run_of_a_schedule_is_canceled(api: Api, orchestrator: FakeOrchestrator) -> None:
    run = ran(orchestrator, "night", RunStatus.RUNNING, tags={"dagster/schedule_name": "daily"})
    assert (await api.viewer.post(f"{RUNS}/{run}:cancel", {})).status == 403
    assert [(await caller.get(f"{RUNS}/{run}")).json["cancelable"] for caller in (api.viewer, api.editor)] == [
        False,
        True,
    ]
    assert orchestrator.terminated == []
    reply = await api.editor.post(f"{RUNS}/{run}:cancel", {})
    assert (reply.status, reply.json["state"]) == (200, "CANCELED")
    assert orchestrator.terminated == [run]
    assert (await api.editor.post(f"{RUNS}/{run}:cancel", {})).json["state"] == "CANCELED"
    assert orchestrator.terminated == [run]


@pytest.mark.effect("ai_catalog_retry_asset_run")
class TestRetries:
    async def test_a_failed_run_is_continued(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        run = ran(orchestrator, "night", RunStatus.FAILED, tags={"dagster/schedule_name": "daily"})
        assert (await api.viewer.post(f"{RUNS}/{run}:retry", {})).status == 403
        answers = [(await caller.get(f"{RUNS}/{run}")).json for caller in (api.viewer, api.editor)]
        assert [(answer["retriable"], answer["cancelable"]) for answer in answers] == [(False, False), (True, False)]
        reply = await api.editor.post(f"{RUNS}/{run}:retry", {})
        assert reply.status == 202, reply.response.text
        [launch] = orchestrator.launches
        assert (launch.retries, launch.repeats_all) == (run, False)
        newest = (await listed(api.viewer))[0]
        assert (newest["retry_of"], newest["origin"], newest["started_by"]) == (run, "API", "editor")
        assert newest["operation"] == reply.json["id"]
        refused = await api.editor.post(f"{RUNS}/{run}:retry", {})
        assert (refused.status, newest["id"] in refused.json["detail"]) == (409, True)

    async def test_what_did_not_fail_is_not_repeated(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        ran(orchestrator, "good")
        ran(orchestrator, "pipeline", RunStatus.FAILED, tags={"headwater/pipeline": new_id("pln")})
        ran(orchestrator, "gone", RunStatus.FAILED, assets=("flights.gold.gone",))
        for id in ("good", "pipeline", "gone"):
            assert (await api.admin.post(f"{RUNS}/{id}:retry", {})).status == 409
        assert orchestrator.launches == []

    async def test_who_may_not_make_each_asset_repeats_nothing(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        id = await user(api, "ada")
        await grant(api, id, "rol_editor", "platform")
        await grant(api, id, "ai_catalog.asset.materialize", SILVER, effect="DENY", securable_kind="ai_catalog.asset")
        run = ran(orchestrator, "one", RunStatus.FAILED, assets=(ASSET, SILVER))
        for verb in ("retry", "cancel"):
            refused = await api.caller("ada").post(f"{RUNS}/{run}:{verb}", {})
            assert (refused.status, SILVER in refused.response.text) == (403, False)


async def test_versions_are_not_part_of_a_list(api: Api, orchestrator: FakeOrchestrator) -> None:
    ran(orchestrator, "one", produced=(ProducedVersion(ASSET, "abc@1", None),))
    assert "abc@1" not in (await api.viewer.get(RUNS)).response.text
