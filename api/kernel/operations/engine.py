"""Starts operations, follows them, and tells the truth about them after any crash.

The row is committed before anything starts, and every run carries the operation's id as a tag. Whatever dies in
between, the next look finds the runs by that tag or, after a while, knows that none was started.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy.engine import Connection

from api.kernel import idempotency
from api.kernel.context import Context
from api.kernel.operations import observation, store
from api.kernel.operations.store import OperationRow, OperationState
from api.kernel.platform import Platform
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

_FRESH_SECONDS = 0.15
_POLL_SECONDS = 0.5
_PURGE_SECONDS = 3600.0
_log = logging.getLogger("headwater.operations")
P = ParamSpec("P")
T = TypeVar("T")


class Operations:
    """The operations of one process. Several processes may follow the same ones."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._launching: dict[str, asyncio.Task[None]] = {}
        self._looks: dict[str, tuple[float, asyncio.Task[OperationRow]]] = {}
        self._follower: asyncio.Task[None] | None = None

    async def accept(self, ctx: Context, launch: Launch) -> OperationRow:
        """Stores the operation with its audit row and idempotency key, then starts it.

        Raises:
            HeadwaterError: the orchestrator refused; the operation is then stored as failed.
        """
        id = ctx.operation_id = new_id("op")
        ctx.note(operation=id, assets=list(launch.assets), partitions=list(launch.partitions))
        row = await ctx.transact(
            store.insert,
            id,
            launch,
            stages=self._platform.orchestrator.stages(launch),
            action=ctx.endpoint.permission,
            subject=ctx.subject,
            principal=ctx.principal.name,
            request_id=ctx.request_id,
        )
        ctx.headers.append(("location", f"/api/v1/operations/{id}"))
        task = self._begin(row, launch)
        await asyncio.wait({task}, timeout=ANSWER_SECONDS)
        if task.done() and (error := task.exception()):
            raise error
        return await self.stored(id)

    async def stored(self, id: str) -> OperationRow:
        """The operation as last written."""
        return await self._read(store.get, id)

    async def observe(self, id: str) -> OperationRow:
        """The operation as it is now: looks at the orchestrator unless somebody just did or it is final.

        While the orchestrator is away, the last state seen.
        """
        row = await self.stored(id)
        if row.state.final or id in self._launching:
            return row
        try:
            return await self._look(row)
        except Unavailable:
            return row

    async def cancel(self, ctx: Context, id: str) -> OperationRow:
        """Stops the operation's runs for real. A final operation is left as it is.

        Raises:
            Unavailable: the orchestrator does not answer; the wish is kept and carried out when it is back.
        """
        row = await ctx.transact(store.request_cancel, id)
        if not row.state.final and id not in self._launching:
            await self._platform.orchestrator.terminate(row.launched)
        return await self.observe(id)

    def start(self) -> None:
        """Begins to follow operations in the background."""
        self._follower = asyncio.create_task(self._follow())

    async def stop(self) -> None:
        """Stops following. Launches under way are left to the orchestrator; the next start finds them by tag."""
        tasks = [task for task in (self._follower, *self._launching.values()) if task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

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
                    await self._write(idempotency.purge)
                    purged_at = time.monotonic()
                for row in await self._read(store.unfinished):
                    if row.id not in self._launching:
                        await self._look(row)
            except Unavailable:
                pass  # the orchestrator or the database is away; look again
            except Exception:  # noqa: BLE001 - one bad look must not end all looking
                _log.exception("operations could not be followed; trying again")
            await asyncio.sleep(_POLL_SECONDS)

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
