"""Operations: accepted, followed, cancelled for real, and true after whatever dies."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from api.kernel.operations.engine import Operations
from api.kernel.tables import IDEMPOTENCY, OPERATION
from api.main import create_app
from core import clock
from core.errors import InvalidPayload, LaunchUnconfirmed, Unavailable
from core.runs import RunStatus
from tests.api.admin.tenants import user
from tests.api_process import Api, Caller
from tests.orchestration import FakeOrchestrator, node

ASSET = "flights.gold.route_delays"


async def materialize(caller: Caller, asset: str = ASSET, **body: Any) -> dict[str, Any]:
    reply = await caller.post(f"ai-catalog/assets/{asset}:materialize", body)
    assert reply.status == 202, reply.json
    assert reply.headers["location"] == f"/api/v1/operations/{reply.json['id']}"
    operation: dict[str, Any] = reply.json
    return operation


async def seen(api: Api, id: str, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    async with asyncio.timeout(60):
        while True:
            operation: dict[str, Any] = (await api.viewer.get(f"operations/{id}")).json
            if holds(operation):
                return operation
            await asyncio.sleep(0.05)


async def refused(orchestrator: FakeOrchestrator) -> None:
    """Waits until a launch has been refused."""
    async with asyncio.timeout(60):
        while not orchestrator.refused:
            await asyncio.sleep(0.02)


def rows(api: Api, table: sa.Table) -> list[dict[str, Any]]:
    with api.database.read() as connection:
        return [dict(row) for row in connection.execute(sa.select(table)).mappings()]


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


@pytest.mark.effect("operations_get_operation_logs")
class TestLogs:
    async def test_streams_every_line_and_ends_with_the_state(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        id = (await materialize(api.editor))["id"]
        for number in range(700):
            orchestrator.log("run-1", f"line {number}")
        orchestrator.end("run-1", RunStatus.SUCCEEDED)
        events = await api.viewer.events(f"operations/{id}/logs")
        lines = [event["data"]["message"] for event in events if event["event"] == "log"]
        assert lines == [f"line {number}" for number in range(700)]
        assert (events[-1]["event"], events[-1]["data"]["state"]) == ("end", "SUCCEEDED")

    async def test_a_client_that_was_cut_off_misses_and_repeats_nothing(
        self, api: Api, orchestrator: FakeOrchestrator
    ) -> None:
        id = (await materialize(api.editor))["id"]
        for number in range(10):
            orchestrator.log("run-1", f"line {number}")
        orchestrator.end("run-1", RunStatus.SUCCEEDED)
        first = [event for event in await api.viewer.events(f"operations/{id}/logs") if event["event"] == "log"]
        rest = await api.viewer.events(f"operations/{id}/logs", headers={"last-event-id": first[3]["id"]})
        assert [event["data"]["message"] for event in rest if event["event"] == "log"] == [
            f"line {number}" for number in range(4, 10)
        ]

    async def test_of_an_unknown_operation_are_a_plain_404(self, api: Api) -> None:
        assert (await api.viewer.get("operations/op_none/logs")).status == 404

    async def test_who_may_not_see_the_operation_reads_no_line(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        id = (await materialize(api.editor))["id"]
        orchestrator.log("run-1", "a line")
        orchestrator.end("run-1", RunStatus.SUCCEEDED)
        await user(api, "ada")
        refused = await api.caller("ada").get(f"operations/{id}/logs")
        assert refused.status in (403, 404)
        assert "a line" not in refused.response.text

    async def test_an_event_id_that_is_not_ours_is_refused(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        id = (await materialize(api.editor))["id"]
        for wrong in ("x", "bm9w", "W10"):
            assert (await api.viewer.get(f"operations/{id}/logs", headers={"last-event-id": wrong})).status == 400

    async def test_a_failure_on_the_way_is_one_last_event(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        id = (await materialize(api.editor))["id"]

        async def broken(*_: object, **__: object) -> list[Any]:
            raise Unavailable("Dagster does not answer.")

        orchestrator.logs = broken  # type: ignore[assignment]
        events = await api.viewer.events(f"operations/{id}/logs")
        assert (events[-1]["event"], events[-1]["data"]["reason"]) == ("error", "UNAVAILABLE")


class TestListOperations:
    async def test_newest_first_page_by_page_while_new_ones_arrive(self, api: Api) -> None:
        ids = [(await materialize(api.editor))["id"] for _ in range(5)]
        first = (await api.viewer.get("operations", params={"page_size": 2})).json
        await materialize(api.editor)
        rest = (await api.viewer.get("operations", params={"page_token": first["next_page_token"]})).json
        assert [item["id"] for item in first["items"] + rest["items"]] == ids[::-1]
        assert rest["next_page_token"] is None

    async def test_filters(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        id = (await materialize(api.editor))["id"]
        await materialize(api.admin)
        reply = await api.viewer.get("operations", params={"filter": 'principal == "editor" && state == "RUNNING"'})
        assert [item["id"] for item in reply.json["items"]] == [id]
        assert (await api.viewer.get("operations", params={"filter": "state == 3"})).status == 400


class TestIdempotency:
    async def test_a_repeated_request_is_answered_again_not_carried_out_again(
        self, api: Api, orchestrator: FakeOrchestrator
    ) -> None:
        path, headers = f"ai-catalog/assets/{ASSET}:materialize", {"idempotency-key": "once"}
        first = await api.editor.post(path, {}, headers=headers)
        again = await api.editor.post(path, {}, headers=headers)
        assert again.json["id"] == first.json["id"]
        assert again.headers["idempotency-replayed"] == "true"
        assert len(orchestrator.launches) == 1

    async def test_at_the_same_moment_only_one_is_carried_out(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        path, headers = f"ai-catalog/assets/{ASSET}:materialize", {"idempotency-key": "once"}
        replies = await asyncio.gather(*(api.editor.post(path, {}, headers=headers) for _ in range(8)))
        assert {reply.status for reply in replies} <= {202, 409}
        assert len({reply.json["id"] for reply in replies if reply.status == 202}) == 1
        assert len(orchestrator.launches) == 1

    async def test_a_key_stands_for_one_request(self, api: Api) -> None:
        path, headers = f"ai-catalog/assets/{ASSET}:materialize", {"idempotency-key": "once"}
        await api.editor.post(path, {}, headers=headers)
        reply = await api.editor.post(path, {"upstream": True}, headers=headers)
        assert (reply.status, reply.reason) == (422, "IDEMPOTENCY_KEY_REUSED")

    async def test_keys_of_different_callers_are_apart(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        path, headers = f"ai-catalog/assets/{ASSET}:materialize", {"idempotency-key": "once"}
        await api.editor.post(path, {}, headers=headers)
        assert (await api.admin.post(path, {}, headers=headers)).status == 202
        assert len(orchestrator.launches) == 2


class TestCrashes:
    """What a new process makes of the rows that a dead one left."""

    async def restarted(self, api: Api, orchestrator: FakeOrchestrator, id: str) -> dict[str, Any]:
        app = create_app(api.app.platform.settings, orchestrator=orchestrator)
        stack = await app.startup()
        try:
            return await seen(Api(app), id, lambda now: now["finished_at"] is not None or bool(now["runs"]))
        finally:
            await stack.aclose()

    async def test_a_launch_whose_answer_was_lost_is_found_by_its_tag(
        self, api: Api, orchestrator: FakeOrchestrator
    ) -> None:
        orchestrator.after_launch = LaunchUnconfirmed("no answer")
        operation = await materialize(api.editor)
        found = await seen(api, operation["id"], lambda now: bool(now["runs"]))
        assert (found["runs"], found["state"]) == (["run-1"], "RUNNING")
        assert len(orchestrator.launches) == 1

    async def test_a_crash_before_the_launch_ends_as_a_failure_that_says_so(
        self, api: Api, orchestrator: FakeOrchestrator, tmp_path: Path
    ) -> None:
        orchestrator.refusal = LaunchUnconfirmed("no answer")
        headers = {"idempotency-key": "once"}
        id = (await api.editor.post(f"ai-catalog/assets/{ASSET}:materialize", {}, headers=headers)).json["id"]
        clock.freeze(lambda: datetime.now(UTC) + timedelta(minutes=5))
        try:
            ended = await self.restarted(api, orchestrator, id)
        finally:
            clock.freeze(None)
        assert ended["state"] == "FAILED"
        assert "before anything was started" in ended["error"]
        assert rows(api, IDEMPOTENCY) == [], "the same request may be tried again"

    async def test_a_crash_while_it_runs_loses_nothing(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        id = (await materialize(api.editor))["id"]
        await api.app.platform.part(Operations).stop()
        orchestrator.end("run-1", RunStatus.SUCCEEDED, versions={ASSET: "new@7"})
        ended = await self.restarted(api, orchestrator, id)
        assert (ended["state"], ended["produced"][0]["data_version"]) == ("SUCCEEDED", "new@7")
