"""A saga that waits at a gate, and what is seen of a saga."""

from __future__ import annotations

import asyncio

from api.kernel.operations import store
from api.kernel.platform import Platform
from api.kernel.sagas import steps
from api.kernel.sagas.saga import ActivityStep, Output, Saga, StepContext, TransactionStep
from tests import sagas
from tests.sagas import Order, effects


def happened(platform: Platform, id: str) -> list[tuple[str, str]]:
    with platform.database.read() as connection:
        return effects(connection, id)


def states(row: store.OperationRow) -> list[str]:
    return [step.state.value for step in row.steps]


def log(row: store.OperationRow) -> list[tuple[str, str]]:
    return [(line.step, line.type) for line in steps.lines(row.steps)]


class Gate:
    """An activity that waits until it is let go on."""

    def __init__(self) -> None:
        self.reached, self.opened = asyncio.Event(), asyncio.Event()
        self.calls = 0

    async def __call__(self, step: StepContext[Order]) -> Output:
        self.calls += 1
        self.reached.set()
        await self.opened.wait()
        return None

    def saga(self) -> Saga[Order]:
        inside = [TransactionStep(name, sagas.do_inside, undo=sagas.undo_inside) for name in ("first", "last")]
        return Saga("test.gate", input=Order, steps=[inside[0], ActivityStep("wait", self), inside[1]])
