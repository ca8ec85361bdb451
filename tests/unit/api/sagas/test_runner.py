"""Sagas: every step done, or what was done undone; retries."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from api.kernel.operations import store
from api.kernel.operations.store import OperationState
from api.kernel.platform import Platform
from api.kernel.sagas import steps
from api.kernel.sagas.lease import Lease
from api.kernel.sagas.runner import Runner
from api.kernel.sagas.saga import ActivityStep, Output, Saga, StepContext
from api.kernel.sagas.steps import StepState
from core import clock
from core.events import EVENT
from tests import sagas
from tests.sagas import ORDER, Order, begun, files, finished, later, stored
from tests.unit.api.sagas.gate import Gate, happened, log, states

ALL = ["reserve", "charge", "ship", "confirm"]


class TestSuccess:
    async def test_every_step_once_in_order_with_outputs_result_and_event(
        self, platform: Platform, runner: Runner, tmp_path: Path
    ) -> None:
        id = begun(platform.database, Order(folder=str(tmp_path)))
        await runner.run(id)
        row = stored(platform.database, id)
        assert (row.state, row.done, row.total, row.error) == (OperationState.SUCCEEDED, 4, 4, None)
        assert states(row) == ["DONE"] * 4
        assert row.result == {"key": f"{id}:3", "seen": ["charge", "reserve", "ship"]}
        assert row.steps[0].output == {"seen": []}
        assert happened(platform, id) == [("reserve", "do"), ("ship", "do")]
        assert files(tmp_path) == ["charge", "confirm"]
        assert log(row) == [(step, description) for step in ALL for description in ("STEP_STARTED", "STEP_DONE")]
        assert (row.lease_holder, row.lease_expires_at) == (None, None)
        with platform.database.read() as connection:
            (event,) = connection.execute(sa.select(EVENT)).mappings()
        assert (event["type"], event["subject"]) == ("operations.operation.succeeded", id)
        assert event["data"]["result"] == row.result
        assert (event["organization_id"], event["project_id"], event["principal_id"]) == ("org_1", "prj_1", "usr_1")

    async def test_a_finished_one_is_left_alone(self, platform: Platform, runner: Runner, tmp_path: Path) -> None:
        id = begun(platform.database, Order(folder=str(tmp_path)))
        await runner.run(id)
        before = stored(platform.database, id)
        await runner.run(id)
        assert stored(platform.database, id) == before


class TestFailure:
    @pytest.mark.parametrize("step", ALL)
    async def test_what_was_done_is_undone_in_reverse(
        self, platform: Platform, runner: Runner, tmp_path: Path, step: str
    ) -> None:
        id = begun(platform.database, Order(folder=str(tmp_path), fails_at=step))
        await runner.run(id)
        row = stored(platform.database, id)
        assert row.state is OperationState.FAILED
        assert row.error is not None
        assert row.error.startswith(f"Step {step} failed: {step} is not possible.")
        assert files(tmp_path) == []
        inside = [name for name in ALL[: ALL.index(step)] if name in ("reserve", "ship")]
        assert happened(platform, id) == [(n, "do") for n in inside] + [(n, "undo") for n in reversed(inside)]
        undone = [name for name, type in log(row) if type == "STEP_COMPENSATED"]
        # The activity that failed is undone, too: it may have done its work.
        begun_steps = ALL[: ALL.index(step) + (step in ("charge", "confirm"))]
        assert undone == begun_steps[::-1]
        assert (row.done, row.result) == (0, None)

    async def test_what_does_not_answer_is_tried_again(
        self, platform: Platform, runner: Runner, tmp_path: Path
    ) -> None:
        id = begun(platform.database, Order(folder=str(tmp_path), away_at="ship", away_tries=2))
        await runner.run(id)
        row = stored(platform.database, id)
        assert row.state is OperationState.SUCCEEDED
        assert [step.attempts for step in row.steps] == [1, 1, 3, 1]
        assert happened(platform, id) == [("reserve", "do"), ("ship", "do")], "tries that failed were rolled back"

    @pytest.mark.parametrize("step", ["ship", "confirm"])
    async def test_what_never_answers_fails_after_the_last_try(
        self, platform: Platform, runner: Runner, tmp_path: Path, step: str
    ) -> None:
        id = begun(platform.database, Order(folder=str(tmp_path), away_at=step, away_tries=99))
        await runner.run(id)
        row = stored(platform.database, id)
        assert row.state is OperationState.FAILED
        assert f"Step {step} failed in attempt 5: {step} does not answer." in str(row.error)
        assert files(tmp_path) == []

    async def test_what_cannot_be_undone_is_told_and_the_steps_before_it_stay(
        self, platform: Platform, runner: Runner, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        id = begun(platform.database, Order(folder=str(tmp_path), fails_at="confirm", stuck_at="ship"))
        await runner.run(id)
        row = stored(platform.database, id)
        assert row.state is OperationState.FAILED
        assert row.error == (
            "Step confirm failed: confirm is not possible. Step ship could not be undone: it raised RuntimeError; see "
            "the log of the platform. Still in effect: reserve, charge, ship. Undo these steps manually, the last one "
            "first."
        )
        assert states(row) == ["DONE", "DONE", "FAILED", "COMPENSATED"]
        assert row.steps[2].undo_attempts == 8
        assert "a secret of the driver" in caplog.text
        assert files(tmp_path) == ["charge"]

    async def test_an_output_that_is_no_json_is_a_fault_of_the_step(
        self, platform: Platform, runner: Runner, tmp_path: Path
    ) -> None:
        async def wrong(step: StepContext[Order]) -> Output:
            return {"value": object()}

        saga = Saga("test.wrong", input=Order, steps=[ActivityStep("wrong", wrong)])
        runner.register(saga)
        id = begun(platform.database, Order(folder=str(tmp_path)), saga)
        await runner.run(id)
        row = stored(platform.database, id)
        assert (row.state, row.error) == (
            OperationState.FAILED,
            "Step wrong failed: it raised TypeError; see the log of the platform",
        )

    async def test_a_step_that_takes_too_long_is_tried_again_and_then_fails(
        self, platform: Platform, runner: Runner, tmp_path: Path
    ) -> None:
        async def slow(step: StepContext[Order]) -> Output:
            await asyncio.sleep(30)
            return None

        saga = Saga("test.slow", input=Order, steps=[ActivityStep("slow", slow, attempts=2, timeout_seconds=0.02)])
        runner.register(saga)
        id = begun(platform.database, Order(folder=str(tmp_path)), saga)
        await runner.run(id)
        row = stored(platform.database, id)
        assert row.error == "Step slow failed in attempt 2: it took longer than its time limit"


class TestCancel:
    async def test_stops_after_the_step_and_undoes(self, platform: Platform, runner: Runner, tmp_path: Path) -> None:
        gate = Gate()
        saga = gate.saga()
        runner.register(saga)
        id = begun(platform.database, Order(folder=str(tmp_path)), saga)
        runner.start(id)
        await gate.reached.wait()
        with platform.database.write() as connection:
            assert store.request_cancel(connection, id).state is OperationState.CANCELING
        gate.opened.set()
        row = await finished(platform.database, runner, id)
        assert (row.state, row.error, row.done) == (OperationState.CANCELED, None, 0)
        assert states(row) == ["COMPENSATED", "COMPENSATED", "PENDING"]
        assert happened(platform, id) == [("first", "do"), ("first", "undo")]

    async def test_between_the_choice_of_a_step_and_its_start_keeps_it_from_starting(
        self, platform: Platform, runner: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        id, do = begun(platform.database, Order(folder=str(tmp_path))), runner._do

        async def cancelled_first(held: Lease, saga: Saga[Any], row: store.OperationRow, index: int) -> None:
            if index == 1:
                with platform.database.write() as connection:
                    store.request_cancel(connection, id)
            await do(held, saga, row, index)

        monkeypatch.setattr(runner, "_do", cancelled_first)
        row = await finished(platform.database, runner, id)
        assert (row.state, states(row)) == (OperationState.CANCELED, ["COMPENSATED", *["PENDING"] * 3])
        assert happened(platform, id) == [("reserve", "do"), ("reserve", "undo")]
        assert files(tmp_path) == []

    async def test_of_one_that_has_not_begun_does_nothing(
        self, platform: Platform, runner: Runner, tmp_path: Path
    ) -> None:
        id = begun(platform.database, Order(folder=str(tmp_path)))
        with platform.database.write() as connection:
            store.request_cancel(connection, id)
        row = await finished(platform.database, runner, id)
        assert (row.state, states(row)) == (OperationState.CANCELED, ["PENDING"] * 4)
        assert happened(platform, id) == []


class TestUpgrade:
    async def test_steps_that_were_changed_meanwhile_end_it_with_a_word_on_what_is_left(
        self, platform: Platform, tmp_path: Path
    ) -> None:
        gate = Gate()
        old, new = Runner(platform), Runner(platform)
        saga = gate.saga()
        old.register(saga)
        new.register(Saga(saga.name, input=Order, steps=saga.steps[:2]))
        id = begun(platform.database, Order(folder=str(tmp_path)), saga)
        old.start(id)
        await gate.reached.wait()
        await old.stop()
        row = await finished(platform.database, new, id)
        assert row.state is OperationState.FAILED
        assert "An upgrade changed" in str(row.error)
        assert "first, wait" in str(row.error)


class TestRetention:
    async def test_ended_operations_go_with_their_steps_in_batches(
        self, platform: Platform, runner: Runner, tmp_path: Path
    ) -> None:
        ids = [begun(platform.database, Order(folder=str(tmp_path))) for _ in range(5)]
        for id in ids[:4]:
            await runner.run(id)

        def purge(connection: sa.Connection) -> int:
            return store.purge(connection, clock.now(), 3)

        with later(days=1):
            assert [await runner._transactions.write(purge) for _ in range(3)] == [3, 1, 0]
        with platform.database.read() as connection:
            left = connection.execute(sa.select(steps.SAGA_STEP.c.operation).distinct()).scalars().all()
        assert left == ids[4:]
        assert stored(platform.database, ids[4]).state is OperationState.PENDING


def test_two_sagas_of_one_name_are_refused(runner: Runner) -> None:
    with pytest.raises(ValueError, match=r"two sagas are named test\.order\.place"):
        runner.register(Saga(ORDER.name, input=Order, steps=ORDER.steps))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Saga("Test", input=Order, steps=ORDER.steps),
        lambda: Saga("test", input=Order, steps=[]),
        lambda: Saga("test", input=Order, steps=[ORDER.steps[0], ORDER.steps[0]]),
        lambda: Saga("test", input=Order, steps=[ActivityStep("a:b", sagas.do_outside)]),
    ],
)
def test_a_malformed_declaration_is_refused(make: Callable[[], object]) -> None:
    with pytest.raises(ValueError):
        make()


def test_states_of_steps_are_those_that_callers_know() -> None:
    assert list(StepState) == ["PENDING", "RUNNING", "DONE", "COMPENSATED", "FAILED"]
