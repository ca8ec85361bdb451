"""Kind of fault: two processes run one saga, none continues it, or one runs more than it may."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from api.kernel.operations.store import OperationState
from api.kernel.platform import Platform
from api.kernel.sagas import lease, steps
from api.kernel.sagas.lease import Lease, LeaseLost
from api.kernel.sagas.runner import Runner
from api.kernel.sagas.saga import TransactionStep
from api.kernel.sagas.steps import StepState
from core import clock
from tests.sagas import ORDER, Order, begun, files, finished, later, stored
from tests.unit.api.sagas.gate import Gate, happened, log


async def test_a_process_runs_no_more_sagas_at_once_than_it_may(
    platform: Platform, runner: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.kernel.sagas.runner.MAX_CONCURRENT_SAGAS", 1)
    gate = Gate()
    saga = gate.saga()
    runner.register(saga)
    first, second = (begun(platform.database, Order(folder=str(tmp_path)), saga) for _ in range(2))
    runner.start(first)
    await gate.reached.wait()
    runner.start(second)
    await runner.start_waiting()
    assert (list(runner._tasks), stored(platform.database, second).lease_holder) == ([first], None)
    gate.opened.set()
    for id in (first, second):
        assert (await finished(platform.database, runner, id)).state is OperationState.SUCCEEDED


async def test_a_step_whose_process_died_in_each_attempt_fails_without_another(
    platform: Platform, runner: Runner, tmp_path: Path
) -> None:
    id = begun(platform.database, Order(folder=str(tmp_path)))
    last = {"attempts": ORDER.steps[1].attempts, "state": StepState.RUNNING.value}
    with platform.database.write() as connection:
        steps.change(connection, id, 1, "STEP_STARTED", "started, then its process died", **last)
    row = await finished(platform.database, runner, id)
    assert row.state is OperationState.FAILED
    assert "its process died in each attempt" in (row.error or "")
    assert log(row).count(("charge", "STEP_STARTED")) == 1
    assert happened(platform, id) == [("reserve", "do"), ("reserve", "undo")]
    assert files(tmp_path) == []


class TestLease:
    async def test_is_held_by_one(self, platform: Platform, tmp_path: Path) -> None:
        id = begun(platform.database, Order(folder=str(tmp_path)))
        one, two = Lease(id, "one", 15), Lease(id, "two", 15)
        with platform.database.write() as connection:
            assert lease.acquire(connection, one)
            assert not lease.acquire(connection, two)
            assert lease.ready(connection, [ORDER.name], 9) == []
        with later(seconds=16), platform.database.write() as connection:
            assert lease.ready(connection, [ORDER.name], 9) == [id]
            assert lease.ready(connection, ["another"], 9) == []
            assert lease.acquire(connection, two)
        with platform.database.write() as connection, pytest.raises(LeaseLost):
            lease.hold(connection, one)
        with platform.database.write() as connection:
            lease.release(connection, one)
            lease.hold(connection, two)

    async def test_is_kept_while_a_step_takes_longer(self, platform: Platform, tmp_path: Path) -> None:
        gate = Gate()
        runner, other = (Runner(platform, lease_seconds=3) for _ in range(2))
        for each in (runner, other):
            each.register(gate.saga() if each is other else (saga := gate.saga()))
        id = begun(platform.database, Order(folder=str(tmp_path)), saga)
        runner.start(id)
        await gate.reached.wait()
        first = stored(platform.database, id).lease_expires_at
        assert first
        async with asyncio.timeout(60):
            while clock.now() < first + timedelta(seconds=0.5):
                await other.start_waiting()
                await asyncio.sleep(0.2)
        assert gate.calls == 1
        gate.opened.set()
        assert (await finished(platform.database, runner, id)).state is OperationState.SUCCEEDED

    async def test_a_holder_that_lost_it_changes_nothing_any_more(self, platform: Platform, tmp_path: Path) -> None:
        slow, fast = Gate(), Gate()
        fast.opened.set()
        paused, other = Runner(platform), Runner(platform)
        saga = slow.saga()
        paused.register(saga)
        other.register(fast.saga())
        id = begun(platform.database, Order(folder=str(tmp_path)), saga)
        first = asyncio.create_task(paused.run(id))
        await slow.reached.wait()
        with later(minutes=1):
            await other.run(id)
        after = stored(platform.database, id)
        assert after.state is OperationState.SUCCEEDED
        slow.opened.set()
        await first
        assert stored(platform.database, id) == after
        assert happened(platform, id) == [("first", "do"), ("last", "do")]

    async def test_a_step_inside_a_transaction_is_rolled_back_with_a_lost_lease(
        self, platform: Platform, runner: Runner, tmp_path: Path
    ) -> None:
        id = begun(platform.database, Order(folder=str(tmp_path)))
        held = Lease(id, "paused", 15)
        with platform.database.write() as connection:
            lease.acquire(connection, held)
        with later(minutes=1):
            await runner.run(id)
        step, row = ORDER.steps[0], stored(platform.database, id)
        assert isinstance(step, TransactionStep)
        from api.kernel.sagas import runner as module

        context = runner._context(ORDER, row, 0, 1)
        with pytest.raises(LeaseLost):
            await runner._transactions.write(module._do_in_transaction, held, step, context, False)
        assert happened(platform, id) == [("reserve", "do"), ("ship", "do")]

    async def test_stopping_gives_it_back_and_the_next_goes_on_at_once(
        self, platform: Platform, runner: Runner, tmp_path: Path
    ) -> None:
        gate = Gate()
        saga = gate.saga()
        runner.register(saga)
        id = begun(platform.database, Order(folder=str(tmp_path)), saga)
        runner.start(id)
        await gate.reached.wait()
        await runner.stop()
        row = stored(platform.database, id)
        assert (row.lease_holder, row.steps[1].attempts) == (None, 0), "an interruption is no failed try"
        gate.opened.set()
        assert (await finished(platform.database, runner, id)).state is OperationState.SUCCEEDED
        assert happened(platform, id) == [("first", "do"), ("last", "do")]
