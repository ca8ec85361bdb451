"""The state of an operation, derived from the states of its runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from api.kernel.operations.store import OperationRow, OperationState
from core.runs import BackfillState, ProducedVersion, RunState, RunStatus

_FINAL = {
    RunStatus.SUCCEEDED: OperationState.SUCCEEDED,
    RunStatus.FAILED: OperationState.FAILED,
    RunStatus.CANCELED: OperationState.CANCELED,
}


@dataclass(frozen=True, slots=True)
class Observation:
    """State and progress of an operation according to the orchestrator."""

    state: OperationState
    done: int
    total: int
    runs: tuple[str, ...]
    error: str | None = None
    produced: tuple[ProducedVersion, ...] = ()

    def values(self) -> dict[str, Any]:
        """Returns the columns of an operation that is not final."""
        return {"state": self.state.value, "done": self.done, "total": self.total, "runs": list(self.runs)}

    def final_values(self) -> dict[str, Any]:
        """Returns the columns of a final operation."""
        counts = {"done": self.done, "total": self.total, "runs": list(self.runs)}
        return {"error": self.error, "produced": self.produced, **counts}

    def differs(self, row: OperationRow) -> bool:
        """Returns whether the row has another state or progress."""
        return (self.state, self.done, self.total, self.runs) != (row.state, row.done, row.total, row.runs)


def of_runs(row: OperationRow, runs: Mapping[str, RunState]) -> Observation:
    """Returns the observation from runs. A deleted run counts as failed."""
    statuses = [runs[id].status if id in runs else RunStatus.FAILED for id in row.runs]
    errors = [runs[id].error if id in runs else f"Run {id} was deleted." for id in row.runs]
    return Observation(
        state=_state(row, statuses),
        done=sum(run.steps_done for run in runs.values()),
        total=sum(run.steps_total for run in runs.values()),
        runs=row.runs,
        error=_error(statuses, errors),
        produced=tuple(version for id in row.runs if id in runs for version in runs[id].produced),
    )


def of_backfill(row: OperationRow, backfill: BackfillState | None, runs: Mapping[str, RunState]) -> Observation:
    """Returns the observation from a backfill. Progress counts partitions."""
    if backfill is None:
        error = f"Backfill {row.backfill} was deleted."
        return Observation(OperationState.FAILED, row.done, row.total, row.runs, error)
    errors = [backfill.error, *(run.error for run in runs.values())]
    return Observation(
        state=_state(row, [backfill.status]),
        done=backfill.done,
        total=backfill.total,
        runs=backfill.runs,
        error=_error([backfill.status], errors),
        produced=tuple(version for run in runs.values() for version in run.produced),
    )


def _state(row: OperationRow, statuses: list[RunStatus]) -> OperationState:
    if all(status.final for status in statuses):
        for status in (RunStatus.FAILED, RunStatus.CANCELED):
            if status in statuses:
                return _FINAL[status]
        return OperationState.SUCCEEDED
    if row.cancel_requested_at:
        return OperationState.CANCELING
    waiting = all(status is RunStatus.QUEUED for status in statuses)
    return OperationState.PENDING if waiting else OperationState.RUNNING


def _error(statuses: list[RunStatus], errors: list[str | None]) -> str | None:
    if RunStatus.FAILED not in statuses:
        return None
    return next((error for error in errors if error), "The run failed without an error. See the logs of the operation.")
