"""The background task that records trainings of the platform, in one process at a time."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from contextlib import suppress

import sqlalchemy as sa

from api.kernel.platform import Platform
from api.services.ai_catalog.logic import trainings
from core import leases
from core.errors import Conflict, HeadwaterError, Unavailable
from core.ids import new_id

LEASE = "training-recorder"
_POLL_SECONDS = 2.0
_LEASE_SECONDS = 60.0
_FULL_SECONDS = 60.0
"""Time after which it looks for trainings although no edge was recorded, because others may have waited."""
_RETRY_SECONDS = 600.0
"""Time after which it tries a version again that it could not read."""

_log = logging.getLogger("headwater.catalog")


class TrainingRecorder:
    """A background task that records every version of a model asset, also those from while no process ran."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._holder = f"{os.getpid()}:{new_id('rec')}"
        self._task: asyncio.Task[None] | None = None
        self._sequence = -1
        self._looked_at = 0.0
        self._failed: dict[tuple[str, str], float] = {}

    async def start(self) -> None:
        """Starts the task."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stops the task. A training in progress is recorded completely or not at all."""
        if self._task is None:
            return
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        with suppress(HeadwaterError):
            await self._platform.workers.write.run(leases.release, self._platform.database, LEASE, self._holder)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(_POLL_SECONDS)
            try:
                await self._poll()
            except HeadwaterError as error:
                _log.warning("Trainings could not be recorded: %s", error.detail)
            except Exception:  # noqa: BLE001 - the next round tries again
                _log.exception("Trainings could not be recorded")

    async def _poll(self) -> None:
        newest = await self._platform.workers.read.run(self._newest_edge)
        overdue = time.monotonic() - self._looked_at > _FULL_SECONDS
        if (newest == self._sequence and not overdue) or not await self._platform.workers.write.run(self._acquire):
            return
        await self._platform.workers.compute.run(self.catch_up)
        self._sequence, self._looked_at = newest, time.monotonic()

    def _newest_edge(self) -> int:
        from lakehouse.lineage import LINEAGE_EDGE

        with self._platform.database.read() as connection:
            return connection.execute(sa.select(sa.func.max(LINEAGE_EDGE.c.sequence))).scalar() or 0

    def _acquire(self) -> bool:
        return leases.acquire(self._platform.database, LEASE, self._holder, _LEASE_SECONDS)

    def catch_up(self) -> int:
        """Records all trainings that are not recorded, and returns their number. Runs in a worker thread.

        Another process may do the same at the same time: each training is recorded once.
        """
        try:
            assets = trainings.models(self._platform)
        except Unavailable:  # The graph is not known yet.
            return 0
        with self._platform.database.read() as connection:
            waiting = trainings.unrecorded(connection, assets)
        return sum(self._record(asset, version) for asset, version in waiting)

    def _record(self, asset: str, version: str) -> bool:
        key = (asset, version)
        if time.monotonic() - self._failed.get(key, -_RETRY_SECONDS) < _RETRY_SECONDS:
            return False
        try:
            recorded = trainings.record(self._platform, asset, version)
        except HeadwaterError as error:
            _log.warning("The training %s of %s could not be recorded: %s", version, asset, error.detail)
            if not isinstance(error, Conflict | Unavailable):
                self._failed[key] = time.monotonic()
            return False
        self._failed.pop(key, None)
        return recorded
