"""The engine of long-running operations: it accepts, follows, cancels, and purges them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from sqlalchemy.engine import Connection

from api.kernel.kinds.context import Context
from api.kernel.kinds.unit import Unit
from api.kernel.operations import store
from api.kernel.operations.launches import Launches
from api.kernel.operations.store import Executor, OperationRow, Origin
from api.kernel.operations.stored_launch import StoredLaunch
from api.kernel.platform import Platform
from api.kernel.sagas.runner import LEASE_SECONDS, Runner
from api.kernel.sagas.saga import I, Saga, SagaCall
from api.kernel.storage import idempotency
from api.kernel.transactions import Transactions
from core import clock
from core.errors import Unavailable
from core.ids import new_id
from core.runs import Launch

LAUNCH_SECONDS = 2.0
"""How long the accepting request waits for the launch, so that its response can report a refusal."""

RETENTION = timedelta(days=30)
"""How long final operations are stored."""

_POLL_SECONDS = 0.5
_PURGE_SECONDS = 3600.0
_PURGE_BATCH_SIZE = 500
_log = logging.getLogger("headwater.operations")


class Operations:
    """The long-running operations of one process. Several processes may follow the same operations."""

    def __init__(
        self,
        platform: Platform,
        *,
        sagas: Iterable[Saga[Any]] = (),
        retention: timedelta = RETENTION,
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        """Creates the engine.

        Args:
            platform: the shared objects of the process.
            sagas: sagas that this process can run or take over from other processes. `register` adds more.
            retention: how long final operations are stored.
            lease_seconds: how long a lease of a saga lasts without renewal.
        """
        self._platform = platform
        self._transactions = Transactions(platform)
        self._retention = retention
        self._launches = Launches(platform)
        self._runner = Runner(platform, lease_seconds=lease_seconds)
        self._follower: asyncio.Task[None] | None = None
        self.register(sagas)

    def register(self, sagas: Iterable[Saga[Any]]) -> None:
        """Registers sagas under their names.

        Raises:
            ValueError: another saga has the name.
        """
        for saga in sagas:
            self._runner.register(saga)

    async def accept(self, ctx: Context, request: Launch | StoredLaunch | SagaCall[Any]) -> OperationRow:
        """Stores the operation with its audit event and idempotency key, then starts it.

        Raises:
            HeadwaterError: the orchestrator refused the launch. The operation is stored as failed.
        """
        if isinstance(request, SagaCall):
            return await self.accept_saga(ctx, request.saga, request.input)
        launch = request.launch if isinstance(request, StoredLaunch) else request
        id = ctx.operation_id = new_id("op")
        ctx.note(operation=id, assets=list(launch.assets), partitions=list(launch.partitions))
        stages = self._platform.orchestrator.stages(launch)

        def insert(unit: Unit) -> OperationRow:
            if isinstance(request, StoredLaunch):
                request.store(unit, id)
            return store.insert(unit.connection, id, launch, stages=stages, origin=_origin(ctx))

        row = await ctx.write(insert)
        if ctx.validate_only:
            return row
        ctx.headers.append(("location", f"/api/v1/operations/{id}"))
        task = self._launches.start(row, launch)
        await asyncio.wait({task}, timeout=LAUNCH_SECONDS)
        if task.done() and (error := task.exception()):
            raise error
        return await self.stored(id)

    async def accept_saga(self, ctx: Context, saga: Saga[I], input: I) -> OperationRow:
        """Stores a saga in the transaction of the request, then starts it."""
        id = ctx.operation_id = new_id("op")
        row = await ctx.transact(self.insert_saga, ctx, id, saga, input)
        self.start_saga(ctx, id)
        return row

    def insert_saga(self, connection: Connection, ctx: Context, id: str, saga: Saga[I], input: I) -> OperationRow:
        """Stores a saga in the caller's transaction, together with other checks and changes.

        The caller creates the id, assigns it to `ctx.operation_id` before the transaction, and calls `start_saga` after
        it. If the process dies in between, a process that follows operations starts the saga.
        """
        if not self._runner.is_registered(saga):
            raise RuntimeError(f"{saga} is not registered, so no process could find it after a restart")
        ctx.note(operation=id, saga=saga.name)
        content = input.model_dump(mode="json")
        return store.insert_saga(connection, id, saga.name, content, names=saga.step_names, origin=_origin(ctx))

    def start_saga(self, ctx: Context, id: str) -> None:
        """Starts a stored saga and adds the URL of the operation to the response."""
        if ctx.validate_only:
            return
        ctx.headers.append(("location", f"/api/v1/operations/{id}"))
        self._runner.start(id)

    async def stored(self, id: str) -> OperationRow:
        """Returns the operation as stored."""
        return await self._transactions.read(store.get, id)

    async def observe(self, id: str) -> OperationRow:
        """Returns the current state of the operation. If the orchestrator is unavailable, returns the stored state."""
        row = await self.stored(id)
        if row.state.final or row.executor is Executor.SAGA or self._launches.is_launching(id):
            return row
        try:
            return await self._launches.observe(row)
        except Unavailable:
            return row

    async def cancel(self, ctx: Context, id: str) -> OperationRow:
        """Cancels the operation. Its runs are terminated. A saga stops after its current step and is undone.

        A final operation does not change. Neither does a saga whose last step succeeds.

        Raises:
            Unavailable: the orchestrator does not respond. The request is stored and takes effect later.
        """
        row = await ctx.transact(store.request_cancel, id)
        if ctx.validate_only:
            return row
        if not row.state.final and row.executor is Executor.LAUNCH and not self._launches.is_launching(id):
            await self._platform.orchestrator.terminate(row.launched)
        return await self.observe(id)

    def start(self) -> None:
        """Starts to follow operations in the background."""
        self._follower = asyncio.create_task(self._follow())

    async def stop(self) -> None:
        """Stops following. Runs continue, and the next process finds them by tag. Sagas release their leases."""
        if self._follower is not None:
            self._follower.cancel()
            await asyncio.gather(self._follower, return_exceptions=True)
        await self._launches.stop()
        await self._runner.stop()

    async def _follow(self) -> None:
        purged_at = float("-inf")
        while True:
            try:
                if time.monotonic() - purged_at > _PURGE_SECONDS:
                    await self._purge()
                    purged_at = time.monotonic()
                await self._runner.start_waiting()
                for row in await self._transactions.read(store.unfinished):
                    if not self._launches.is_launching(row.id):
                        await self._launches.observe(row)
            except Unavailable:
                pass  # the orchestrator or the database is unavailable: the next round tries again
            except Exception:  # noqa: BLE001 - one error must not stop all later rounds
                _log.exception("operations could not be followed; trying again")
            await asyncio.sleep(_POLL_SECONDS)

    async def _purge(self) -> None:
        """Deletes expired idempotency keys and operations, in batches because long transactions block requests."""
        await self._transactions.write(idempotency.purge)
        before = clock.now() - self._retention
        while await self._transactions.write(store.purge, before, _PURGE_BATCH_SIZE) == _PURGE_BATCH_SIZE:
            pass


def _origin(ctx: Context) -> Origin:
    return Origin(
        action=ctx.endpoint.permission,
        subject=ctx.subject,
        principal=ctx.principal.name,
        principal_id=ctx.principal.id,
        request_id=ctx.request_id,
        organization_id=ctx.securable.organization_id,
        project_id=ctx.securable.project_id,
        traceparent=ctx.traceparent,
    )
