"""Rows of operations: every change is made once, by one process, and what has ended stays as it ended."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.operations import observation, store
from api.kernel.operations.store import FINAL, OperationRow, OperationState, Origin
from api.kernel.sagas import journal, lease, steps
from api.kernel.sagas.lease import Lease, LeaseLost
from api.kernel.storage import idempotency
from api.kernel.storage.idempotency import Claim
from api.kernel.tables import IDEMPOTENCY, OPERATION
from core import clock
from core.db import Database
from core.events import EVENT
from core.runs import BackfillState, Launch, Launched, ProducedVersion, RunState, RunStatus
from tests import sagas
from tests.sagas import Order, later

ORIGIN = Origin("a.b.c", "asset", "ada", "usr_1", "req_1", "org_1", "prj_1", "00-trace")
VERSION = ProducedVersion("a.b.c", "t@1", None)


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    url = f"sqlite:///{tmp_path / 'metadata.sqlite'}"
    sagas.prepare(url)
    database = Database(url)
    with database.write() as connection:
        yield connection
    database.close()


def launched(connection: Connection, *, stages: int = 2, id: str = "op_1") -> OperationRow:
    """An operation whose first stage runs."""
    store.insert(connection, id, Launch(("a.b.c",), ()), stages=stages, origin=ORIGIN)
    return store.started(connection, id, Launched((f"{id}-run",)))


def of_saga(connection: Connection, id: str = "op_saga") -> Lease:
    """A saga whose lease is held."""
    names = [step.name for step in sagas.ORDER.steps]
    input = Order(folder="-").model_dump(mode="json")
    store.insert_saga(connection, id, sagas.ORDER.name, input, names=names, origin=ORIGIN)
    held = Lease(id, "me", 15)
    assert lease.acquire(connection, held)
    return held


def events(connection: Connection) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.execute(sa.select(EVENT).order_by(EVENT.c.sequence)).mappings()]


class TestStages:
    def test_one_process_sets_out_to_launch_the_next_one(self, connection: Connection) -> None:
        launched(connection, stages=3)
        assert store.take_stage(connection, "op_1", 2)
        assert not store.take_stage(connection, "op_1", 2), "another process came first"
        assert not store.take_stage(connection, "op_1", 3), "the runs of the one before are not known"
        row = store.get(connection, "op_1")
        assert (row.stage, row.launched_stage, row.unconfirmed) == (2, 1, True)
        row = store.started(connection, "op_1", Launched(("op_1-run", "second")))
        assert (row.runs, row.launched_stage, row.unconfirmed) == (("op_1-run", "second"), 2, False)
        assert not store.take_stage(connection, "op_1", 2)
        assert store.take_stage(connection, "op_1", 3)

    def test_none_is_launched_before_the_first_is_known_or_after_the_end(self, connection: Connection) -> None:
        store.insert(connection, "op_1", Launch(("a.b.c",), ()), stages=2, origin=ORIGIN)
        assert not store.take_stage(connection, "op_1", 2)
        launched(connection, id="op_2")
        store.finish(connection, "op_2", OperationState.CANCELED)
        assert not store.take_stage(connection, "op_2", 2)

    def test_runs_that_are_known_are_not_replaced(self, connection: Connection) -> None:
        launched(connection)
        row = store.started(connection, "op_1", Launched(("another",), "backfill"))
        assert (row.runs, row.backfill) == (("op_1-run",), None)

    def test_one_that_was_not_launched_is_given_back(self, connection: Connection) -> None:
        launched(connection)
        assert store.release_stage(connection, "op_1").stage == 1, "nothing to give back"
        store.take_stage(connection, "op_1", 2)
        assert store.release_stage(connection, "op_1").stage == 1
        assert store.take_stage(connection, "op_1", 2)


class TestEnd:
    @pytest.mark.parametrize("state", FINAL)
    def test_what_has_ended_stays_as_it_is(self, connection: Connection, state: OperationState) -> None:
        launched(connection)
        ended = store.finish(connection, "op_1", state, error="why", produced=[VERSION], done=3)
        assert (ended.state, ended.error, ended.produced, ended.done) == (state, "why", (VERSION,), 3)
        with later(minutes=1):
            store.finish(connection, "op_1", OperationState.SUCCEEDED)
            store.progressed(connection, "op_1", state="RUNNING", done=1)
            store.request_cancel(connection, "op_1")
            store.started(connection, "op_1", Launched(("another",)))
            store.release_stage(connection, "op_1")
        assert store.get(connection, "op_1") == ended
        (event,) = events(connection)
        assert (event["type"], event["subject"]) == (f"operations.operation.{state.value.lower()}", "op_1")
        assert event["data"]["produced"] == [["a.b.c", "t@1", None]]
        assert (event["principal"], event["principal_id"], event["request_id"]) == ("ada", "usr_1", "req_1")
        assert (event["organization_id"], event["project_id"], event["traceparent"]) == ("org_1", "prj_1", "00-trace")

    @pytest.mark.parametrize("never", [True, False])
    def test_only_what_never_started_gives_its_key_back(self, connection: Connection, never: bool) -> None:
        launched(connection)
        idempotency.take(connection, Claim("usr_1", "mine", "-", "-"), "op_1")
        idempotency.take(connection, Claim("usr_1", "other", "-", "-"), "op_2")
        store.finish(connection, "op_1", OperationState.FAILED, never_started=never)
        left = connection.execute(sa.select(IDEMPOTENCY.c.key).order_by(IDEMPOTENCY.c.key)).scalars().all()
        assert left == (["other"] if never else ["mine", "other"])

    def test_a_cancel_is_noted_once_and_survives_the_start(self, connection: Connection) -> None:
        store.insert(connection, "op_1", Launch(("a.b.c",), ()), stages=1, origin=ORIGIN)
        first = store.request_cancel(connection, "op_1")
        assert (first.state, first.cancel_requested_at) == (OperationState.CANCELING, first.updated_at)
        with later(minutes=1):
            assert store.request_cancel(connection, "op_1") == first
        assert store.started(connection, "op_1", Launched(("run",))).state is OperationState.CANCELING

    def test_what_goes_on_is_followed_oldest_first(self, connection: Connection) -> None:
        for id in ("op_3", "op_1", "op_2"):
            launched(connection, id=id)
        of_saga(connection)
        store.finish(connection, "op_2", OperationState.FAILED)
        assert [row.id for row in store.unfinished(connection)] == ["op_1", "op_3"]

    def test_only_what_ended_before_is_purged(self, connection: Connection) -> None:
        for id in ("op_1", "op_2", "op_3"):
            launched(connection, id=id)
        for id in ("op_1", "op_2"):
            store.finish(connection, id, OperationState.SUCCEEDED)
            connection.execute(
                OPERATION.update()
                .where(OPERATION.c.id == id)
                .values(finished_at=clock.now() - timedelta(days=31 if id == "op_1" else 29))
            )
        assert store.purge(connection, clock.now() - timedelta(days=30), 5) == 1
        assert sorted(connection.execute(sa.select(OPERATION.c.id)).scalars()) == ["op_2", "op_3"]


class TestSagas:
    def test_nothing_begins_after_a_cancel(self, connection: Connection) -> None:
        held = of_saga(connection)
        assert journal.start(connection, held, 0) == 1
        journal.complete(connection, held, 0, {}, last=False)
        store.request_cancel(connection, held.operation)
        before = store.get(connection, held.operation)
        assert journal.start(connection, held, 1) == 0
        after = store.get(connection, held.operation)
        assert (after.state, after.steps) == (OperationState.CANCELING, before.steps)

    @pytest.mark.parametrize(
        "entry",
        [
            lambda connection, held: journal.start(connection, held, 0),
            lambda connection, held: journal.complete(connection, held, 0, {}, last=False),
            lambda connection, held: journal.complete(connection, held, 0, {}, last=True),
            lambda connection, held: journal.retry(connection, held, 0, "why", 1.0),
            lambda connection, held: journal.fail(connection, held, 0, "why"),
            lambda connection, held: journal.start_undo(connection, held, 0),
            lambda connection, held: journal.undone(connection, held, 0),
            lambda connection, held: journal.retry_undo(connection, held, 0, "why", 1.0),
            lambda connection, held: journal.fail_undo(connection, held, 0, "why", []),
            lambda connection, held: journal.end(connection, held, OperationState.FAILED, "why"),
        ],
    )
    def test_nothing_is_entered_without_the_lease(self, connection: Connection, entry: Any) -> None:
        held = of_saga(connection)
        connection.execute(OPERATION.update().values(lease_holder="another"))
        before = store.get(connection, held.operation)
        savepoint = connection.begin_nested()
        with pytest.raises(LeaseLost):
            entry(connection, held)
        savepoint.rollback()
        assert store.get(connection, held.operation) == before

    def test_every_entry_extends_the_lease(self, connection: Connection) -> None:
        held = of_saga(connection)
        for minute, entry in enumerate(
            (
                lambda: journal.start(connection, held, 0),
                lambda: journal.retry(connection, held, 0, "why", 1.0),
                lambda: journal.complete(connection, held, 0, {}, last=False),
                lambda: journal.fail(connection, held, 1, "why"),
                lambda: journal.start_undo(connection, held, 0),
                lambda: journal.retry_undo(connection, held, 0, "why", 1.0),
                lambda: journal.undone(connection, held, 0),
            ),
            start=1,
        ):
            with later(minutes=minute):
                entry()
                until = store.get(connection, held.operation).lease_expires_at
                assert until is not None
                assert until > clock.now() + timedelta(seconds=10)

    def test_attempts_and_the_first_start_are_kept_over_tries(self, connection: Connection) -> None:
        held = of_saga(connection)
        assert journal.start(connection, held, 0) == 1
        first = store.get(connection, held.operation).steps[0].started_at
        with later(minutes=1):
            assert journal.start(connection, held, 0) == 2
        step = store.get(connection, held.operation).steps[0]
        assert (step.attempts, step.started_at) == (2, first)
        assert [journal.start_undo(connection, held, 0) for _ in range(2)] == [1, 2]
        messages = [line.message for line in steps.lines(store.get(connection, held.operation).steps)]
        assert messages == ["reserve started", "reserve started, attempt 2", "undoing", "undoing, attempt 2"]


ROW = OperationRow(
    **dict.fromkeys(("id", "action", "subject", "principal", "principal_id", "request_id"), ""),
    executor=store.Executor.LAUNCH,
    state=OperationState.RUNNING,
    assets=(),
    partitions=(),
    config={},
    created_at=clock.now(),
    updated_at=clock.now(),
    runs=("one", "two"),
)
S = RunStatus


class TestObservation:
    """What the runs are like says what the operation is like; the worst end counts."""

    @pytest.mark.parametrize(
        ("one", "two", "state"),
        [
            (S.SUCCEEDED, S.SUCCEEDED, "SUCCEEDED"),
            (S.SUCCEEDED, S.FAILED, "FAILED"),
            (S.CANCELED, S.SUCCEEDED, "CANCELED"),
            (S.CANCELED, S.FAILED, "FAILED"),
            (S.FAILED, S.CANCELED, "FAILED"),
            (S.FAILED, S.RUNNING, "RUNNING"),
            (S.QUEUED, S.QUEUED, "PENDING"),
            (S.QUEUED, S.STARTING, "RUNNING"),
            (S.SUCCEEDED, S.QUEUED, "RUNNING"),
            (S.SUCCEEDED, None, "FAILED"),
            (S.CANCELING, S.RUNNING, "RUNNING"),
        ],
    )
    def test_of_runs(self, one: RunStatus, two: RunStatus | None, state: str) -> None:
        produced = {"one": ProducedVersion("a", "1", None), "two": ProducedVersion("b", "2", None)}
        runs = {
            id: RunState(
                id, status, 1, 2, error=f"{id} broke" if status is S.FAILED else None, produced=(produced[id],)
            )
            for id, status in (("one", one), ("two", two))
            if status is not None
        }
        seen = observation.of_runs(ROW, runs)
        assert seen.state == state
        assert (seen.done, seen.total, seen.runs) == (len(runs), 2 * len(runs), ROW.runs)
        assert [made.asset for made in seen.produced] == ["a", "b"][: len(runs)]
        broke = {S.FAILED: "two broke", None: "Run two was deleted."}.get(two) if one is not S.FAILED else "one broke"
        assert seen.error == (broke if S.FAILED in (one, two) or two is None else None)
        cancelled = observation.of_runs(replace(ROW, cancel_requested_at=clock.now()), runs)
        assert cancelled.state == (state if seen.state.final else "CANCELING")

    def test_of_a_backfill(self) -> None:
        row = replace(ROW, backfill="fill", done=1, total=3)
        gone = observation.of_backfill(row, None, {})
        assert (gone.state, gone.done, gone.total, gone.error) == ("FAILED", 1, 3, "Backfill fill was deleted.")
        run = RunState("one", S.FAILED, 1, 1, error="one broke", produced=(VERSION,))
        state = BackfillState("fill", S.RUNNING, 2, 3, ("one",))
        seen = observation.of_backfill(row, state, {"one": run})
        assert (seen.state, seen.done, seen.total, seen.runs, seen.error) == ("RUNNING", 2, 3, ("one",), None)
        assert seen.produced == (VERSION,)
        failed = observation.of_backfill(row, replace(state, status=S.FAILED), {"one": run})
        assert (failed.state, failed.error) == ("FAILED", "one broke")
        own = observation.of_backfill(row, replace(state, status=S.FAILED, error="no partition"), {"one": run})
        assert own.error == "no partition"
        silent = observation.of_backfill(row, replace(state, status=S.FAILED), {})
        assert silent.error is not None
        assert "without an error" in silent.error

    def test_only_what_differs_is_written(self) -> None:
        run = RunState("one", S.RUNNING, 1, 2)
        row = replace(ROW, runs=("one",), done=1, total=2)
        assert not observation.of_runs(row, {"one": run}).differs(row)
        for other in ({"done": 0}, {"total": 3}, {"state": OperationState.PENDING}):
            assert observation.of_runs(row, {"one": run}).differs(replace(row, **other))
