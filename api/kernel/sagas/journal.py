"""The journal of a saga. Each entry changes the rows in a transaction that also proves that the lease is held."""

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
    """Records the start of an attempt. Returns its number from 1, or 0 if the operation is being cancelled."""
    lease.hold(connection, held)
    row = store.get(connection, held.operation)
    if row.cancel_requested_at:
        return 0
    lease.hold(connection, held, state=OperationState.RUNNING.value, updated_at=clock.now())
    step = row.steps[index]
    attempt = step.attempts + 1
    values: dict[str, Any] = {
        "attempts": attempt,
        "state": StepState.RUNNING.value,
        "started_at": step.started_at or clock.now(),
    }
    suffix = f", attempt {attempt}" if attempt > 1 else ""
    steps.change(connection, held.operation, index, "STEP_STARTED", f"{step.name} started{suffix}", **values)
    return attempt


def complete(connection: Connection, held: Lease, index: int, output: dict[str, Any], last: bool) -> None:
    """Records that the step is done. The operation succeeds with the last step."""
    now = clock.now()
    lease.hold(connection, held, done=index + 1, updated_at=now)
    done: dict[str, Any] = {"state": StepState.DONE.value, "output": output, "error": None, "finished_at": now}
    steps.change(connection, held.operation, index, "STEP_DONE", "done", **done)
    if last:
        store.finish(connection, held.operation, OperationState.SUCCEEDED, result=output)


def retry(connection: Connection, held: Lease, index: int, cause: str, delay: float) -> None:
    """Records a temporary failure of the step, with the delay before the next attempt in seconds."""
    lease.hold(connection, held, updated_at=clock.now())
    message = f"failed, next attempt in {delay:.1f} s: {cause}"
    steps.change(connection, held.operation, index, "STEP_RETRIED", message, level="WARNING", error=cause)


def fail(connection: Connection, held: Lease, index: int, cause: str) -> None:
    """Records the permanent failure of the step. All steps are undone from now on."""
    now = clock.now()
    lease.hold(connection, held, error=cause, updated_at=now)
    failed: dict[str, Any] = {"state": StepState.FAILED.value, "error": cause, "finished_at": now}
    steps.change(connection, held.operation, index, "STEP_FAILED", cause, level="ERROR", **failed)


def start_undo(connection: Connection, held: Lease, index: int) -> int:
    """Records the start of an attempt to undo the step. Returns its number from 1."""
    lease.hold(connection, held, updated_at=clock.now())
    step = store.get(connection, held.operation).steps[index]
    attempt = step.undo_attempts + 1
    suffix = f", attempt {attempt}" if attempt > 1 else ""
    steps.change(connection, held.operation, index, "STEP_UNDO_STARTED", f"undoing{suffix}", undo_attempts=attempt)
    return attempt


def undone(connection: Connection, held: Lease, index: int) -> None:
    """Records that the step was undone."""
    lease.hold(connection, held)
    now = clock.now()
    changes: dict[str, Any] = {"state": StepState.COMPENSATED.value, "finished_at": now}
    steps.change(connection, held.operation, index, "STEP_COMPENSATED", "undone", **changes)
    rows = store.get(connection, held.operation).steps
    done = sum(step.state is StepState.DONE for step in rows)
    lease.hold(connection, held, done=done, updated_at=now)


def retry_undo(connection: Connection, held: Lease, index: int, cause: str, delay: float) -> None:
    """Records a failed attempt to undo the step, with the delay before the next one in seconds."""
    lease.hold(connection, held, updated_at=clock.now())
    message = f"could not be undone, next attempt in {delay:.1f} s: {cause}"
    steps.change(connection, held.operation, index, "STEP_UNDO_RETRIED", message, level="WARNING")


def fail_undo(connection: Connection, held: Lease, index: int, cause: str, in_effect: list[str]) -> None:
    """Records that the step cannot be undone. The operation fails, and its error names the steps in effect.

    Earlier steps are not undone, because the effect of this step depends on them: a partly moved project must stay
    frozen.
    """
    lease.hold(connection, held)
    row = store.get(connection, held.operation)
    name = row.steps[index].name
    failed: dict[str, Any] = {
        "state": StepState.FAILED.value,
        "error": f"The step could not be undone: {cause}",
        "finished_at": clock.now(),
    }
    steps.change(connection, held.operation, index, "STEP_UNDO_FAILED", f"could not be undone: {cause}", **failed)
    reason = row.error or "The operation was cancelled."
    error = (
        f"{reason.rstrip('.')}. Step {name} could not be undone: {cause.rstrip('.')}. "
        f"Still in effect: {', '.join(in_effect)}. Undo these steps manually, the last one first."
    )
    store.finish(connection, held.operation, OperationState.FAILED, error=error)
    steps.settle(connection, held.operation)


def end(connection: Connection, held: Lease, state: OperationState, error: str | None) -> None:
    """Records the end of the operation. All steps are done or undone."""
    lease.hold(connection, held)
    store.finish(connection, held.operation, state, error=error)
    steps.settle(connection, held.operation)
