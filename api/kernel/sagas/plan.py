"""What a saga does next. Decided anew from its rows before every move, so a process that takes it over just goes on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from api.kernel.operations.store import OperationRow, OperationState
from api.kernel.sagas.saga import ActivityStep, Saga
from api.kernel.sagas.steps import StepState


@dataclass(frozen=True, slots=True)
class Do:
    """Carry out the step."""

    index: int


@dataclass(frozen=True, slots=True)
class Undo:
    """Take back what the step did."""

    index: int


@dataclass(frozen=True, slots=True)
class End:
    """Nothing is left to do but to say how it ended."""

    state: OperationState
    error: str | None = None


Move: TypeAlias = Do | Undo | End


def next_move(saga: Saga[Any], row: OperationRow) -> Move | None:
    """The next move of an operation; None if it has ended.

    An error on a live operation means that a step has failed: everything is being undone. A cancelled one is undone,
    too, unless all its steps are done.
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
        # Nobody knows how far an activity got that failed or was interrupted; a transaction was rolled back.
        begun = isinstance(saga.steps[step.index], ActivityStep) and saga.steps[step.index].undo is not None
        if step.state is StepState.DONE or (begun and step.state in (StepState.RUNNING, StepState.FAILED)):
            return Undo(step.index)
    if row.error is None:
        return End(OperationState.CANCELED)
    undone = any(step.state is StepState.COMPENSATED for step in row.steps)
    return End(OperationState.FAILED, f"{row.error.rstrip('.')}. What was done was undone." if undone else row.error)


def in_effect(saga: Saga[Any], row: OperationRow) -> list[str]:
    """Names of the steps whose effect is there, or may be: of an activity that failed nobody knows."""
    unsure = (StepState.RUNNING, StepState.FAILED)
    return [
        step.name
        for step, declared in zip(row.steps, saga.steps, strict=True)
        if step.state is StepState.DONE or (isinstance(declared, ActivityStep) and step.state in unsure)
    ]


def _changed(saga: Saga[Any], row: OperationRow) -> str:
    begun = [step.name for step in row.steps if step.state not in (StepState.PENDING, StepState.COMPENSATED)]
    return (
        f"The steps of {saga.name} were changed by an upgrade while this operation was under way; it cannot go on. "
        f"Steps begun and not undone: {', '.join(begun) or 'none'}. Look at what they did, and begin again."
    )
