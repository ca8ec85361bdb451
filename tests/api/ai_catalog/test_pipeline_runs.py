"""Runs of pipelines are those of Dagster, shown to those who may see their pipeline, and retried once.

The kind: a run of another tenant, a step or a log line that names a hidden asset, a retry that starts twice or reads
what it should not, and a cancelled run that continues.
"""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import timedelta
from typing import Any

import pytest

from core import clock
from core.pipelines import PIPELINE_TAG
from core.runs import RunStatus, StepState, StepStatus
from tests.api.admin.tenants import grant, made, tenant, user
from tests.api.ai_catalog.pipelines import CLEAN, CODE, PATH, RUNS, TOTALS, add_assets, published, started
from tests.api.ai_catalog.provenance_tables import step
from tests.api.both_databases import on_both
from tests.api_process import Api, Caller
from tests.lakehouse_tables import make_tables
from tests.orchestration import AT, FakeOrchestrator


@pytest.fixture(autouse=True)
def assets(orchestrator: FakeOrchestrator) -> None:
    add_assets(orchestrator)


async def failed(api: Api, orchestrator: FakeOrchestrator, **spec: Any) -> tuple[str, str]:
    """Publishes a pipeline and starts a run, which fails. Returns the ids of both."""
    id = (await published(api, **spec))["id"]
    operation = await started(api.editor, id)
    (run,) = operation["runs"]
    await end(api, orchestrator, operation["id"], run, RunStatus.FAILED)
    return id, run


async def end(api: Api, orchestrator: FakeOrchestrator, operation: str, run: str, status: RunStatus) -> None:
    orchestrator.end(run, status, error="the disk is full" if status is RunStatus.FAILED else None)
    assert (await made(api.editor.get(f"operations/{operation}")))["state"] == status.value


async def blind(api: Api) -> Caller:
    """An editor who can't see one of the assets."""
    id = await user(api, "blind")
    await grant(api, id, "rol_editor", "org_default")
    await grant(api, id, "ai_catalog.asset.get", TOTALS, securable_kind="ai_catalog.asset", effect="DENY")
    return api.caller("blind")


async def retry(caller: Caller, run: str, **body: Any) -> Any:
    return await caller.post(f"{RUNS}/{run}:retry", body)


class TestList:
    async def test_filters_and_pages_over_the_runs_of_dagster(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        first, run = await failed(api, orchestrator, parameters={})
        second = (await published(api, "weekly"))["id"]
        for _ in range(3):
            await started(api.editor, second)
        everything = await made(api.viewer.get(f"{RUNS}?page_size=3"))
        assert [item["id"] for item in everything["items"]] == ["run-4", "run-3", "run-2"]
        await started(api.editor, second)
        rest = await made(api.viewer.get(f"{RUNS}?page_size=3&page_token={everything['next_page_token']}"))
        assert ([item["id"] for item in rest["items"]], rest["next_page_token"]) == ([run], None)
        soon = (clock.now() + timedelta(hours=1)).isoformat()[:19]
        for query in (
            "state=FAILED",
            f"pipeline={first}",
            'filter=state == "FAILED"',
            f"created_before={soon}Z&state=FAILED",
        ):
            found = (await made(api.viewer.get(f"{RUNS}?{query}")))["items"]
            assert [item["id"] for item in found] == [run], query
        one = await made(api.viewer.get(f"{RUNS}/{run}"))
        assert (one["pipeline_id"], one["state"], one["started_by"], one["revision"]) == (first, "FAILED", "editor", 2)

    async def test_another_tenant_sees_and_stops_nothing(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        id, run = await failed(api, orchestrator)
        await retry(api.editor, run)
        other = (await tenant(api, "globex")).admin
        assert (await made(other.get(RUNS)))["items"] == []
        assert (await made(other.get(f"{RUNS}?pipeline={id}")))["items"] == []
        for part in ("", "/steps", "/graph", "/outputs", "/logs"):
            assert (await other.get(f"{RUNS}/{run}{part}")).status == 404
        for verb in ("cancel", "retry"):
            assert (await other.post(f"{RUNS}/run-2:{verb}", {})).status == 404
        assert orchestrator.terminated == []

    async def test_runs_that_belong_to_no_pipeline_are_not_shown(
        self, api: Api, orchestrator: FakeOrchestrator
    ) -> None:
        _, run = await failed(api, orchestrator)
        forged = dataclasses.replace(orchestrator.run_states[run], id="run-x", tags={PIPELINE_TAG: "pln_none"})
        orchestrator.run_states["run-x"] = forged
        assert (await api.admin.get(f"{RUNS}/run-x")).status == 404
        assert (await api.admin.get(f"{RUNS}/no-run")).status == 404
        assert [item["id"] for item in (await made(api.admin.get(RUNS)))["items"]] == [run]

    async def test_runs_of_a_deleted_pipeline_stay(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        id, run = await failed(api, orchestrator)
        await made(api.editor.post(f"{PATH}/{id}:unpublish", {}))
        assert (await api.editor("DELETE", f"{PATH}/{id}")).status == 204
        assert (await made(api.viewer.get(f"{RUNS}/{run}")))["pipeline_id"] == id
        assert (await retry(api.editor, run)).status == 409


@pytest.mark.effect("ai_catalog_cancel_pipeline_run")
async def test_cancelling_stops_the_run(api: Api, orchestrator: FakeOrchestrator) -> None:
    id = (await published(api))["id"]
    (run,) = (await started(api.editor, id))["runs"]
    assert (await api.viewer.post(f"{RUNS}/{run}:cancel", {})).status == 403
    assert (await made(api.editor.post(f"{RUNS}/{run}:cancel", {})))["state"] == "CANCELED"
    assert orchestrator.terminated == [run]
    assert (await made(api.editor.post(f"{RUNS}/{run}:cancel", {})))["state"] == "CANCELED"
    assert orchestrator.terminated == [run]


@pytest.mark.effect("ai_catalog_retry_pipeline_run")
class TestRetry:
    async def test_repeats_the_failed_steps_of_the_run(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        id, run = await failed(api, orchestrator)
        answer = await retry(api.editor, run)
        assert answer.status == 202, answer.response.text
        launch = orchestrator.launches[-1]
        assert (launch.retries, launch.repeats_all, launch.job) == (run, False, f"nightly__{id}")
        again = await made(api.viewer.get(f"{RUNS}/{answer.json['runs'][0]}"))
        assert (again["retry_of"], again["pipeline_id"]) == (run, id)

    @on_both
    async def test_requests_at_once_start_one_retry(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        _, run = await failed(api, orchestrator)
        answers = await asyncio.gather(*(retry(api.editor, run) for _ in range(4)))
        assert sorted(answer.status for answer in answers) == [202, 409, 409, 409]
        assert len(orchestrator.launches) == 2

    async def test_only_the_newest_attempt_is_retried(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        _, run = await failed(api, orchestrator)
        second = (await retry(api.editor, run)).json
        await end(api, orchestrator, second["id"], second["runs"][0], RunStatus.FAILED)
        answer = await retry(api.editor, run)
        assert (answer.status, second["runs"][0] in answer.json["detail"]) == (409, True)
        third = await retry(api.editor, second["runs"][0], all_steps=True)
        assert (third.status, orchestrator.launches[-1].repeats_all) == (202, True)
        await end(api, orchestrator, third.json["id"], third.json["runs"][0], RunStatus.SUCCEEDED)
        for id in (run, second["runs"][0], third.json["runs"][0]):
            assert (await retry(api.editor, id)).status == 409

    async def test_needs_the_right_to_materialize_every_asset(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        _, run = await failed(api, orchestrator)
        answer = await retry(await blind(api), run)
        assert (answer.status, TOTALS in answer.response.text) == (403, False)
        assert (await retry(api.viewer, run)).status == 403

    async def test_needs_the_rights_on_the_assets_that_the_failed_run_had(
        self, api: Api, orchestrator: FakeOrchestrator
    ) -> None:
        id, run = await failed(api, orchestrator)
        await made(api.editor("PATCH", f"{PATH}/{id}", json={"spec": {"assets": [CLEAN]}}))
        await made(api.editor.post(f"{PATH}/{id}:publish", {}))
        assert (await retry(await blind(api), run)).status == 403
        assert (await retry(api.editor, run)).status == 202

    async def test_an_old_run_is_not_retried(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        _, run = await failed(api, orchestrator)
        state = orchestrator.run_states[run]
        orchestrator.run_states[run] = dataclasses.replace(state, created_at=clock.now() - timedelta(days=31))
        assert (await retry(api.editor, run)).status == 409


@pytest.mark.effect("ai_catalog_get_pipeline_run_steps", "ai_catalog_get_pipeline_run_outputs")
async def test_steps_and_outputs_without_hidden_assets(api: Api, orchestrator: FakeOrchestrator) -> None:
    _, run = await failed(api, orchestrator)
    later = AT + timedelta(seconds=5)
    orchestrator.step_states[run] = [
        StepState("flights__gold__clean", StepStatus.SUCCEEDED, AT, later, 1),
        StepState("flights__gold__totals", StepStatus.FAILED, later, later, 3, "the disk is full"),
    ]
    orchestrator.end(run, RunStatus.FAILED, versions={CLEAN: "c@1", TOTALS: "t@1"})
    steps = (await made(api.viewer.get(f"{RUNS}/{run}/steps")))["steps"]
    assert [(item["assets"], item["state"], item["attempts"]) for item in steps] == [
        ([CLEAN], "SUCCEEDED", 1),
        ([TOTALS], "FAILED", 3),
    ]
    assert steps[1]["error"] == "the disk is full"
    caller = await blind(api)
    for part, name in (("steps", "totals"), ("outputs", TOTALS)):
        answer = await caller.get(f"{RUNS}/{run}/{part}")
        assert name not in answer.response.text
        assert (len(answer.json[part]), answer.json["hidden"]) == (1, 1)
    unread = await user(api, "unread")
    await grant(api, unread, "rol_viewer", "org_default")
    await grant(api, unread, "ai_catalog.asset.preview", TOTALS, securable_kind="ai_catalog.asset", effect="DENY")
    answer = await api.caller("unread").get(f"{RUNS}/{run}/steps")
    assert ("the disk is full" in answer.response.text, answer.json["steps"][1]["state"]) == (False, "FAILED")
    assert (await api.caller("unread").get(f"{RUNS}/{run}/logs")).status == 403
    outputs = (await made(api.viewer.get(f"{RUNS}/{run}/outputs")))["outputs"]
    assert {item["asset"]: item["data_version"] for item in outputs} == {CLEAN: "c@1", TOTALS: "t@1"}


@on_both
@pytest.mark.effect("ai_catalog_get_pipeline_run_graph")
async def test_the_graph_has_the_versions_that_were_read_and_written(api: Api, orchestrator: FakeOrchestrator) -> None:
    import pyarrow as pa

    from lakehouse.lineage import Lineage

    _, run = await failed(api, orchestrator)
    tables = make_tables(api.app.platform.settings, api.database)
    running = step(tables, Lineage(api.database), CLEAN, run)
    read = running.read(CODE).data_version
    written = running.overwrite(pa.table({"n": [1]})).data_version
    graph = await made(api.viewer.get(f"{RUNS}/{run}/graph"))
    assert {item["asset"]: (item["produced"], item["version"]) for item in graph["nodes"]} == {
        CODE: (False, read),
        CLEAN: (True, written),
        TOTALS: (True, None),
    }
    edges = {(item["input"], item["output"]): item["input_version"] for item in graph["edges"]}
    assert edges == {(CODE, CLEAN): read, (CLEAN, TOTALS): None}
    answer = await (await blind(api)).get(f"{RUNS}/{run}/graph")
    assert (TOTALS in answer.response.text, answer.json["hidden"]) == (False, 1)


@pytest.mark.effect("ai_catalog_get_pipeline_run_logs")
async def test_logs_end_and_continue_after_the_last_line(api: Api, orchestrator: FakeOrchestrator) -> None:
    _, run = await failed(api, orchestrator)
    for message in ("one", "two", "three"):
        orchestrator.log(run, message)
    events = await api.viewer.events(f"{RUNS}/{run}/logs")
    assert [item["data"]["message"] for item in events] == ["one", "two", "three", "FAILED"]
    assert events[-1]["event"] == "end"
    later = await api.viewer.events(f"{RUNS}/{run}/logs", headers={"last-event-id": events[0]["id"]})
    assert [item["data"]["message"] for item in later] == ["two", "three", "FAILED"]
    answer = await (await blind(api)).get(f"{RUNS}/{run}/logs")
    assert (answer.status, "one" in answer.response.text) == (403, False)
