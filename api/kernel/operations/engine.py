"""Starts operations, follows them, and tells the truth about them after any crash.

The row is committed before anything starts, and every run carries the operation's id as a tag. Whatever dies in
between, the next look finds the runs by that tag or, after a while, knows that none was started.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy.engine import Connection

from api.kernel.kinds.context import Context
from api.kernel.operations import observation, store
from api.kernel.operations.store import Executor, OperationRow, OperationState, Origin
from api.kernel.platform import Platform
from api.kernel.sagas.runner import LEASE_SECONDS, Runner
from api.kernel.sagas.saga import I, Saga, SagaCall
from api.kernel.storage import idempotency
from core import clock
from core.errors import HeadwaterError, LaunchUnconfirmed, Unavailable
from core.ids import new_id
from core.ports import Launch, Launched, RunState, RunStatus

OPERATION_TAG = "headwater/operation"
PRINCIPAL_TAG = "headwater/principal"
ANSWER_SECONDS = 2.0
"""How long an accepting request waits for the launch, so that refusals reach the caller as such."""

UNSTARTED_AFTER = timedelta(seconds=45)
"""A launch that nobody has seen by then did not happen: longer than a launch request may be under way."""

RETENTION = timedelta(days=30)
"""How long operations that have ended are kept."""

_FRESH_SECONDS = 0.15
_POLL_SECONDS = 0.5
_PURGE_SECONDS = 3600.0
_PURGED_AT_ONCE = 500
_log = logging.getLogger("headwater.operations")
P = ParamSpec("P")
T = TypeVar("T")


class Operations:
    """The operations of one process. Several processes may follow the same ones."""

    def __init__(
        self,
        platform: Platform,
        *,
        sagas: Iterable[Saga[Any]] = (),
        retention: timedelta = RETENTION,
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        """`sagas` can be begun here, and are taken over from processes that died; `register` adds more."""
        self._platform = platform
        self._retention = retention
        self._launching: dict[str, asyncio.Task[None]] = {}
        self._looks: dict[str, tuple[float, asyncio.Task[OperationRow]]] = {}
        self._follower: asyncio.Task[None] | None = None
        self._runner = Runner(platform, lease_seconds=lease_seconds)
        self.register(sagas)

    def register(self, sagas: Iterable[Saga[Any]]) -> None:
        """Makes sagas known by their names.

        Raises:
            ValueError: another one has the name.
        """
        for saga in sagas:
            self._runner.register(saga)

    async def accept(self, ctx: Context, work: Launch | SagaCall[Any]) -> OperationRow:
        """Stores the operation with its audit row and idempotency key, then starts it.

        Raises:
            HeadwaterError: the orchestrator refused; the operation is then stored as failed.
        """
        if isinstance(work, SagaCall):
            return await self.begin_saga(ctx, work.saga, work.input)
        id = ctx.operation_id = new_id("op")
        ctx.note(operation=id, assets=list(work.assets), partitions=list(work.partitions))
        stages = self._platform.orchestrator.stages(work)
        row = await ctx.transact(store.insert, id, work, stages=stages, origin=_origin(ctx))
        if ctx.validate_only:
            return row
        ctx.headers.append(("location", f"/api/v1/operations/{id}"))
        task = self._begin(row, work)
        await asyncio.wait({task}, timeout=ANSWER_SECONDS)
        if task.done() and (error := task.exception()):
            raise error
        return await self.stored(id)

    async def begin_saga(self, ctx: Context, saga: Saga[I], input: I) -> OperationRow:
        """Stores a saga with its audit row and idempotency key in the request's one transaction, then begins it."""
        id = ctx.operation_id = new_id("op")
        row = await ctx.transact(self.insert_saga, ctx, id, saga, input)
        self.begin(ctx, id)
        return row

    def insert_saga(self, connection: Connection, ctx: Context, id: str, saga: Saga[I], input: I) -> OperationRow:
        """Stores a saga in the caller's transaction: what is checked and changed there, and the saga, come together.

        The caller makes the id, sets `ctx.operation_id` to it before the transaction, and calls `begin` after it. If
        the process dies in between, the follower begins it.
        """
        if not self._runner.knows(saga):
            raise RuntimeError(f"{saga} is not registered: nobody would find it after a restart")
        ctx.note(operation=id, saga=saga.name)
        given = input.model_dump(mode="json")
        return store.insert_saga(connection, id, saga.name, given, names=saga.step_names, origin=_origin(ctx))

    def begin(self, ctx: Context, id: str) -> None:
        """Begins a stored saga without waiting for the follower, and tells the caller where to follow it."""
        if ctx.validate_only:
            return
        ctx.headers.append(("location", f"/api/v1/operations/{id}"))
        self._runner.begin(id)

    async def stored(self, id: str) -> OperationRow:
        """The operation as last written."""
        return await self._read(store.get, id)

    async def observe(self, id: str) -> OperationRow:
        """The operation as it is now: looks at the orchestrator unless somebody just did or it is final.

        While the orchestrator is away, the last state seen.
        """
        row = await self.stored(id)
        if row.state.final or row.executor is Executor.SAGA or id in self._launching:
            return row
        try:
            return await self._look(row)
        except Unavailable:
            return row

    async def cancel(self, ctx: Context, id: str) -> OperationRow:
        """Stops the operation's runs for real; a saga stops after its step, and what it did is undone.

        A final operation is left as it is, and so is a saga whose last step is under way when that succeeds.

        Raises:
            Unavailable: the orchestrator does not answer; the wish is kept and carried out when it is back.
        """
        row = await ctx.transact(store.request_cancel, id)
        if ctx.validate_only:
            return row
        if not row.state.final and row.executor is Executor.LAUNCH and id not in self._launching:
            await self._platform.orchestrator.terminate(row.launched)
        return await self.observe(id)

    def start(self) -> None:
        """Begins to follow operations in the background."""
        self._follower = asyncio.create_task(self._follow())

    async def stop(self) -> None:
        """Stops following. Launches under way are left to the orchestrator; the next start finds them by tag.

        Sagas stop where they are and give their leases back.
        """
        tasks = [task for task in (self._follower, *self._launching.values()) if task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._runner.stop()

    def _begin(self, row: OperationRow, launch: Launch) -> asyncio.Task[None]:
        """Launches the row's stage in the background."""
        task = asyncio.create_task(self._launch(row, launch))
        self._launching[row.id] = task
        task.add_done_callback(lambda done: self._launched(row.id, done))
        return task

    async def _launch(self, row: OperationRow, launch: Launch) -> None:
        tags = {**launch.tags, OPERATION_TAG: row.id, PRINCIPAL_TAG: row.principal}
        try:
            launched = await self._platform.orchestrator.launch(dataclasses.replace(launch, tags=tags), row.stage)
        except LaunchUnconfirmed:
            return  # the tag will tell
        except HeadwaterError as error:
            if row.stage > 1 and isinstance(error, Unavailable):
                await self._write(store.give_back_stage, row.id)
                return
            never = row.stage == 1
            await self._write(store.finish, row.id, OperationState.FAILED, error=error.detail, never_started=never)
            raise
        now = await self._write(store.started, row.id, launched)
        if now.state is OperationState.CANCELING:
            await self._platform.orchestrator.terminate(launched)

    def _launched(self, id: str, task: asyncio.Task[None]) -> None:
        self._launching.pop(id, None)
        if not task.cancelled() and (error := task.exception()) and not isinstance(error, HeadwaterError):
            _log.error("operation %s could not be launched", id, exc_info=error)

    async def _look(self, row: OperationRow) -> OperationRow:
        """One look at the orchestrator, shared by all who ask at the same moment."""
        at, task = self._looks.get(row.id, (0.0, None))
        if task is None or (task.done() and time.monotonic() - at > _FRESH_SECONDS):
            task = asyncio.create_task(self._examine(row))
            self._looks[row.id] = (time.monotonic(), task)
        found = await asyncio.shield(task)
        if found.state.final:
            self._looks.pop(row.id, None)
        return found

    async def _examine(self, row: OperationRow) -> OperationRow:
        orchestrator = self._platform.orchestrator
        if row.unconfirmed:
            return await self._find(row)
        runs: Mapping[str, RunState]
        if row.backfill is not None:
            backfill = await orchestrator.backfill(row.backfill)
            runs = await orchestrator.runs(backfill.runs) if backfill else {}
            seen = observation.of_backfill(row, backfill, runs)
        else:
            runs = await orchestrator.runs(row.runs)
            seen = observation.of_runs(row, runs)
        if seen.state is OperationState.SUCCEEDED and row.stage < row.stages:
            return await self._next_stage(row)
        if seen.state.final:
            return await self._finish(row, seen.state, runs)
        deaf = [run.id for run in runs.values() if not run.status.final and run.status is not RunStatus.CANCELING]
        if row.cancel_requested_at and deaf:
            await orchestrator.terminate(Launched(tuple(deaf), row.backfill))
        if seen.differs(row):
            return await self._write(store.progressed, row.id, **seen.values())
        return row

    async def _finish(self, row: OperationRow, state: OperationState, runs: Mapping[str, RunState]) -> OperationRow:
        """Ends the operation. Who sees it succeed must also see the versions it made, so the view comes first."""
        orchestrator = self._platform.orchestrator
        backfill = await orchestrator.backfill(row.backfill) if row.backfill else None
        outcomes, _ = await asyncio.gather(
            asyncio.gather(*(orchestrator.outcome(run) for run in runs.values())), orchestrator.refresh(row.assets)
        )
        ended = {run.id: run for run in outcomes}
        seen = observation.of_backfill(row, backfill, ended) if row.backfill else observation.of_runs(row, ended)
        return await self._write(store.finish, row.id, state, **seen.final_values())

    async def _next_stage(self, row: OperationRow) -> OperationRow:
        """Launches what was waiting for the runs that have succeeded."""
        if row.cancel_requested_at:
            return await self._write(store.finish, row.id, OperationState.CANCELED)
        if await self._write(store.take_stage, row.id, row.stage + 1):
            self._begin(await self.stored(row.id), row.launch)
        return row

    async def _find(self, row: OperationRow) -> OperationRow:
        """Looks for the runs of a stage whose launch nobody confirmed."""
        launched = await self._platform.orchestrator.runs_tagged(OPERATION_TAG, row.id)
        if launched.backfill or set(launched.runs) - set(row.runs):
            return await self._write(store.started, row.id, launched)
        if clock.now() - row.updated_at < UNSTARTED_AFTER:
            return row
        if row.stage > 1:
            return await self._write(store.give_back_stage, row.id)
        if row.cancel_requested_at:
            return await self._write(store.finish, row.id, OperationState.CANCELED, never_started=True)
        why = "The platform stopped before anything was started. Send the request again."
        return await self._write(store.finish, row.id, OperationState.FAILED, error=why, never_started=True)

    async def _follow(self) -> None:
        purged_at = float("-inf")
        while True:
            try:
                if time.monotonic() - purged_at > _PURGE_SECONDS:
                    await self._purge()
                    purged_at = time.monotonic()
                await self._runner.take_waiting()
                for row in await self._read(store.unfinished):
                    if row.id not in self._launching:
                        await self._look(row)
            except Unavailable:
                pass  # the orchestrator or the database is away; look again
            except Exception:  # noqa: BLE001 - one bad look must not end all looking
                _log.exception("operations could not be followed; trying again")
            await asyncio.sleep(_POLL_SECONDS)

    async def _purge(self) -> None:
        """Forgets old keys and old operations, these in batches: a long transaction would keep requests waiting."""
        await self._write(idempotency.purge)
        before = clock.now() - self._retention
        while await self._write(store.purge, before, _PURGED_AT_ONCE) == _PURGED_AT_ONCE:
            pass

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
