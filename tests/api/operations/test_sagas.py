"""Sagas over the API: accepted, followed, cancelled, resumed by another process, kept and forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

import api.main
from api.kernel.kinds.context import Context
from api.kernel.kinds.kind import Kind
from api.kernel.kinds.service import Service
from api.kernel.models import Request
from api.kernel.operations.engine import Operations
from api.kernel.operations.resource import Operation, to_resource
from api.kernel.sagas.saga import ActivityStep, Output, Saga, SagaCall, StepContext, TransactionStep
from api.kernel.sagas.steps import SAGA_STEP
from api.kernel.tables import OPERATION
from core.errors import Conflict
from core.ids import new_id
from tests import sagas
from tests.api_process import Api, running
from tests.orchestration import FakeOrchestrator
from tests.sagas import EFFECTS, ORDER, Order, effects, files

ORDER_KIND = Kind("order", plural="orders", title="Order", description="Something to deliver.", example="ord_1")
UNKNOWN = Saga("test.unknown", input=Order, steps=ORDER.steps)


class Park(Request):
    """Begins a saga whose activity waits for `gate`."""


gate = asyncio.Event()


def enter(connection: sa.Connection, step: StepContext[Park]) -> Output:
    connection.execute(sagas.EFFECT.insert().values(operation=step.operation, step=step.name, what="do"))
    return None


def go_back(connection: sa.Connection, step: StepContext[Park]) -> None:
    connection.execute(sagas.EFFECT.insert().values(operation=step.operation, step=step.name, what="undo"))


async def wait(step: StepContext[Park]) -> Output:
    await gate.wait()
    return None


PARK = Saga(
    "test.order.park",
    input=Park,
    steps=[
        TransactionStep("enter", enter, undo=go_back),
        ActivityStep("wait", wait),
        TransactionStep("leave", lambda connection, step: {"left": True}),
    ],
)


@ORDER_KIND.collection_action("place", request=Order, long=True)
async def place_orders(ctx: Context, request: Order) -> SagaCall[Order]:
    """Begins a saga."""
    return ORDER.of(request)


@ORDER_KIND.collection_action("park", request=Park, long=True)
async def park_orders(ctx: Context, request: Park) -> SagaCall[Park]:
    """Begins a saga that waits."""
    return PARK.of(request)


@ORDER_KIND.collection_action("mistake", request=Order, long=True)
async def mistake_orders(ctx: Context, request: Order) -> SagaCall[Order]:
    """Begins a saga that is not registered."""
    return UNKNOWN.of(request)


@ORDER_KIND.collection_action("check", request=Order, result=Operation)
async def check_orders(ctx: Context, request: Order) -> Operation:
    """Begins a saga in a transaction that changes something itself."""
    operations = ctx.platform.part(Operations)
    id = ctx.operation_id = new_id("op")

    def unit(connection: sa.Connection) -> Operation:
        row = operations.insert_saga(connection, ctx, id, ORDER, request)
        connection.execute(sagas.EFFECT.insert().values(operation=id, step="check", what="do"))
        if request.stuck_at == "check":
            raise Conflict("not now")
        return to_resource(row, messages=True)

    accepted = await ctx.transact(unit)
    operations.start_saga(ctx, id)
    return accepted


SERVICE = Service("test", "Test", [ORDER_KIND], description="A service of this test.")


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
async def app(
    request: pytest.FixtureRequest, tmp_path: Path, orchestrator: FakeOrchestrator, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Api]:
    url = request.getfixturevalue("postgresql_url") if request.param == "postgresql" else ""
    monkeypatch.setattr(api.main, "SERVICES", (*api.main.SERVICES, SERVICE))
    global gate
    gate = asyncio.Event()
    async with running(tmp_path, orchestrator, database_url=url) as started:
        EFFECTS.create_all(started.database.engine)
        started.app.platform.part(Operations).register([ORDER, PARK])
        yield started


async def seen(api: Api, id: str, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    async with asyncio.timeout(60):
        while True:
            operation: dict[str, Any] = (await api.viewer.get(f"operations/{id}")).json
            if holds(operation):
                return operation
            await asyncio.sleep(0.05)


def final(operation: dict[str, Any]) -> bool:
    return operation["finished_at"] is not None


def happened(api: Api, id: str) -> list[tuple[str, str]]:
    with api.database.read() as connection:
        return effects(connection, id)


def count(api: Api, table: sa.Table) -> int:
    with api.database.read() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())


class TestBegin:
    async def test_answers_202_and_ends_with_the_result_of_the_last_step(self, app: Api, tmp_path: Path) -> None:
        reply = await app.editor.post("test/orders:place", {"folder": str(tmp_path)})
        assert reply.status == 202, reply.json
        id = reply.json["id"]
        assert reply.headers["location"] == f"/api/v1/operations/{id}"
        assert (reply.json["executor"], reply.json["action"]) == ("SAGA", "test.order.place")
        assert [step["name"] for step in reply.json["steps"]] == ["reserve", "charge", "ship", "confirm"]
        ended = await seen(app, id, final)
        assert (ended["state"], ended["progress"]) == ("SUCCEEDED", {"done": 4, "total": 4})
        assert ended["result"] == {"key": f"{id}:3", "seen": ["charge", "reserve", "ship"]}
        assert [(step["state"], step["attempts"], step["error"]) for step in ended["steps"]] == [("DONE", 1, None)] * 4
        assert happened(app, id) == [("reserve", "do"), ("ship", "do")]
        assert files(tmp_path) == ["charge", "confirm"]

    async def test_leaves_one_audit_row_and_one_event_of_its_end(self, app: Api, tmp_path: Path) -> None:
        traced = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
        id = (await app.editor.post("test/orders:place", {"folder": str(tmp_path)}, headers=traced)).json["id"]
        await seen(app, id, final)
        (asked,) = app.events("test.order")
        assert (asked["type"], asked["principal"]) == ("test.order.place_requested", "editor")
        assert (asked["data"]["operation"], asked["data"]["saga"]) == (id, "test.order.place")
        (ended,) = app.events("operations.operation")
        assert (ended["type"], ended["subject"]) == ("operations.operation.succeeded", id)
        assert ended["data"]["result"]["key"] == f"{id}:3"
        assert asked["traceparent"] == ended["traceparent"]
        assert asked["traceparent"].startswith("00-4bf92f3577b34da6a3ce929d0e0e4736-")

    async def test_a_repeated_request_is_answered_again_not_carried_out_again(self, app: Api, tmp_path: Path) -> None:
        body, headers = {"folder": str(tmp_path)}, {"idempotency-key": "once"}
        first = await app.editor.post("test/orders:place", body, headers=headers)
        again = await app.editor.post("test/orders:place", body, headers=headers)
        assert (again.status, again.json["id"]) == (202, first.json["id"])
        assert count(app, OPERATION) == 1

    async def test_a_failure_tells_why_and_shows_what_was_undone(self, app: Api, tmp_path: Path) -> None:
        body = {"folder": str(tmp_path), "fails_at": "ship"}
        ended = await seen(app, (await app.editor.post("test/orders:place", body)).json["id"], final)
        assert (ended["state"], ended["result"]) == ("FAILED", None)
        assert ended["error"] == "Step ship failed: ship is not possible. The steps were undone."
        assert [step["state"] for step in ended["steps"]] == ["COMPENSATED", "COMPENSATED", "FAILED", "PENDING"]
        assert files(tmp_path) == []

    async def test_one_that_nobody_registered_is_refused_and_leaves_nothing(self, app: Api, tmp_path: Path) -> None:
        reply = await app.editor.post("test/orders:mistake", {"folder": str(tmp_path)})
        assert reply.status == 500
        assert (count(app, OPERATION), count(app, SAGA_STEP)) == (0, 0)

    async def test_comes_together_with_what_its_request_changes_or_not_at_all(self, app: Api, tmp_path: Path) -> None:
        reply = await app.editor.post("test/orders:check", {"folder": str(tmp_path)})
        assert reply.status == 200
        await seen(app, reply.json["id"], final)
        assert happened(app, reply.json["id"]) == [("check", "do"), ("reserve", "do"), ("ship", "do")]
        refused = await app.editor.post("test/orders:check", {"folder": str(tmp_path), "stuck_at": "check"})
        assert refused.status == 409
        assert (count(app, OPERATION), count(app, sagas.EFFECT)) == (1, 3)

    async def test_only_tried_it_neither_begins_nor_stays(self, app: Api, tmp_path: Path) -> None:
        reply = await app.editor.post("test/orders:place?validate_only=true", {"folder": str(tmp_path)})
        assert (reply.status, reply.json["state"]) == (202, "PENDING")
        await asyncio.sleep(0.7)
        assert (count(app, OPERATION), files(tmp_path)) == (0, [])

    async def test_the_follower_begins_what_was_stored_but_not_begun(self, app: Api, tmp_path: Path) -> None:
        id = sagas.begun(app.database, Order(folder=str(tmp_path)))
        assert (await seen(app, id, final))["state"] == "SUCCEEDED"


class TestFollow:
    async def test_list_shows_steps_and_filters_by_executor(self, app: Api, tmp_path: Path) -> None:
        id = (await app.editor.post("test/orders:place", {"folder": str(tmp_path)})).json["id"]
        listed = await app.viewer.get("operations", params={"filter": 'executor == "SAGA"'})
        assert [(item["id"], len(item["steps"])) for item in listed.json["items"]] == [(id, 4)]
        assert (await app.viewer.get("operations", params={"filter": 'executor == "LAUNCH"'})).json["items"] == []

    async def test_logs_stream_every_line_and_resume(self, app: Api, tmp_path: Path) -> None:
        body = {"folder": str(tmp_path), "away_at": "charge", "away_tries": 1}
        id = (await app.editor.post("test/orders:place", body)).json["id"]
        events = await app.viewer.events(f"operations/{id}/logs")
        lines = [event for event in events if event["event"] == "log"]
        assert [(line["data"]["step"], line["data"]["type"]) for line in lines] == [
            ("reserve", "STEP_STARTED"),
            ("reserve", "STEP_DONE"),
            ("charge", "STEP_STARTED"),
            ("charge", "STEP_RETRIED"),
            ("charge", "STEP_STARTED"),
            ("charge", "STEP_DONE"),
            ("ship", "STEP_STARTED"),
            ("ship", "STEP_DONE"),
            ("confirm", "STEP_STARTED"),
            ("confirm", "STEP_DONE"),
        ]
        assert "charge does not answer." in lines[3]["data"]["message"]
        assert (events[-1]["event"], events[-1]["data"]["state"]) == ("end", "SUCCEEDED")
        rest = await app.viewer.events(f"operations/{id}/logs", headers={"last-event-id": lines[3]["id"]})
        assert [event["data"] for event in rest if event["event"] == "log"] == [
            {**line["data"], "state": "SUCCEEDED", "progress": {"done": 4, "total": 4}} for line in lines[4:]
        ]

    async def test_a_cursor_that_is_not_ours_is_refused(self, app: Api, tmp_path: Path) -> None:
        id = (await app.editor.post("test/orders:place", {"folder": str(tmp_path)})).json["id"]
        wrong = "eyJzdGVwcyI6ICJhYmMifQ"  # {"steps": "abc"}
        reply = await app.viewer.get(f"operations/{id}/logs", headers={"last-event-id": wrong})
        assert reply.status == 400


class TestCancel:
    async def test_stops_after_the_step_and_undoes(self, app: Api) -> None:
        id = (await app.editor.post("test/orders:park", {})).json["id"]
        await seen(app, id, lambda now: now["steps"][1]["state"] == "RUNNING")
        assert (await app.editor.post(f"operations/{id}:cancel")).json["state"] == "CANCELING"
        gate.set()
        ended = await seen(app, id, final)
        assert (ended["state"], ended["error"], ended["progress"]["done"]) == ("CANCELED", None, 0)
        assert happened(app, id) == [("enter", "do"), ("enter", "undo")]
        assert [event["type"] for event in app.events("operations.operation.c")] == [
            "operations.operation.cancel_requested",
            "operations.operation.canceled",
        ]
        assert (await app.editor.post(f"operations/{id}:cancel")).json["state"] == "CANCELED"


class TestRestart:
    async def test_another_process_goes_on_at_once_with_what_this_one_stopped(
        self, app: Api, orchestrator: FakeOrchestrator
    ) -> None:
        id = (await app.editor.post("test/orders:park", {})).json["id"]
        await seen(app, id, lambda now: now["steps"][1]["state"] == "RUNNING")
        await app.app.platform.part(Operations).stop()
        gate.set()
        other = api.main.create_app(app.app.platform.settings, orchestrator=orchestrator)
        other.platform.part(Operations).register([PARK])
        stack = await other.startup()
        try:
            ended = await seen(Api(other), id, final)
        finally:
            await stack.aclose()
        assert (ended["state"], ended["result"]) == ("SUCCEEDED", {"left": True})
        assert happened(app, id) == [("enter", "do")]

    async def test_a_process_without_the_saga_leaves_it_to_others(self, app: Api) -> None:
        await app.app.platform.part(Operations).stop()
        id = sagas.begun(app.database, Order(folder=""), UNKNOWN)
        operations = Operations(app.app.platform, sagas=[PARK])
        operations.start()
        await asyncio.sleep(0.7)
        await operations.stop()
        assert sagas.stored(app.database, id).lease_holder is None


async def test_operations_that_ended_long_ago_are_forgotten(app: Api, tmp_path: Path) -> None:
    id = (await app.editor.post("test/orders:place", {"folder": str(tmp_path)})).json["id"]
    await seen(app, id, final)
    young = (await app.editor.post("test/orders:park", {})).json["id"]
    await app.app.platform.part(Operations).stop()
    operations = Operations(app.app.platform, retention=timedelta(0))
    operations.start()
    async with asyncio.timeout(60):
        while (await app.viewer.get(f"operations/{id}")).status != 404:
            await asyncio.sleep(0.05)
    await operations.stop()
    assert count(app, SAGA_STEP) == 3, "the steps of the one that has not ended stay"
    assert (await app.viewer.get(f"operations/{young}")).status == 200
