"""The end of files of restricted shares that no recipient reads any more."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from api.kernel.platform import Platform
from api.protocols.delta_sharing.masking import open_restricted_files

_SECONDS = 600.0

_log = logging.getLogger("headwater.catalog")


class RestrictedFilesExpiry:
    """A background task that deletes such files, also those that a killed process left half written."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Starts the task."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stops the task."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(_SECONDS)
            try:
                await self._platform.workers.compute.run(self.expire)
            except OSError as error:
                _log.warning("Files of restricted shares could not be deleted: %s", error)

    def expire(self) -> int:
        """Deletes what has expired, and returns the number of versions. Runs in a worker thread."""
        return self._platform.part(open_restricted_files).expire()
