"""From the states of runs to the state of the operation that started them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from api.kernel.operations.store import OperationRow, OperationState
from core.ports import BackfillState, Produced, RunState, RunStatus

_FINAL = {
    RunStatus.SUCCEEDED: OperationState.SUCCEEDED,
    RunStatus.FAILED: OperationState.FAILED,
    RunStatus.CANCELED: OperationState.CANCELED,
}


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look at the orchestrator told."""

    state: OperationState
    done: int
    total: int
    runs: tuple[str, ...]
    error: str | None = None
    produced: tuple[Produced, ...] = ()

    def values(self) -> dict[str, Any]:
        """Columns of an operation that goes on."""
        return {"state": self.state.value, "done": self.done, "total": self.total, "runs": list(self.runs)}

    def final_values(self) -> dict[str, Any]:
        """Columns of one that has ended."""
        counts = {"done": self.done, "total": self.total, "runs": list(self.runs)}
        return {"error": self.error, "produced": self.produced, **counts}

    def differs(self, row: OperationRow) -> bool:
        """Whether the row says something else."""
        return (self.state, self.done, self.total, self.runs) != (row.state, row.done, row.total, row.runs)


def of_runs(row: OperationRow, runs: Mapping[str, RunState]) -> Seen:
    """The operation, from its runs. A run that is gone counts as failed: nobody can say how it ended."""
    statuses = [runs[id].status if id in runs else RunStatus.FAILED for id in row.runs]
    errors = [runs[id].error if id in runs else f"Run {id} was deleted." for id in row.runs]
    return Seen(
        state=_state(row, statuses),
        done=sum(run.steps_done for run in runs.values()),
        total=sum(run.steps_total for run in runs.values()),
        runs=row.runs,
        error=_error(statuses, errors),
        produced=tuple(made for id in row.runs if id in runs for made in runs[id].produced),
    )


def of_backfill(row: OperationRow, backfill: BackfillState | None, runs: Mapping[str, RunState]) -> Seen:
    """The operation, from its backfill; progress counts partitions."""
    if backfill is None:
        gone = f"Backfill {row.backfill} was deleted."
        return Seen(OperationState.FAILED, row.done, row.total, row.runs, gone)
    errors = [backfill.error, *(run.error for run in runs.values())]
    return Seen(
        state=_state(row, [backfill.status]),
        done=backfill.done,
        total=backfill.total,
        runs=backfill.runs,
        error=_error([backfill.status], errors),
        produced=tuple(made for run in runs.values() for made in run.produced),
    )


def _state(row: OperationRow, statuses: list[RunStatus]) -> OperationState:
    if all(status.final for status in statuses):
        for worst in (RunStatus.FAILED, RunStatus.CANCELED):
            if worst in statuses:
                return _FINAL[worst]
        return OperationState.SUCCEEDED
    if row.cancel_requested_at:
        return OperationState.CANCELING
    waiting = all(status is RunStatus.QUEUED for status in statuses)
    return OperationState.PENDING if waiting else OperationState.RUNNING


def _error(statuses: list[RunStatus], errors: list[str | None]) -> str | None:
    if RunStatus.FAILED not in statuses:
        return None
    return next((error for error in errors if error), "The run failed without saying why; see the operation's logs.")
