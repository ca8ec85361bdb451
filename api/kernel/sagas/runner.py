"""The runner of sagas. A saga runs in one process at a time, under a lease, and each move depends on the stored rows.

Every write first extends the lease in the same transaction. A process that lost the lease while it was paused changes
nothing, and another process can continue the saga of a process that was killed.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
from collections.abc import Mapping
from typing import Any

from sqlalchemy.engine import Connection

from api.kernel.operations import store
from api.kernel.operations.store import OperationRow
from api.kernel.platform import Platform
from api.kernel.sagas import journal, lease
from api.kernel.sagas.lease import Lease, LeaseLost
from api.kernel.sagas.plan import Do, Undo, in_effect, next_move
from api.kernel.sagas.saga import UNDO_ATTEMPTS, Saga, Step, StepContext, TransactionStep
from api.kernel.sagas.steps import StepState
from api.kernel.transactions import Transactions
from core.errors import HeadwaterError, Unavailable
from core.ids import new_id

LEASE_SECONDS = 15.0
"""Seconds after which another process can continue a saga whose process died."""

MAX_CONCURRENT_SAGAS = 16
"""Maximum number of sagas that run at the same time in one process."""

FIRST_DELAY_SECONDS = 0.2
MAX_DELAY_SECONDS = 10.0
_log = logging.getLogger("headwater.sagas")


class Runner:
    """The sagas that run in one process."""

    def __init__(
        self, platform: Platform, *, lease_seconds: float = LEASE_SECONDS, first_delay: float = FIRST_DELAY_SECONDS
    ) -> None:
        self._platform = platform
        self._transactions = Transactions(platform)
        self._sagas: dict[str, Saga[Any]] = {}
        self._seconds = lease_seconds
        self._first_delay = first_delay
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def register(self, saga: Saga[Any]) -> None:
        """Registers a saga under its name, by which it is found after a restart.

        Raises:
            ValueError: another saga has the name.
        """
        if self._sagas.setdefault(saga.name, saga) is not saga:
            raise ValueError(f"two sagas are named {saga.name}")

    def is_registered(self, saga: Saga[Any]) -> bool:
        """Returns whether the saga is registered."""
        return self._sagas.get(saga.name) is saga

    async def start_waiting(self) -> None:
        """Starts sagas that no process runs: new ones, and those whose process died."""
        free = MAX_CONCURRENT_SAGAS - len(self._tasks)
        if self._sagas and free > 0:
            for id in await self._transactions.read(lease.ready, list(self._sagas), free):
                self.start(id)

    def start(self, id: str) -> None:
        """Runs the saga in the background, unless it runs already or the maximum number of sagas does."""
        if id in self._tasks or len(self._tasks) >= MAX_CONCURRENT_SAGAS:
            return
        task = asyncio.create_task(self.run(id), name=f"saga {id}")
        self._tasks[id] = task
        task.add_done_callback(lambda done: self._ended(id, done))

    async def stop(self) -> None:
        """Stops all sagas, even within an activity, and releases their leases so that other processes can continue."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def run(self, id: str) -> None:
        """Runs the saga until it ends or the lease is lost. Returns immediately if another process has the lease.

        Raises:
            Unavailable: the metadata database does not respond. The next holder of the lease continues.
        """
        held = Lease(id, new_id("lease"), self._seconds)
        if not await self._transactions.write(lease.acquire, held):
            return
        moves = asyncio.create_task(self._run_moves(held))
        renewal = asyncio.create_task(self._renew(held))
        try:
            await asyncio.wait({moves, renewal}, return_when=asyncio.FIRST_COMPLETED)
            if moves.done():
                moves.result()
        except LeaseLost:
            _log.warning("saga %s: the lease was lost; another process continues", id)
        finally:
            for task in (moves, renewal):
                task.cancel()
            await asyncio.gather(moves, renewal, return_exceptions=True)
            await self._transactions.write(lease.release, held)

    async def _renew(self, held: Lease) -> None:
        """Extends the lease until it is lost."""
        renewed_at = time.monotonic()
        while time.monotonic() - renewed_at < held.seconds:
            await asyncio.sleep(held.seconds / 3)
            try:
                await self._transactions.write(lease.hold, held)
                renewed_at = time.monotonic()
            except LeaseLost:
                break
            except Unavailable:
                pass  # the lease has not expired yet
        _log.warning("saga %s: the lease could not be renewed; its step is stopped", held.operation)

    async def _run_moves(self, held: Lease) -> None:
        while True:
            row = await self._transactions.read(store.get, held.operation)
            saga = self._sagas[row.saga or ""]
            match next_move(saga, row):
                case Do(index):
                    await self._do(held, saga, row, index)
                case Undo(index):
                    await self._undo(held, saga, row, index)
                case None:
                    return
                case end:
                    await self._transactions.write(journal.end, held, end.state, end.error)

    async def _do(self, held: Lease, saga: Saga[Any], row: OperationRow, index: int) -> None:
        step, last = saga.steps[index], index == len(saga.steps) - 1
        if row.steps[index].attempts >= step.attempts:
            cause = row.steps[index].error or "its process died in each attempt"
            await self._transactions.write(
                journal.fail, held, index, f"Step {step.name} failed {step.attempts} times: {cause}"
            )
            return
        attempt = await self._transactions.write(journal.start, held, index)
        if not attempt:
            return  # the operation is being cancelled
        try:
            context = self._context(saga, row, index, attempt)
            if isinstance(step, TransactionStep):
                await self._transactions.write(_do_in_transaction, held, step, context, last)
                return
            async with asyncio.timeout(step.timeout_seconds):
                output = _json_object(await step.do(context))
        except (LeaseLost, asyncio.CancelledError):
            raise
        except Exception as error:  # noqa: BLE001 - any error of a step fails or repeats it
            await self._failed(held, step, index, attempt, error)
            return
        await self._transactions.write(journal.complete, held, index, output, last)

    async def _failed(self, held: Lease, step: Step[Any], index: int, attempt: int, error: Exception) -> None:
        cause = _public_message(error, held, step.name)
        if attempt >= step.attempts or not isinstance(error, (Unavailable, TimeoutError)):
            suffix = f" in attempt {attempt}" if attempt > 1 else ""
            await self._transactions.write(journal.fail, held, index, f"Step {step.name} failed{suffix}: {cause}")
            return
        delay = self._delay(attempt)
        await self._transactions.write(journal.retry, held, index, cause, delay)
        await asyncio.sleep(delay)

    async def _undo(self, held: Lease, saga: Saga[Any], row: OperationRow, index: int) -> None:
        step = saga.steps[index]
        attempt = await self._transactions.write(journal.start_undo, held, index)
        try:
            context = self._context(saga, row, index, attempt)
            if isinstance(step, TransactionStep):
                await self._transactions.write(_undo_in_transaction, held, step, context)
                return
            if step.undo is not None:
                async with asyncio.timeout(step.timeout_seconds):
                    await step.undo(context)
        except (LeaseLost, asyncio.CancelledError):
            raise
        except Exception as error:  # noqa: BLE001 - any error must be recorded
            cause = _public_message(error, held, step.name)
            if attempt >= UNDO_ATTEMPTS:
                await self._transactions.write(journal.fail_undo, held, index, cause, in_effect(saga, row))
                return
            delay = self._delay(attempt)
            await self._transactions.write(journal.retry_undo, held, index, cause, delay)
            await asyncio.sleep(delay)
            return
        await self._transactions.write(journal.undone, held, index)

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
        delay: float = min(MAX_DELAY_SECONDS, self._first_delay * 2 ** (attempt - 1))
        return delay * random.uniform(0.5, 1.0)  # noqa: S311 - spreads retries, protects nothing

    def _ended(self, id: str, task: asyncio.Task[None]) -> None:
        self._tasks.pop(id, None)
        if task.cancelled() or (error := task.exception()) is None:
            return
        if isinstance(error, Unavailable):
            _log.warning("saga %s waits: %s", id, error.detail)
        else:
            _log.error("saga %s stopped and starts again", id, exc_info=error)


def _do_in_transaction(
    connection: Connection, held: Lease, step: TransactionStep[Any], context: StepContext[Any], last: bool
) -> None:
    lease.hold(connection, held)
    output = _json_object(step.do(connection, context))
    journal.complete(connection, held, context.index, output, last)


def _undo_in_transaction(
    connection: Connection, held: Lease, step: TransactionStep[Any], context: StepContext[Any]
) -> None:
    lease.hold(connection, held)
    if step.undo is not None:
        step.undo(connection, context)
    journal.undone(connection, held, context.index)


def _json_object(output: Mapping[str, Any] | None) -> dict[str, Any]:
    content = dict(output or {})
    json.dumps(content)  # raises within the step if the output is not JSON
    return content


def _public_message(error: Exception, held: Lease, step: str) -> str:
    """Returns the message for callers. Only a `HeadwaterError` is known to contain no secret."""
    if isinstance(error, HeadwaterError):
        return error.detail
    if isinstance(error, TimeoutError):
        return "it took longer than its time limit"
    _log.error("saga %s: step %s raised", held.operation, step, exc_info=error)
    return f"it raised {type(error).__name__}; see the log of the platform"
