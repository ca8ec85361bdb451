"""What a saga is: a name, a typed input, and steps that know how to undo themselves.

    MOVE = Saga(
        "admin.project.move",
        input=MoveProject,
        steps=[TransactionStep("freeze", freeze, undo=unfreeze), ActivityStep("copy", copy, undo=discard)],
    )

    def freeze(connection: Connection, step: StepContext[MoveProject]) -> Output: ...
    async def copy(step: StepContext[MoveProject]) -> Output: ...

Steps are generic over the input, so mypy refuses a function that takes another one, or has the wrong form.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from sqlalchemy.engine import Connection

from api.kernel.models import Request
from api.kernel.platform import Platform

I = TypeVar("I", bound=Request)  # noqa: E741 - what goes in

Output: TypeAlias = Mapping[str, Any] | None
"""What a step leaves for the later ones and for its compensation: a JSON object, never a secret."""

ATTEMPTS = 5
UNDO_ATTEMPTS = 8
TIMEOUT_SECONDS = 600.0
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_SAGA_NAME = re.compile(r"[a-z][a-z0-9_.]{0,126}")


@dataclass(frozen=True, slots=True)
class StepContext(Generic[I]):
    """What a step is given: the input, what the steps before it left, and for whom it works."""

    operation: str
    """Id of the operation."""

    index: int
    """Position of the step, from 0."""

    name: str
    """Name of the step."""

    input: I
    """What the saga was begun with."""

    outputs: Mapping[str, Mapping[str, Any]]
    """Output of every step that is done, by name. A compensation finds that of its own step here, too."""

    attempt: int
    """Which try this is, from 1. Above 1, an earlier one failed or its process died."""

    principal: str
    """Name of who began it."""

    principal_id: str
    """Id of who began it."""

    organization_id: str | None
    """Organization it works in, if any."""

    project_id: str | None
    """Project it works in, if any."""

    request_id: str
    """The request that began it; goes into events."""

    traceparent: str | None
    """Where that stood in its trace; goes into events, too."""

    platform: Platform
    """What the process shares."""

    @property
    def idempotency_key(self) -> str:
        """The same for every try of this step, and for no other step: what an outside service can tell repeats by."""
        return f"{self.operation}:{self.index}"


@dataclass(frozen=True, slots=True)
class TransactionStep(Generic[I]):
    """A step inside the metadata database. It and its completion are one transaction: it happens exactly once.

    `attempts` bounds the tries while the database, or whatever raises `Unavailable`, does not answer.
    """

    name: str
    do: Callable[[Connection, StepContext[I]], Output]
    undo: Callable[[Connection, StepContext[I]], None] | None = None
    attempts: int = ATTEMPTS


@dataclass(frozen=True, slots=True)
class ActivityStep(Generic[I]):
    """A step outside the database. A process may die between doing it and noting it, so it may be done again.

    `do` must therefore be idempotent by `StepContext.idempotency_key`, and `undo` must cope with work that was done
    half or not at all: it is also called for a try that failed. A try may take `timeout_seconds`.
    """

    name: str
    do: Callable[[StepContext[I]], Awaitable[Output]]
    undo: Callable[[StepContext[I]], Awaitable[None]] | None = None
    attempts: int = ATTEMPTS
    timeout_seconds: float = TIMEOUT_SECONDS


Step: TypeAlias = TransactionStep[I] | ActivityStep[I]


class Saga(Generic[I]):
    """Steps carried out in order, each at most as often as it says; on a failure the done ones are undone in reverse.

    The output of the last step is the operation's result.
    """

    def __init__(self, name: str, *, input: type[I], steps: Sequence[Step[I]]) -> None:
        """`name` is stored with each operation and finds the saga after a restart: it must never change.

        Raises:
            ValueError: a name is malformed or comes twice, or there is no step.
        """
        names = [step.name for step in steps]
        if not _SAGA_NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a saga: lower case words joined by dots")
        if not steps or len(set(names)) < len(names) or not all(_NAME.fullmatch(name) for name in names):
            raise ValueError(f"the steps of {name} need names, each once: {names}")
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
        """This saga with its input: what a long action returns to begin it."""
        return SagaCall(self, input)


@dataclass(frozen=True, slots=True)
class SagaCall(Generic[I]):
    """A wish to carry out a saga."""

    saga: Saga[I]
    input: I
