"""Background tasks that one process at a time does, as long as it renews a lease."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import ClassVar

from api.kernel.periodic_task import PeriodicTask
from api.kernel.platform import Platform
from core import leases
from core.errors import HeadwaterError
from core.ids import new_id


class LeasedTask(PeriodicTask):
    """A background task that polls, and acts while it holds a lease: a round asks `_acquire` first."""

    lease: ClassVar[str]
    """Name of the lease."""

    def __init__(self, platform: Platform, *, poll_seconds: float, lease_seconds: float) -> None:
        """Creates the task. It is disabled if `poll_seconds` is not positive."""
        super().__init__(platform, poll_seconds=poll_seconds)
        self._lease_seconds = lease_seconds
        self._holder = f"{os.getpid()}:{new_id('lea')}"

    async def stop(self) -> None:
        """Stops the task and gives the lease back. A round must be safe to stop anywhere."""
        await super().stop()
        if self._task is not None:
            with suppress(HeadwaterError):
                await self._platform.workers.write.run(
                    leases.release, self._platform.database, self.lease, self._holder
                )

    def _acquire(self) -> bool:
        """Takes or renews the lease. Returns false if another process holds it. Runs in a worker thread."""
        return leases.acquire(self._platform.database, self.lease, self._holder, self._lease_seconds)
