"""The next move of a saga. It depends only on the stored rows, so another process can continue at any point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from api.kernel.operations.store import OperationRow, OperationState
from api.kernel.sagas.saga import ActivityStep, Saga
from api.kernel.sagas.steps import StepState


@dataclass(frozen=True, slots=True)
class Do:
    """The move that runs a step."""

    index: int


@dataclass(frozen=True, slots=True)
class Undo:
    """The move that undoes a step."""

    index: int


@dataclass(frozen=True, slots=True)
class End:
    """The move that records the end of the operation."""

    state: OperationState
    error: str | None = None


Move: TypeAlias = Do | Undo | End


def next_move(saga: Saga[Any], row: OperationRow) -> Move | None:
    """Returns the next move of an operation, or None if it has ended.

    An error on an unfinished operation means that a step has failed, so the steps are undone. The steps of a cancelled
    operation are undone too, unless all of them are done.
    """
    if row.state.final:
        return None
    if saga.step_names != tuple(step.name for step in row.steps):
        return End(OperationState.FAILED, _changed(saga, row))
    unfinished = next((step.index for step in row.steps if step.state is not StepState.DONE), None)
    if unfinished is None:
        return End(OperationState.SUCCEEDED)
    if row.error is None and row.cancel_requested_at is None:
        return Do(unfinished)
    for step in reversed(row.steps):
        # An activity that failed or was interrupted may have had an effect; a transaction was rolled back.
        may_have_effect = isinstance(saga.steps[step.index], ActivityStep) and saga.steps[step.index].undo is not None
        if step.state is StepState.DONE or (may_have_effect and step.state in (StepState.RUNNING, StepState.FAILED)):
            return Undo(step.index)
    if row.error is None:
        return End(OperationState.CANCELED)
    undone = any(step.state is StepState.COMPENSATED for step in row.steps)
    return End(OperationState.FAILED, f"{row.error.rstrip('.')}. The steps were undone." if undone else row.error)


def in_effect(saga: Saga[Any], row: OperationRow) -> list[str]:
    """Returns the names of the steps that are in effect or, for activities that failed, may be."""
    uncertain = (StepState.RUNNING, StepState.FAILED)
    return [
        step.name
        for step, declared in zip(row.steps, saga.steps, strict=True)
        if step.state is StepState.DONE or (isinstance(declared, ActivityStep) and step.state in uncertain)
    ]


def _changed(saga: Saga[Any], row: OperationRow) -> str:
    started = [step.name for step in row.steps if step.state not in (StepState.PENDING, StepState.COMPENSATED)]
    return (
        f"An upgrade changed the steps of {saga.name} while this operation was running, so it cannot continue. "
        f"Steps that started and were not undone: {', '.join(started) or 'none'}. Check their effects and start again."
    )
