"""The background task that records trainings of the platform, in one process at a time."""

from __future__ import annotations

import logging
import time

import sqlalchemy as sa

from api.kernel.leased_task import LeasedTask
from api.kernel.platform import Platform
from api.services.ai_catalog.logic import trainings
from core.errors import Conflict, HeadwaterError, Unavailable

LEASE = "training-recorder"
_POLL_SECONDS = 2.0
_LEASE_SECONDS = 60.0
_FULL_SECONDS = 60.0
"""Time after which it looks for trainings although no edge was recorded, because others may have waited."""
_RETRY_SECONDS = 600.0
"""Time after which it tries a version again that it could not read."""


class TrainingRecorder(LeasedTask):
    """A background task that records every version of a model asset, also those from while no process ran."""

    lease = LEASE
    failure = "Trainings could not be recorded"
    log = logging.getLogger("headwater.catalog")

    def __init__(self, platform: Platform) -> None:
        super().__init__(platform, poll_seconds=_POLL_SECONDS, lease_seconds=_LEASE_SECONDS)
        self._sequence = -1
        self._looked_at = 0.0
        self._failed: dict[tuple[str, str], float] = {}

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
            self.log.warning("The training %s of %s could not be recorded: %s", version, asset, error.detail)
            if not isinstance(error, Conflict | Unavailable):
                self._failed[key] = time.monotonic()
            return False
        self._failed.pop(key, None)
        return recorded
