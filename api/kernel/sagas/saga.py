"""Declarations of sagas: a name, a typed input, and steps with their compensation.

    MOVE = Saga(
        "admin.project.move",
        input=MoveProject,
        steps=[TransactionStep("freeze", freeze, undo=unfreeze), ActivityStep("copy", copy, undo=discard)],
    )

    def freeze(connection: Connection, step: StepContext[MoveProject]) -> Output: ...
    async def copy(step: StepContext[MoveProject]) -> Output: ...

Steps are generic over the input, so mypy refuses functions with another signature.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from sqlalchemy.engine import Connection

from api.kernel.models import Request
from api.kernel.platform import Platform

I = TypeVar("I", bound=Request)  # noqa: E741 - the input

Output: TypeAlias = Mapping[str, Any] | None
"""The output of a step for later steps and for its compensation: a JSON object without secrets."""

ATTEMPTS = 5
UNDO_ATTEMPTS = 8
TIMEOUT_SECONDS = 600.0
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_SAGA_NAME = re.compile(r"[a-z][a-z0-9_.]{0,126}")


@dataclass(frozen=True, slots=True)
class StepContext(Generic[I]):
    """The context of a step: the input, the outputs of earlier steps, and the origin of the operation."""

    operation: str
    """Id of the operation."""

    index: int
    """Position of the step, from 0."""

    name: str
    """Name of the step."""

    input: I
    """Input of the saga."""

    outputs: Mapping[str, Mapping[str, Any]]
    """Outputs of the steps that are done, by name. For a compensation, this includes the step itself."""

    attempt: int
    """Number of the attempt, from 1. If it is above 1, earlier attempts failed or their process died."""

    principal: str
    """Name of the principal that started the operation."""

    principal_id: str
    """Id of the principal that started the operation."""

    organization_id: str | None
    """Organization of the operation, if any."""

    project_id: str | None
    """Project of the operation, if any."""

    request_id: str
    """Request that started the operation, for events."""

    traceparent: str | None
    """Trace context of that request, for events."""

    platform: Platform
    """Shared objects of the process."""

    @property
    def idempotency_key(self) -> str:
        """A key that is the same for all attempts of this step and differs between steps, for external services."""
        return f"{self.operation}:{self.index}"


@dataclass(frozen=True, slots=True)
class TransactionStep(Generic[I]):
    """A step within the metadata database. Its effect and its completion are one transaction, so it runs exactly once.

    `attempts` limits the attempts that raise `Unavailable`.
    """

    name: str
    do: Callable[[Connection, StepContext[I]], Output]
    undo: Callable[[Connection, StepContext[I]], None] | None = None
    attempts: int = ATTEMPTS


@dataclass(frozen=True, slots=True)
class ActivityStep(Generic[I]):
    """A step outside the database. It may run again, because a process can die before it records the completion.

    `do` must be idempotent with `StepContext.idempotency_key`. `undo` is also called after a failed attempt, so it must
    accept partial effects and no effect. An attempt may take `timeout_seconds`.
    """

    name: str
    do: Callable[[StepContext[I]], Awaitable[Output]]
    undo: Callable[[StepContext[I]], Awaitable[None]] | None = None
    attempts: int = ATTEMPTS
    timeout_seconds: float = TIMEOUT_SECONDS


Step: TypeAlias = TransactionStep[I] | ActivityStep[I]


class Saga(Generic[I]):
    """A sequence of steps. If a step fails permanently, the steps that are done are undone in reverse order.

    The output of the last step is the result of the operation.
    """

    def __init__(self, name: str, *, input: type[I], steps: Sequence[Step[I]]) -> None:
        """Declares a saga.

        Args:
            name: name that is stored with each operation. It must never change.
            input: class of the input.
            steps: steps in order.

        Raises:
            ValueError: a name is malformed or used twice, or there are no steps.
        """
        names = [step.name for step in steps]
        if not _SAGA_NAME.fullmatch(name):
            raise ValueError(f"{name!r} is not a name of a saga: use lowercase words joined by dots")
        if not steps or len(set(names)) < len(names) or not all(_NAME.fullmatch(name) for name in names):
            raise ValueError(f"the steps of {name} need distinct names: {names}")
        self.name = name
        self.input = input
        self.steps = tuple(steps)

    def __repr__(self) -> str:
        return f"Saga({self.name!r})"

    @property
    def step_names(self) -> tuple[str, ...]:
        """Names of the steps, in order."""
        return tuple(step.name for step in self.steps)

    def of(self, input: I) -> SagaCall[I]:
        """Returns the saga with an input. A long-running action returns this to start the saga."""
        return SagaCall(self, input)


@dataclass(frozen=True, slots=True)
class SagaCall(Generic[I]):
    """A saga with its input."""

    saga: Saga[I]
    input: I
