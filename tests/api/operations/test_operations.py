"""Operations: accepted, followed, and cancelled for real."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from api.kernel.tables import IDEMPOTENCY, OPERATION
from core.errors import InvalidPayload, Unavailable
from core.runs import RunStatus
from tests.api.both_databases import on_both
from tests.api.operations.materializations import ASSET, materialize, refused, rows, seen
from tests.api_process import Api
from tests.orchestration import FakeOrchestrator, node


class TestMaterialize:
    @pytest.mark.effect("ai_catalog_materialize_asset")
    async def test_starts_a_run_and_says_how_to_follow_it(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        operation = await materialize(api.editor)
        assert operation["state"] == "RUNNING"
        assert operation["action"] == "ai_catalog.asset.materialize"
        assert operation["created_by"] == "editor"
        (launch,) = orchestrator.launches
        assert launch.assets == (ASSET,)
        assert launch.tags == {"headwater/operation": operation["id"], "headwater/principal": "editor"}

    async def test_only_tried_it_launches_nothing(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        reply = await api.editor.post(f"ai-catalog/assets/{ASSET}:materialize?validate_only=true", {})
        assert (reply.status, reply.json["state"]) == (202, "PENDING")
        assert (orchestrator.launches, rows(api, OPERATION)) == ([], [])

    async def test_upstream_takes_everything_it_is_made_from(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        await materialize(api.editor, upstream=True)
        assert orchestrator.launches[0].assets == ("flights.bronze.flights", ASSET, "flights.silver.flights")

    @pytest.mark.effect("ai_catalog_materialize_assets")
    async def test_several_assets_at_once(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        body = {"assets": ["flights.bronze.flights", "flights.silver.flights"]}
        reply = await api.editor.post("ai-catalog/assets:materialize", body)
        assert (reply.status, reply.headers["x-operation"]) == (202, "ai_catalog_materialize_assets")
        assert orchestrator.launches[0].assets == ("flights.bronze.flights", "flights.silver.flights")

    async def test_config_reaches_the_asset(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        await materialize(api.editor, config={"rows": 3})
        assert orchestrator.launches[0].config == {ASSET: {"rows": 3}}

    @pytest.mark.parametrize(
        ("asset", "body", "says"),
        [
            ("flights.gold.daily", {}, "has partitions"),
            ("flights.gold.daily", {"partitions": ["a", "d"]}, "no partition d"),
            ("flights.gold.daily", {"partitions": ["a"], "all_partitions": True}, "either"),
            (ASSET, {"partitions": ["a"]}, "has no partitions"),
            ("flights.source.prices", {}, "only observed"),
        ],
    )
    async def test_refuses_what_cannot_be_made(self, api: Api, asset: str, body: dict[str, Any], says: str) -> None:
        reply = await api.editor.post(f"ai-catalog/assets/{asset}:materialize", body)
        assert reply.status == 422
        assert says in reply.json["detail"]
        assert rows(api, OPERATION) == []

    @on_both
    async def test_what_the_orchestrator_refuses_is_told_and_kept_as_failed(
        self, api: Api, orchestrator: FakeOrchestrator
    ) -> None:
        orchestrator.refusal = InvalidPayload("Received unexpected config entry nope.")
        reply = await api.editor.post(f"ai-catalog/assets/{ASSET}:materialize", {"config": {"nope": 1}})
        assert (reply.status, reply.json["detail"]) == (422, "Received unexpected config entry nope.")
        (row,) = rows(api, OPERATION)
        assert (row["state"], row["error"]) == ("FAILED", "Received unexpected config entry nope.")

    async def test_answers_503_while_dagster_is_away_and_the_same_key_works_later(
        self, api: Api, orchestrator: FakeOrchestrator
    ) -> None:
        orchestrator.away = True
        again = {"headers": {"idempotency-key": "k1"}}
        reply = await api.editor.post(f"ai-catalog/assets/{ASSET}:materialize", {}, **again)
        assert (reply.status, reply.headers["retry-after"]) == (503, "2")
        assert rows(api, IDEMPOTENCY) == []
        orchestrator.away = False
        assert (await api.editor.post(f"ai-catalog/assets/{ASSET}:materialize", {}, **again)).status == 202
        assert len(orchestrator.launches) == 1

    async def test_leaves_one_audit_row_with_the_operation(self, api: Api) -> None:
        operation = await materialize(api.editor)
        (event,) = api.events("ai_catalog.asset")
        assert event["type"] == "ai_catalog.asset.materialize_requested"
        assert (event["subject"], event["principal"]) == (ASSET, "editor")
        assert event["data"]["operation"] == operation["id"]
        assert event["data"]["outcome"] == "succeeded"
        assert event["request_id"] == operation["request_id"]


class TestGetOperation:
    async def test_follows_the_run_to_its_end(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        id = (await materialize(api.editor, upstream=True))["id"]
        orchestrator.advance("run-1", 2)
        running = await seen(api, id, lambda now: now["progress"]["done"] == 2)
        assert (running["state"], running["progress"]["total"]) == ("RUNNING", 3)
        orchestrator.end("run-1", RunStatus.SUCCEEDED, versions={ASSET: "new@7"})
        ended = await seen(api, id, lambda now: now["finished_at"] is not None)
        assert ended["state"] == "SUCCEEDED"
        assert ended["progress"] == {"done": 3, "total": 3}
        assert ended["produced"] == [{"asset": ASSET, "data_version": "new@7", "partition": None}]
        assert (await api.viewer.get(f"ai-catalog/assets/{ASSET}")).json["data_version"] == "new@7"
        [event] = api.events("operations.operation")
        assert event["type"] == "operations.operation.succeeded"
        assert event["traceparent"] is None, "no other system knows of a trace that begins here"

    async def test_tells_why_it_failed(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        id = (await materialize(api.editor))["id"]
        orchestrator.end("run-1", RunStatus.FAILED, error="step: ZeroDivisionError")
        ended = await seen(api, id, lambda now: now["finished_at"] is not None)
        assert (ended["state"], ended["error"]) == ("FAILED", "step: ZeroDivisionError")

    async def test_a_run_that_was_deleted_counts_as_failed(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        id = (await materialize(api.editor))["id"]
        orchestrator.run_states.clear()
        ended = await seen(api, id, lambda now: now["finished_at"] is not None)
        assert (ended["state"], ended["error"]) == ("FAILED", "Run run-1 was deleted.")

    async def test_shows_the_last_state_while_dagster_is_away(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        id = (await materialize(api.editor))["id"]
        orchestrator.away = True
        assert (await api.viewer.get(f"operations/{id}")).json["state"] == "RUNNING"
        orchestrator.away = False
        orchestrator.end("run-1", RunStatus.SUCCEEDED)
        await seen(api, id, lambda now: now["state"] == "SUCCEEDED")

    async def test_a_backfill_counts_partitions(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        operation = await materialize(api.editor, "flights.gold.daily", partitions=["a", "b"])
        assert operation["backfill"] == "run-1"
        seen_now = await seen(api, operation["id"], lambda now: now["progress"]["total"] == 2)
        assert seen_now["state"] == "RUNNING"

    async def test_its_end_is_written_without_anybody_looking(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        await materialize(api.editor)
        orchestrator.end("run-1", RunStatus.SUCCEEDED)
        async with asyncio.timeout(60):
            while rows(api, OPERATION)[0]["state"] != "SUCCEEDED":
                await asyncio.sleep(0.05)


class TestStages:
    async def test_what_waits_for_another_location_starts_after_it(
        self, api: Api, orchestrator: FakeOrchestrator
    ) -> None:
        orchestrator.nodes["flights.gold.own"] = node("flights.gold.own", [ASSET], location="published")
        reply = await api.editor.post("ai-catalog/assets:materialize", {"assets": [ASSET, "flights.gold.own"]})
        id = reply.json["id"]
        assert list(orchestrator.run_states) == ["run-1"]
        orchestrator.end("run-1", RunStatus.SUCCEEDED, versions={ASSET: "new@7"})
        now = await seen(api, id, lambda now: len(now["runs"]) == 2)
        assert now["state"] == "RUNNING"
        orchestrator.end("run-2", RunStatus.SUCCEEDED, versions={"flights.gold.own": "own@1"})
        ended = await seen(api, id, lambda now: now["finished_at"] is not None)
        assert ended["state"] == "SUCCEEDED"
        assert [made["asset"] for made in ended["produced"]] == [ASSET, "flights.gold.own"]

    async def test_nothing_more_starts_after_a_failure(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        orchestrator.nodes["flights.gold.own"] = node("flights.gold.own", [ASSET], location="published")
        reply = await api.editor.post("ai-catalog/assets:materialize", {"assets": [ASSET, "flights.gold.own"]})
        orchestrator.end("run-1", RunStatus.FAILED, error="broken")
        ended = await seen(api, reply.json["id"], lambda now: now["finished_at"] is not None)
        assert (ended["state"], ended["error"]) == ("FAILED", "broken")
        assert list(orchestrator.run_states) == ["run-1"]

    async def test_a_stage_that_finds_dagster_away_starts_when_it_is_back(
        self, api: Api, orchestrator: FakeOrchestrator
    ) -> None:
        orchestrator.nodes["flights.gold.own"] = node("flights.gold.own", [ASSET], location="published")
        reply = await api.editor.post("ai-catalog/assets:materialize", {"assets": [ASSET, "flights.gold.own"]})
        orchestrator.refusal = Unavailable("Dagster does not answer.")
        orchestrator.end("run-1", RunStatus.SUCCEEDED)
        await refused(orchestrator)
        assert (await api.viewer.get(f"operations/{reply.json['id']}")).json["state"] == "RUNNING"
        orchestrator.refusal = None
        await seen(api, reply.json["id"], lambda now: len(now["runs"]) == 2)

    @on_both
    async def test_cancelled_between_stages_starts_no_more(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        orchestrator.nodes["flights.gold.own"] = node("flights.gold.own", [ASSET], location="published")
        reply = await api.editor.post("ai-catalog/assets:materialize", {"assets": [ASSET, "flights.gold.own"]})
        orchestrator.refusal = Unavailable("Dagster does not answer.")
        orchestrator.end("run-1", RunStatus.SUCCEEDED)
        await refused(orchestrator)
        await api.editor.post(f"operations/{reply.json['id']}:cancel")
        orchestrator.refusal = None
        ended = await seen(api, reply.json["id"], lambda now: now["finished_at"] is not None)
        assert (ended["state"], ended["runs"]) == ("CANCELED", ["run-1"])


class TestCancelOperation:
    @pytest.mark.effect("operations_cancel_operation")
    async def test_terminates_the_run(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        id = (await materialize(api.editor))["id"]
        assert (await api.editor.post(f"operations/{id}:cancel")).status == 200
        assert orchestrator.terminated == ["run-1"]
        assert (await seen(api, id, lambda now: now["finished_at"] is not None))["state"] == "CANCELED"
        assert "operations.operation.cancel_requested" in [event["type"] for event in api.events("operations")]

    async def test_only_tried_it_terminates_nothing(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        id = (await materialize(api.editor))["id"]
        reply = await api.editor.post(f"operations/{id}:cancel?validate_only=true")
        assert (reply.status, orchestrator.terminated) == (200, [])
        assert rows(api, OPERATION)[0]["state"] == "RUNNING"

    async def test_leaves_an_ended_one_as_it_is(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        id = (await materialize(api.editor))["id"]
        orchestrator.end("run-1", RunStatus.SUCCEEDED)
        await seen(api, id, lambda now: now["state"] == "SUCCEEDED")
        assert (await api.editor.post(f"operations/{id}:cancel")).json["state"] == "SUCCEEDED"
        assert orchestrator.terminated == []

    async def test_is_carried_out_when_dagster_is_back(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        id = (await materialize(api.editor))["id"]
        orchestrator.away = True
        assert (await api.editor.post(f"operations/{id}:cancel")).status == 503
        orchestrator.away = False
        assert (await seen(api, id, lambda now: now["finished_at"] is not None))["state"] == "CANCELED"
        assert orchestrator.terminated == ["run-1"]


class TestListOperations:
    @on_both
    async def test_newest_first_page_by_page_while_new_ones_arrive(self, api: Api) -> None:
        ids = [(await materialize(api.editor))["id"] for _ in range(5)]
        first = (await api.viewer.get("operations", params={"page_size": 2})).json
        await materialize(api.editor)
        rest = (await api.viewer.get("operations", params={"page_token": first["next_page_token"]})).json
        assert [item["id"] for item in first["items"] + rest["items"]] == ids[::-1]
        assert rest["next_page_token"] is None

    @on_both
    async def test_filters(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        id = (await materialize(api.editor))["id"]
        await materialize(api.admin)
        reply = await api.viewer.get("operations", params={"filter": 'principal == "editor" && state == "RUNNING"'})
        assert [item["id"] for item in reply.json["items"]] == [id]
        assert (await api.viewer.get("operations", params={"filter": "state == 3"})).status == 400
