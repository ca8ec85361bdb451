"""What happened to a saga, written down: each entry changes the rows and proves that the lease is still held."""

from __future__ import annotations

from typing import Any

from sqlalchemy.engine import Connection

from api.kernel.operations import store
from api.kernel.operations.store import OperationState
from api.kernel.sagas import lease, steps
from api.kernel.sagas.lease import Lease
from api.kernel.sagas.steps import StepState
from core import clock


def start(connection: Connection, held: Lease, index: int) -> int:
    """A try of the step begins. Returns which one, from 1; 0 if a cancel came first, and then nothing begins."""
    lease.hold(connection, held)
    row = store.get(connection, held.operation)
    if row.cancel_requested_at:
        return 0
    lease.hold(connection, held, state=OperationState.RUNNING.value, updated_at=clock.now())
    step = row.steps[index]
    attempt = step.attempts + 1
    began: dict[str, Any] = {
        "attempts": attempt,
        "state": StepState.RUNNING.value,
        "started_at": step.started_at or clock.now(),
    }
    again = f", attempt {attempt}" if attempt > 1 else ""
    steps.change(connection, held.operation, index, "STEP_STARTED", f"{step.name} started{again}", **began)
    return attempt


def complete(connection: Connection, held: Lease, index: int, output: dict[str, Any], last: bool) -> None:
    """The step is done. With the last one the operation has succeeded."""
    now = clock.now()
    lease.hold(connection, held, done=index + 1, updated_at=now)
    done: dict[str, Any] = {"state": StepState.DONE.value, "output": output, "error": None, "finished_at": now}
    steps.change(connection, held.operation, index, "STEP_DONE", "done", **done)
    if last:
        store.finish(connection, held.operation, OperationState.SUCCEEDED, result=output)


def retry(connection: Connection, held: Lease, index: int, why: str, delay: float) -> None:
    """The step has failed in a way that may pass; it is tried again after the delay, in seconds."""
    lease.hold(connection, held, updated_at=clock.now())
    message = f"failed, tried again in {delay:.1f} s: {why}"
    steps.change(connection, held.operation, index, "STEP_RETRIED", message, level="WARNING", error=why)


def fail(connection: Connection, held: Lease, index: int, why: str) -> None:
    """The step has failed for good: from now on everything is undone."""
    now = clock.now()
    lease.hold(connection, held, error=why, updated_at=now)
    failed: dict[str, Any] = {"state": StepState.FAILED.value, "error": why, "finished_at": now}
    steps.change(connection, held.operation, index, "STEP_FAILED", why, level="ERROR", **failed)


def start_undo(connection: Connection, held: Lease, index: int) -> int:
    """A try to undo the step begins. Returns which one, from 1."""
    lease.hold(connection, held, updated_at=clock.now())
    step = store.get(connection, held.operation).steps[index]
    attempt = step.undo_attempts + 1
    again = f", attempt {attempt}" if attempt > 1 else ""
    steps.change(connection, held.operation, index, "STEP_UNDO_STARTED", f"undoing{again}", undo_attempts=attempt)
    return attempt


def undone(connection: Connection, held: Lease, index: int) -> None:
    """The effect of the step is gone."""
    lease.hold(connection, held)
    now = clock.now()
    changes: dict[str, Any] = {"state": StepState.COMPENSATED.value, "finished_at": now}
    steps.change(connection, held.operation, index, "STEP_COMPENSATED", "undone", **changes)
    rows = store.get(connection, held.operation).steps
    done = sum(step.state is StepState.DONE for step in rows)
    lease.hold(connection, held, done=done, updated_at=now)


def retry_undo(connection: Connection, held: Lease, index: int, why: str, delay: float) -> None:
    """The step could not be undone yet; it is tried again after the delay, in seconds."""
    lease.hold(connection, held, updated_at=clock.now())
    message = f"could not be undone, tried again in {delay:.1f} s: {why}"
    steps.change(connection, held.operation, index, "STEP_UNDO_RETRIED", message, level="WARNING")


def give_up(connection: Connection, held: Lease, index: int, why: str, left: list[str]) -> None:
    """The step cannot be undone: the operation fails, and says what is left.

    The steps before it stay as they are. What they did is what this step's effect stands on: a half-moved project
    must not be thawed.
    """
    lease.hold(connection, held)
    row = store.get(connection, held.operation)
    name = row.steps[index].name
    failed: dict[str, Any] = {
        "state": StepState.FAILED.value,
        "error": f"It could not be undone: {why}",
        "finished_at": clock.now(),
    }
    steps.change(connection, held.operation, index, "STEP_UNDO_FAILED", f"could not be undone: {why}", **failed)
    reason = row.error or "It was cancelled."
    error = (
        f"{reason.rstrip('.')}. Step {name} could not be undone: {why.rstrip('.')}. "
        f"Still in effect: {', '.join(left)}. Undo them by hand, the last one first."
    )
    store.finish(connection, held.operation, OperationState.FAILED, error=error)
    steps.settle(connection, held.operation)


def end(connection: Connection, held: Lease, state: OperationState, error: str | None) -> None:
    """Everything is done or undone."""
    lease.hold(connection, held)
    store.finish(connection, held.operation, state, error=error)
    steps.settle(connection, held.operation)
