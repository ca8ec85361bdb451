"""Background tasks that one process at a time does, as long as it renews a lease."""

from __future__ import annotations

import asyncio
import logging
import os
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import ClassVar

from api.kernel.platform import Platform
from core import leases
from core.errors import HeadwaterError
from core.ids import new_id


class LeasedTask(ABC):
    """A background task that polls, and acts while it holds a lease. A failed round is logged and tried again."""

    lease: ClassVar[str]
    """Name of the lease."""
    failure: ClassVar[str]
    """What a failed round could not do, for the log."""
    log: ClassVar[logging.Logger]

    def __init__(self, platform: Platform, *, poll_seconds: float, lease_seconds: float) -> None:
        """Creates the task. It is disabled if `poll_seconds` is not positive."""
        self._platform = platform
        self._poll_seconds = poll_seconds
        self._lease_seconds = lease_seconds
        self._holder = f"{os.getpid()}:{new_id('lea')}"
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Starts the task."""
        if self._poll_seconds > 0:
            self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stops the task and gives the lease back. A round must be safe to stop anywhere."""
        if self._task is None:
            return
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        with suppress(HeadwaterError):
            await self._platform.workers.write.run(leases.release, self._platform.database, self.lease, self._holder)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._poll_seconds)
            try:
                await self._poll()
            except HeadwaterError as error:
                self.log.warning("%s: %s", self.failure, error.detail)
            except Exception:
                self.log.exception(self.failure)

    @abstractmethod
    async def _poll(self) -> None:
        """Does one round, if there is something to do and `_acquire` returns true."""

    def _acquire(self) -> bool:
        """Takes or renews the lease. Returns false if another process holds it. Runs in a worker thread."""
        return leases.acquire(self._platform.database, self.lease, self._holder, self._lease_seconds)
