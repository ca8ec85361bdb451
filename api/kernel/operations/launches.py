"""Launches: operations that Dagster executes. They are launched, observed, and recovered after a crash.

The row is committed before anything is launched, and every run carries the id of the operation as a tag. If a process
dies in between, the next observation finds the runs by the tag or, after some time, concludes that there are none.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
from collections.abc import Mapping
from datetime import timedelta

from api.kernel.operations import observation, store
from api.kernel.operations.store import OperationRow, OperationState
from api.kernel.platform import Platform
from api.kernel.transactions import Transactions
from core import clock
from core.errors import HeadwaterError, LaunchUnconfirmed, Unavailable
from core.runs import Launch, Launched, RunState, RunStatus

OPERATION_TAG = "headwater/operation"
PRINCIPAL_TAG = "headwater/principal"

UNSTARTED_AFTER = timedelta(seconds=45)
"""Time after which an unconfirmed launch without runs is considered not started. A launch request takes less."""

_FRESH_SECONDS = 0.15
_log = logging.getLogger("headwater.operations")


class Launches:
    """The launches of one process, and its observations of the orchestrator."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._transactions = Transactions(platform)
        self._launching: dict[str, asyncio.Task[None]] = {}
        self._observations: dict[str, tuple[float, asyncio.Task[OperationRow]]] = {}

    def start(self, row: OperationRow, launch: Launch) -> asyncio.Task[None]:
        """Launches the current stage of an operation in the background."""
        task = asyncio.create_task(self._launch(row, launch))
        self._launching[row.id] = task
        task.add_done_callback(lambda done: self._launched(row.id, done))
        return task

    def is_launching(self, id: str) -> bool:
        """Returns whether this process is launching a stage of the operation."""
        return id in self._launching

    async def stop(self) -> None:
        """Stops waiting for launches. Another process finds their runs by tag."""
        tasks = list(self._launching.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def observe(self, row: OperationRow) -> OperationRow:
        """Updates an operation from the orchestrator. Concurrent calls share one observation.

        Raises:
            Unavailable: the orchestrator does not respond.
        """
        at, task = self._observations.get(row.id, (0.0, None))
        if task is None or (task.done() and time.monotonic() - at > _FRESH_SECONDS):
            task = asyncio.create_task(self._observe(row))
            self._observations[row.id] = (time.monotonic(), task)
        observed = await asyncio.shield(task)
        if observed.state.final:
            self._observations.pop(row.id, None)
        return observed

    async def _launch(self, row: OperationRow, launch: Launch) -> None:
        tags = {**launch.tags, OPERATION_TAG: row.id, PRINCIPAL_TAG: row.principal}
        try:
            launched = await self._platform.orchestrator.launch(dataclasses.replace(launch, tags=tags), row.stage)
        except LaunchUnconfirmed:
            return  # an observation finds the runs by tag
        except HeadwaterError as error:
            if row.stage > 1 and isinstance(error, Unavailable):
                await self._transactions.write(store.release_stage, row.id)
                return
            await self._transactions.write(
                store.finish, row.id, OperationState.FAILED, error=error.detail, never_started=row.stage == 1
            )
            raise
        current = await self._transactions.write(store.started, row.id, launched)
        if current.state is OperationState.CANCELING:
            await self._platform.orchestrator.terminate(launched)

    def _launched(self, id: str, task: asyncio.Task[None]) -> None:
        self._launching.pop(id, None)
        if not task.cancelled() and (error := task.exception()) and not isinstance(error, HeadwaterError):
            _log.error("operation %s could not be launched", id, exc_info=error)

    async def _observe(self, row: OperationRow) -> OperationRow:
        orchestrator = self._platform.orchestrator
        if row.unconfirmed:
            return await self._find_runs(row)
        runs: Mapping[str, RunState]
        if row.backfill is not None:
            backfill = await orchestrator.backfill(row.backfill)
            runs = await orchestrator.runs(backfill.runs) if backfill else {}
            observed = observation.of_backfill(row, backfill, runs)
        else:
            runs = await orchestrator.runs(row.runs)
            observed = observation.of_runs(row, runs)
        if observed.state is OperationState.SUCCEEDED and row.stage < row.stages:
            return await self._start_next_stage(row)
        if observed.state.final:
            return await self._finish(row, observed.state, runs)
        running = [run.id for run in runs.values() if not run.status.final and run.status is not RunStatus.CANCELING]
        if row.cancel_requested_at and running:
            await orchestrator.terminate(Launched(tuple(running), row.backfill))
        if observed.differs(row):
            return await self._transactions.write(store.progressed, row.id, **observed.values())
        return row

    async def _finish(self, row: OperationRow, state: OperationState, runs: Mapping[str, RunState]) -> OperationRow:
        """Makes the operation final. The graph view is refreshed first, so that it shows the new versions."""
        orchestrator = self._platform.orchestrator
        backfill = await orchestrator.backfill(row.backfill) if row.backfill else None
        outcomes, _ = await asyncio.gather(
            asyncio.gather(*(orchestrator.outcome(run) for run in runs.values())), orchestrator.refresh(row.assets)
        )
        ended = {run.id: run for run in outcomes}
        observed = observation.of_backfill(row, backfill, ended) if row.backfill else observation.of_runs(row, ended)
        return await self._transactions.write(store.finish, row.id, state, **observed.final_values())

    async def _start_next_stage(self, row: OperationRow) -> OperationRow:
        if row.cancel_requested_at:
            return await self._transactions.write(store.finish, row.id, OperationState.CANCELED)
        if await self._transactions.write(store.take_stage, row.id, row.stage + 1):
            self.start(await self._transactions.read(store.get, row.id), row.launch)
        return row

    async def _find_runs(self, row: OperationRow) -> OperationRow:
        """Finds the runs of a stage whose launch was not confirmed."""
        launched = await self._platform.orchestrator.runs_tagged(OPERATION_TAG, row.id)
        if launched.backfill or set(launched.runs) - set(row.runs):
            return await self._transactions.write(store.started, row.id, launched)
        if clock.now() - row.updated_at < UNSTARTED_AFTER:
            return row
        if row.stage > 1:
            return await self._transactions.write(store.release_stage, row.id)
        if row.cancel_requested_at:
            return await self._transactions.write(store.finish, row.id, OperationState.CANCELED, never_started=True)
        error = "The platform stopped before anything was started. Send the request again."
        return await self._transactions.write(
            store.finish, row.id, OperationState.FAILED, error=error, never_started=True
        )
