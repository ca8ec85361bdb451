"""Carries sagas out: one process at a time under a lease, each move decided from what is stored.

Every write first extends the lease in the same transaction. A process that was paused and lost it therefore changes
nothing any more, and a killed one leaves rows from which the next goes on.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
from collections.abc import Callable, Mapping
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy.engine import Connection

from api.kernel.operations import store
from api.kernel.operations.store import OperationRow
from api.kernel.platform import Platform
from api.kernel.sagas import journal, lease
from api.kernel.sagas.lease import Lease, LeaseLost
from api.kernel.sagas.plan import Do, Undo, in_effect, next_move
from api.kernel.sagas.saga import UNDO_ATTEMPTS, Saga, Step, StepContext, TransactionStep
from api.kernel.sagas.steps import StepState
from core.errors import HeadwaterError, Unavailable
from core.ids import new_id

LEASE_SECONDS = 15.0
"""How long a saga waits at most after its process died."""

CAPACITY = 16
"""Sagas under way at once in one process; the others wait."""

FIRST_DELAY_SECONDS = 0.2
LONGEST_DELAY_SECONDS = 10.0
_log = logging.getLogger("headwater.sagas")
P = ParamSpec("P")
T = TypeVar("T")


class Runner:
    """The sagas that one process carries out."""

    def __init__(
        self, platform: Platform, *, lease_seconds: float = LEASE_SECONDS, first_delay: float = FIRST_DELAY_SECONDS
    ) -> None:
        self._platform = platform
        self._sagas: dict[str, Saga[Any]] = {}
        self._seconds = lease_seconds
        self._first_delay = first_delay
        self._under_way: dict[str, asyncio.Task[None]] = {}

    def register(self, saga: Saga[Any]) -> None:
        """Makes a saga known by its name, here and after every restart.

        Raises:
            ValueError: another one has the name.
        """
        if self._sagas.setdefault(saga.name, saga) is not saga:
            raise ValueError(f"two sagas are named {saga.name}")

    def knows(self, saga: Saga[Any]) -> bool:
        """Whether the saga is registered."""
        return self._sagas.get(saga.name) is saga

    async def take_waiting(self) -> None:
        """Sets out to carry out what nobody does: new sagas, and those whose process has died."""
        room = CAPACITY - len(self._under_way)
        if self._sagas and room > 0:
            for id in await self._read(lease.ready, list(self._sagas), room):
                self.begin(id)

    def begin(self, id: str) -> None:
        """Carries the saga out in the background, unless that is under way or too many are: then it waits."""
        if id in self._under_way or len(self._under_way) >= CAPACITY:
            return
        task = asyncio.create_task(self.run(id), name=f"saga {id}")
        self._under_way[id] = task
        task.add_done_callback(lambda done: self._ended(id, done))

    async def stop(self) -> None:
        """Stops between moves or inside an activity, and gives the leases back: another process goes on at once."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def run(self, id: str) -> None:
        """Carries the saga out to its end, or until the lease is lost. Returns at once if somebody else does.

        Raises:
            Unavailable: the metadata database does not answer; whoever takes the lease next goes on.
        """
        held = Lease(id, new_id("lease"), self._seconds)
        if not await self._write(lease.acquire, held):
            return
        work = asyncio.create_task(self._carry_out(held))
        keeper = asyncio.create_task(self._keep(held))
        try:
            await asyncio.wait({work, keeper}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
        except LeaseLost:
            _log.warning("saga %s: the lease was lost; another process goes on", id)
        finally:
            for task in (work, keeper):
                task.cancel()
            await asyncio.gather(work, keeper, return_exceptions=True)
            await self._write(lease.release, held)

    async def _keep(self, held: Lease) -> None:
        """Extends the lease while the work is under way; returns once it is lost."""
        kept_at = time.monotonic()
        while time.monotonic() - kept_at < held.seconds:
            await asyncio.sleep(held.seconds / 3)
            try:
                await self._write(lease.hold, held)
                kept_at = time.monotonic()
            except LeaseLost:
                break
            except Unavailable:
                pass  # the lease lasts a while; try again
        _log.warning("saga %s: the lease could not be kept; its step is stopped here", held.operation)

    async def _carry_out(self, held: Lease) -> None:
        while True:
            row = await self._read(store.get, held.operation)
            saga = self._sagas[row.saga or ""]
            match next_move(saga, row):
                case Do(index):
                    await self._do(held, saga, row, index)
                case Undo(index):
                    await self._undo(held, saga, row, index)
                case None:
                    return
                case end:
                    await self._write(journal.end, held, end.state, end.error)

    async def _do(self, held: Lease, saga: Saga[Any], row: OperationRow, index: int) -> None:
        step, last = saga.steps[index], index == len(saga.steps) - 1
        if row.steps[index].attempts >= step.attempts:
            why = row.steps[index].error or "its process died each time"
            await self._write(journal.fail, held, index, f"Step {step.name} failed {step.attempts} times: {why}")
            return
        attempt = await self._write(journal.start, held, index)
        if not attempt:
            return  # a cancel came first
        try:
            context = self._context(saga, row, index, attempt)
            if isinstance(step, TransactionStep):
                await self._write(_done_inside, held, step, context, last)
                return
            async with asyncio.timeout(step.timeout_seconds):
                output = _checked(await step.do(context))
        except (LeaseLost, asyncio.CancelledError):
            raise
        except Exception as error:  # noqa: BLE001 - whatever a step raises ends or repeats it
            await self._failed(held, step, index, attempt, error)
            return
        await self._write(journal.complete, held, index, output, last)

    async def _failed(self, held: Lease, step: Step[Any], index: int, attempt: int, error: Exception) -> None:
        why = _told(error, held, step.name)
        if attempt >= step.attempts or not isinstance(error, (Unavailable, TimeoutError)):
            tries = f" in attempt {attempt}" if attempt > 1 else ""
            await self._write(journal.fail, held, index, f"Step {step.name} failed{tries}: {why}")
            return
        delay = self._delay(attempt)
        await self._write(journal.retry, held, index, why, delay)
        await asyncio.sleep(delay)

    async def _undo(self, held: Lease, saga: Saga[Any], row: OperationRow, index: int) -> None:
        step = saga.steps[index]
        attempt = await self._write(journal.start_undo, held, index)
        try:
            context = self._context(saga, row, index, attempt)
            if isinstance(step, TransactionStep):
                await self._write(_undone_inside, held, step, context)
                return
            if step.undo is not None:
                async with asyncio.timeout(step.timeout_seconds):
                    await step.undo(context)
        except (LeaseLost, asyncio.CancelledError):
            raise
        except Exception as error:  # noqa: BLE001 - what cannot be undone must be told, whatever the reason
            why = _told(error, held, step.name)
            if attempt >= UNDO_ATTEMPTS:
                await self._write(journal.give_up, held, index, why, in_effect(saga, row))
                return
            delay = self._delay(attempt)
            await self._write(journal.retry_undo, held, index, why, delay)
            await asyncio.sleep(delay)
            return
        await self._write(journal.undone, held, index)

    def _context(self, saga: Saga[Any], row: OperationRow, index: int, attempt: int) -> StepContext[Any]:
        return StepContext(
            operation=row.id,
            index=index,
            name=saga.steps[index].name,
            input=saga.input.model_validate_json(json.dumps(row.input)),
            outputs={step.name: step.output for step in row.steps if step.state is StepState.DONE},
            attempt=attempt,
            principal=row.principal,
            principal_id=row.principal_id,
            organization_id=row.organization_id,
            project_id=row.project_id,
            request_id=row.request_id,
            traceparent=row.traceparent,
            platform=self._platform,
        )

    def _delay(self, attempt: int) -> float:
        longest: float = min(LONGEST_DELAY_SECONDS, self._first_delay * 2 ** (attempt - 1))
        return longest * random.uniform(0.5, 1.0)  # noqa: S311 - spreads retries, guards nothing

    def _ended(self, id: str, task: asyncio.Task[None]) -> None:
        self._under_way.pop(id, None)
        if task.cancelled() or (error := task.exception()) is None:
            return
        if isinstance(error, Unavailable):
            _log.warning("saga %s waits: %s", id, error.detail)
        else:
            _log.error("saga %s stopped; it is taken up again", id, exc_info=error)

    async def _read(self, read: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        def unit() -> T:
            with self._platform.database.read() as connection:
                return read(connection, *args, **kwargs)

        return await self._platform.workers.read.run(unit)

    async def _write(self, write: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        def unit() -> T:
            with self._platform.database.write() as connection:
                return write(connection, *args, **kwargs)

        return await self._platform.workers.write.run(unit)


def _done_inside(
    connection: Connection, held: Lease, step: TransactionStep[Any], context: StepContext[Any], last: bool
) -> None:
    lease.hold(connection, held)
    output = _checked(step.do(connection, context))
    journal.complete(connection, held, context.index, output, last)


def _undone_inside(connection: Connection, held: Lease, step: TransactionStep[Any], context: StepContext[Any]) -> None:
    lease.hold(connection, held)
    if step.undo is not None:
        step.undo(connection, context)
    journal.undone(connection, held, context.index)


def _checked(output: Mapping[str, Any] | None) -> dict[str, Any]:
    found = dict(output or {})
    json.dumps(found)  # now, as a fault of the step, and not when it is stored
    return found


def _told(error: Exception, held: Lease, step: str) -> str:
    """The reason as callers may read it. Only our own errors are known to hold no secret."""
    if isinstance(error, HeadwaterError):
        return error.detail
    if isinstance(error, TimeoutError):
        return "it took longer than it may"
    _log.error("saga %s: step %s raised", held.operation, step, exc_info=error)
    return f"it raised {type(error).__name__}; the platform's log tells more"
