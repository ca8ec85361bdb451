"""A pipeline is checked before it is a job, runs under the rights of who starts it, and starts once.

The kind: a pipeline that materializes what its starter may not, one that names what its reader can't see, a value that
no asset takes, and two runs for one request.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
from typing import Any

import pytest

from api.services.ai_catalog.logic.publisher_rights import PublisherRights
from core.pipelines import PIPELINE_TAG, published_pipelines
from core.ports import Automation
from core.runs import RunStatus
from tests.api.admin.tenants import grant, made, user
from tests.api.ai_catalog.pipelines import CLEAN, CODE, PATH, TOTALS, add_assets, pipeline, project, published, started
from tests.api.both_databases import on_both
from tests.api_process import Api, Caller
from tests.orchestration import AT, FakeOrchestrator, FakePublisher, node

DAYS = {"type": "INTEGER", "default": 7, "targets": [{"asset": TOTALS, "field": "days"}]}


@pytest.fixture(autouse=True)
def assets(orchestrator: FakeOrchestrator) -> None:
    add_assets(orchestrator)


def rows(api: Api) -> list[Any]:
    with api.database.read() as connection:
        return published_pipelines(connection, "flights")


async def editor_without(api: Api, name: str, asset: str, right: str) -> Caller:
    """An editor who is denied a right on an asset."""
    id = await user(api, name)
    await grant(api, id, "rol_editor", "org_default")
    await grant(api, id, right, asset, securable_kind="ai_catalog.asset", effect="DENY")
    return api.caller(name)


@pytest.mark.effect("ai_catalog_publish_pipeline", "ai_catalog_get_pipeline_publication")
class TestPublish:
    async def test_makes_it_the_input_of_a_job(self, api: Api) -> None:
        found = await published(api, parameters={"days": DAYS}, retries=2, schedule={"cron": "0 6 * * *"})
        (row,) = rows(api)
        assert (row.id, row.assets, row.config) == (found["id"], (CLEAN, TOTALS), {TOTALS: {"days": 7}})
        assert (row.job, row.revision, row.cron, row.retries) == (
            f"nightly__{row.id}",
            found["version"],
            "0 6 * * *",
            2,
        )
        assert found["status"]["state"] == "PUBLISHED"
        publication = await made(api.viewer.get(f"{PATH}/{row.id}/publication"))
        assert (publication["job"], publication["modified"], publication["error"], publication["published_by"]) == (
            row.job,
            False,
            None,
            "editor",
        )

    async def test_tells_whether_dagster_has_the_job(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        id = (await published(api))["id"]
        for jobs, loaded in ((("__ASSET_JOB",), False), (("__ASSET_JOB", f"nightly__{id}"), True)):
            for asset in (CLEAN, TOTALS):
                orchestrator.nodes[asset] = dataclasses.replace(orchestrator.nodes[asset], jobs=jobs)
            assert (await made(api.viewer.get(f"{PATH}/{id}/publication")))["loaded"] is loaded

    @on_both
    async def test_a_later_change_is_a_draft_until_it_is_published(self, api: Api) -> None:
        found = await published(api)
        await made(api.editor("PATCH", f"{PATH}/{found['id']}", json={"name": "daily", "spec": {"assets": [CLEAN]}}))
        assert rows(api)[0].assets == (CLEAN, TOTALS)
        assert (await made(api.viewer.get(f"{PATH}/{found['id']}/publication")))["modified"]
        await made(api.editor.post(f"{PATH}/{found['id']}:publish", {}))
        (row,) = rows(api)
        assert (row.assets, row.job) == ((CLEAN,), f"nightly__{found['id']}"), "the job keeps its runs and its schedule"

    @pytest.mark.parametrize(
        ("spec", "pointer"),
        [
            ({"assets": ["flights.no.table"]}, "/spec/assets/0"),
            ({"assets": ["other.gold.clean"]}, "/spec/assets/0"),
            ({"assets": [CODE]}, "/spec/assets/0"),
            (
                {"parameters": {"x": {"targets": [{"asset": CLEAN, "field": "days"}]}}},
                "/spec/parameters/x/targets/0/field",
            ),
            (
                {"parameters": {"x": {"targets": [{"asset": CODE, "field": "days"}]}}},
                "/spec/parameters/x/targets/0/asset",
            ),
            ({"parameters": {"a": DAYS, "b": DAYS}}, "/spec/parameters/b/targets/0"),
        ],
    )
    async def test_what_can_not_run_is_refused(self, api: Api, spec: dict[str, Any], pointer: str) -> None:
        id = (await pipeline(api, **spec))["id"]
        answer = await api.editor.post(f"{PATH}/{id}:publish", {})
        assert (answer.status, [fault["pointer"] for fault in answer.json["errors"]]) == (422, [pointer])
        assert rows(api) == []
        report = await made(api.viewer.post(f"{PATH}/{id}:validate", {}))
        assert not report["publishable"]
        assert pointer in [fault["pointer"] for fault in report["errors"]]

    async def test_needs_the_right_to_materialize_every_asset(self, api: Api) -> None:
        id = (await pipeline(api))["id"]
        sees = await editor_without(api, "sees", TOTALS, "ai_catalog.asset.materialize")
        answer = await sees.post(f"{PATH}/{id}:publish", {})
        assert (answer.status, answer.json["errors"][0]["detail"]) == (422, "may not be materialized by you")
        blind = await editor_without(api, "blind", TOTALS, "ai_catalog.asset.get")
        answer = await blind.post(f"{PATH}/{id}:publish", {})
        assert answer.json["errors"][0]["detail"] == f"There is no asset {TOTALS!r}.", "as for one that doesn't exist"
        assert (await api.viewer.post(f"{PATH}/{id}:publish", {})).status == 403

    async def test_a_hidden_asset_is_a_number(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        found = await published(api)
        blind = await editor_without(api, "blind", TOTALS, "ai_catalog.asset.get")
        del orchestrator.nodes[TOTALS]
        answer = await blind.get(f"{PATH}/{found['id']}/publication")
        assert TOTALS not in answer.response.text
        assert (answer.json["hidden_assets"], answer.json["missing_assets"]) == (1, [])

    async def test_an_asset_that_is_gone_is_named_and_stops_every_run(
        self, api: Api, orchestrator: FakeOrchestrator
    ) -> None:
        found = await published(api)
        orchestrator.nodes[TOTALS] = dataclasses.replace(orchestrator.nodes[TOTALS], executable=False)
        publication = await made(api.viewer.get(f"{PATH}/{found['id']}/publication"))
        assert (publication["missing_assets"], bool(publication["error"])) == ([TOTALS], True)
        answer = await api.editor.post(f"{PATH}/{found['id']}:run", {})
        assert (answer.status, TOTALS in answer.json["detail"]) == (409, True)
        assert orchestrator.launches == []

    @on_both
    async def test_a_publisher_who_loses_the_right_blocks_it(self, api: Api) -> None:
        found = await published(api)
        rights = PublisherRights(api.app.platform, FakePublisher())
        editor = str((await made(api.admin.get("admin/users/editor")))["id"])
        denial = await grant(
            api, editor, "ai_catalog.asset.materialize", TOTALS, securable_kind="ai_catalog.asset", effect="DENY"
        )
        await asyncio.to_thread(lambda: rights._apply(*rights._check()))
        assert "can no longer materialize" in rows(api)[0].error
        answer = await api.admin.post(f"{PATH}/{found['id']}:run", {})
        assert (answer.status, "editor" in answer.json["detail"]) == (409, True)
        await api.admin("DELETE", f"admin/grants/{denial}")
        await asyncio.to_thread(lambda: rights._apply(*rights._check()))
        assert rows(api)[0].error == ""


@pytest.mark.effect("ai_catalog_validate_pipeline")
class TestSelection:
    async def test_is_evaluated_at_the_publication(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        created = await pipeline(api, assets=[], selection='key:"flights/gold/clean"+', parameters={"days": DAYS})
        path = f"{PATH}/{created['id']}"
        report = await made(api.editor.post(f"{path}:validate", {}))
        assert (report["publishable"], report["assets"]) == (True, [CLEAN, TOTALS])
        await made(api.editor.post(f"{path}:publish", {}))
        (row,) = rows(api)
        assert (row.assets, row.config) == ((CLEAN, TOTALS), {TOTALS: {"days": 7}})
        later = "flights.gold.later"
        orchestrator.nodes[later] = node(later, [CLEAN], location="published")
        assert (await made(api.viewer.get(f"{path}/publication")))["assets"] == [CLEAN, TOTALS]
        assert (await made(api.viewer.get(path)))["spec"]["assets"] == []
        await started(api.editor, created["id"])
        assert orchestrator.launches[-1].assets == (CLEAN, TOTALS)
        await made(api.editor.post(f"{path}:publish", {}))
        assert rows(api)[0].assets == (CLEAN, later, TOTALS)

    @pytest.mark.parametrize(
        "text", ["group:", 'key:"flights/gold/none"', "kind:nothing", "((", CODE.replace(".", "/")]
    )
    async def test_what_selects_nothing_is_refused(self, api: Api, text: str) -> None:
        created = await pipeline(api, assets=[], selection=text)
        refused = await api.editor.post(f"{PATH}/{created['id']}:publish", {})
        assert (refused.status, refused.json["errors"][0]["pointer"]) == (422, "/spec/selection")
        assert rows(api) == []

    async def test_selects_only_what_the_publisher_sees(self, api: Api) -> None:
        created = await pipeline(api, assets=[], selection="group:default")
        caller = await editor_without(api, "ivy", TOTALS, "ai_catalog.asset.get")
        await made(caller.post(f"{PATH}/{created['id']}:publish", {}))
        assert rows(api)[0].assets == (CLEAN,)
        powerless = await editor_without(api, "tom", TOTALS, "ai_catalog.asset.materialize")
        refused = await powerless.post(f"{PATH}/{created['id']}:publish", {})
        assert (refused.status, TOTALS in refused.json["errors"][0]["detail"]) == (422, True)

    @pytest.mark.parametrize("spec", [{"assets": []}, {"selection": "*"}])
    async def test_a_pipeline_names_its_assets_in_one_way(self, api: Api, spec: dict[str, Any]) -> None:
        await project(api)
        body = {"name": "two", "project_id": "flights", "spec": {"title": "Two", "assets": [CLEAN]} | spec}
        assert (await api.editor.post(PATH, body)).status == 422


async def test_a_report_names_the_checks_that_stop_a_run(api: Api, orchestrator: FakeOrchestrator) -> None:
    id = (await pipeline(api))["id"]
    orchestrator.states[CLEAN] = orchestrator.states["flights.bronze.flights"]
    report = await made(api.editor.post(f"{PATH}/{id}:validate", {}))
    assert (report["publishable"], report["gates"]) == (True, [{"asset": CLEAN, "check": "not_empty"}])
    assert rows(api) == []


@on_both
@pytest.mark.effect("ai_catalog_unpublish_pipeline")
async def test_unpublishing_removes_the_job_and_allows_the_deletion(api: Api) -> None:
    id = (await published(api))["id"]
    assert (await api.editor("DELETE", f"{PATH}/{id}")).status == 409
    assert (await api.viewer.post(f"{PATH}/{id}:unpublish", {})).status == 403
    await made(api.editor.post(f"{PATH}/{id}:unpublish", {}))
    assert rows(api) == []
    assert (await api.editor.post(f"{PATH}/{id}:unpublish", {})).status == 409
    assert (await api.editor.post(f"{PATH}/{id}:run", {})).status == 409
    assert (await api.editor("DELETE", f"{PATH}/{id}")).status == 204


@pytest.mark.effect("ai_catalog_get_pipeline_schedule")
async def test_the_schedule_is_the_one_of_dagster(api: Api, orchestrator: FakeOrchestrator) -> None:
    id = (await pipeline(api, schedule={"cron": "30 6 * * *", "timezone": "Europe/Berlin"}))["id"]
    assert (await api.viewer.get(f"{PATH}/{id}/schedule")).status == 409
    await made(api.editor.post(f"{PATH}/{id}:publish", {}))
    assert (await made(api.viewer.get(f"{PATH}/{id}/schedule")))["schedule"] is None, "Dagster has not loaded it"
    name = f"nightly__{id}_schedule"
    orchestrator.schedules[name] = Automation(
        *(name, "", True, f"nightly__{id}", (CLEAN, TOTALS), "published", "__repository__"), pipeline=id, upcoming=(AT,)
    )
    times = await made(api.viewer.get(f"{PATH}/{id}/schedule"))
    assert (times["schedule"], times["state"], times["next_at"]) == (name, "RUNNING", ["2026-01-02T03:04:05Z"])
    await made(api.editor.post(f"ai-catalog/schedules/{name}:stop", {}))
    assert (await made(api.viewer.get(f"{PATH}/{id}/schedule")))["state"] == "STOPPED"


@pytest.mark.parametrize(
    "schedule",
    [
        {"cron": "0 6 * *"},
        {"cron": "0 25 * * *"},
        {"cron": "0 0 31 2 *"},
        {"cron": "* * * * * *"},
        {"cron": "0 6 * * *", "timezone": "Mars/Olympus"},
        {"cron": "0 6 * * *", "timezone": "../../etc/passwd"},
        {"cron": "0 6 * * *", "catch_up": "ALL"},
    ],
)
async def test_times_that_never_come_are_refused(api: Api, schedule: dict[str, str]) -> None:
    spec = {"title": "x", "assets": [CLEAN], "schedule": schedule}
    await pipeline(api, "other")
    answer = await api.editor.post(PATH, {"name": "nightly", "project_id": "flights", "spec": spec})
    assert (answer.status, answer.json["errors"][0]["pointer"].startswith("/spec/schedule")) == (422, True)


@pytest.mark.effect("ai_catalog_run_pipeline")
class TestRun:
    async def test_launches_the_job_with_the_parameters(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        mode = {"allowed": ["a", "b"], "default": "a", "targets": [{"asset": TOTALS, "field": "mode"}]}
        found = await published(api, parameters={"days": DAYS, "mode": mode})
        operation = await started(api.editor, found["id"], parameters={"days": 30})
        launch = orchestrator.launches[-1]
        assert (launch.job, launch.assets) == (f"nightly__{found['id']}", (CLEAN, TOTALS))
        assert launch.config == {"flights__gold__totals": {"days": 30, "mode": "a"}}
        assert json.loads(launch.tags["headwater/pipeline_parameters"]) == {"days": 30, "mode": "a"}
        assert launch.tags[PIPELINE_TAG] == launch.tags["headwater/pipeline_queue"] == found["id"]
        assert launch.tags["headwater/principal"] == "editor"
        assert (operation["subject"], operation["project_id"]) == (found["id"], found["project_id"])

    @pytest.mark.parametrize(
        "values", [{"days": "7"}, {"days": True}, {"days": 1.5}, {"other": 1}, {"days": [1]}, {"days": None}]
    )
    async def test_values_that_do_not_fit_are_refused(
        self, api: Api, orchestrator: FakeOrchestrator, values: dict[str, Any]
    ) -> None:
        found = await published(api, parameters={"days": DAYS})
        assert (await api.editor.post(f"{PATH}/{found['id']}:run", {"parameters": values})).status == 422
        assert orchestrator.launches == []

    async def test_needs_the_right_to_materialize_every_asset(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        found = await published(api)
        for name, right in (("sees", "ai_catalog.asset.materialize"), ("blind", "ai_catalog.asset.get")):
            caller = await editor_without(api, name, TOTALS, right)
            answer = await caller.post(f"{PATH}/{found['id']}:run", {})
            assert answer.status == 403
            assert TOTALS not in answer.response.text
        assert (await api.viewer.post(f"{PATH}/{found['id']}:run", {})).status == 403
        assert orchestrator.launches == []

    async def test_a_repeated_request_starts_one_run(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        found = await published(api)
        headers = {"idempotency-key": "night-1"}
        answers = [await api.editor.post(f"{PATH}/{found['id']}:run", {}, headers=headers) for _ in range(2)]
        assert answers[0].json["id"] == answers[1].json["id"]
        assert len(orchestrator.launches) == 1

    @on_both
    async def test_a_run_that_is_active_is_not_joined_if_the_pipeline_skips(
        self, api: Api, orchestrator: FakeOrchestrator
    ) -> None:
        found = await published(api, overlap="SKIP")
        url = f"{PATH}/{found['id']}:run"
        answers = await asyncio.gather(*(api.editor.post(url, {}) for _ in range(4)))
        assert sorted(answer.status for answer in answers) == [202, 409, 409, 409]
        assert len(orchestrator.launches) == 1
        orchestrator.end("run-1", RunStatus.SUCCEEDED)
        operation = next(answer.json["id"] for answer in answers if answer.status == 202)
        assert (await made(api.editor.get(f"operations/{operation}")))["state"] == "SUCCEEDED"
        assert (await api.editor.post(url, {})).status == 202

    async def test_a_trial_starts_nothing(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        found = await published(api)
        answer = await api.editor.post(f"{PATH}/{found['id']}:run?validate_only=true", {})
        assert answer.status < 300
        assert orchestrator.launches == []


@pytest.mark.effect("ai_catalog_backfill_pipeline")
async def test_partitions_become_a_backfill(api: Api, orchestrator: FakeOrchestrator) -> None:
    daily = "flights.gold.daily_totals"
    orchestrator.nodes[daily] = node(daily, [CODE], location="published", partitioned=True)
    found = await published(api, assets=[daily])
    assert (await api.editor.post(f"{PATH}/{found['id']}:run", {})).status == 409
    url = f"{PATH}/{found['id']}:backfill"
    assert (await api.editor.post(url, {})).status == 422
    assert (await api.editor.post(url, {"partitions": ["z"]})).status == 422
    answer = await api.editor.post(url, {"partitions": ["a", "b"]})
    assert answer.status == 202, answer.response.text
    launch = orchestrator.launches[-1]
    assert (launch.partitions, launch.tags[PIPELINE_TAG], launch.job) == (("a", "b"), found["id"], "")
    assert answer.json["backfill"] == "run-1"


@on_both
@pytest.mark.effect("ai_catalog_get_pipeline_diff")
async def test_a_diff_names_assets_and_fields(api: Api) -> None:
    found = await published(api, schedule={"cron": "0 6 * * *"})
    change = {"assets": [CLEAN], "schedule": {"cron": "0 7 * * *"}, "retries": 1}
    await made(api.editor("PATCH", f"{PATH}/{found['id']}", json={"spec": change}))
    diff = await made(api.viewer.get(f"{PATH}/{found['id']}/diff"))
    assert (diff["from_revision"], diff["assets_removed"], diff["assets_added"]) == (found["version"], [TOTALS], [])
    assert {item["field"]: (item["before"], item["after"]) for item in diff["changes"]} == {
        "retries": (0, 1),
        "schedule.cron": ("0 6 * * *", "0 7 * * *"),
    }
    blind = await editor_without(api, "blind", TOTALS, "ai_catalog.asset.get")
    assert TOTALS not in (await blind.get(f"{PATH}/{found['id']}/diff")).response.text
    assert (await api.viewer.get(f"{PATH}/{found['id']}/diff?from=99")).status == 404


async def test_an_asset_of_a_published_pipeline_is_not_retired(api: Api, orchestrator: FakeOrchestrator) -> None:
    made_over_rest = "flights.gold.made"
    attributes = {"asset": made_over_rest, "description": "x", "sql": "SELECT 1"}
    body = {"component": "SqlTransformComponent", "attributes": attributes}
    await made(api.editor.post("ai-catalog/definitions", body))
    await made(api.editor.post(f"ai-catalog/definitions/{made_over_rest}:publish", {}))
    orchestrator.nodes[made_over_rest] = node(made_over_rest, location="published")
    id = (await published(api, assets=[made_over_rest]))["id"]
    answer = await api.editor.post(f"ai-catalog/definitions/{made_over_rest}:retire", {})
    assert (answer.status, answer.json["metadata"]["used_by"]) == (409, [id])
    await made(api.editor.post(f"{PATH}/{id}:unpublish", {}))
    await made(api.editor.post(f"ai-catalog/definitions/{made_over_rest}:retire", {}))
