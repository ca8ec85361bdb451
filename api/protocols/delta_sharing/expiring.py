"""The end of files of restricted shares that no recipient reads any more."""

from __future__ import annotations

import logging

from api.kernel.periodic_task import PeriodicTask
from api.kernel.platform import Platform
from api.protocols.delta_sharing.masking import open_restricted_files

_SECONDS = 600.0


class RestrictedFilesExpiry(PeriodicTask):
    """A background task that deletes such files, also those that a killed process left half written."""

    failure = "Files of restricted shares could not be deleted"
    log = logging.getLogger("headwater.catalog")

    def __init__(self, platform: Platform) -> None:
        super().__init__(platform, poll_seconds=_SECONDS)

    async def _poll(self) -> None:
        await self._platform.workers.compute.run(self.expire)

    def expire(self) -> int:
        """Deletes what has expired, and returns the number of versions. Runs in a worker thread."""
        return self._platform.part(open_restricted_files).expire()
