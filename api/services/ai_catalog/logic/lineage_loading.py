"""The background task that reads the lineage graph into memory after the start, so that no request waits for it."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from api.kernel.platform import Platform, open_lineage
from core.errors import HeadwaterError

_log = logging.getLogger("headwater.catalog")


class LineageLoading:
    """Reads the edges that exist at the start. Each traversal adds those that were recorded since."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Starts to read."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stops after the present part."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        try:
            lineage = self._platform.part(open_lineage)
            while await self._platform.workers.compute.run(lineage.load_part):
                pass
        except HeadwaterError as error:
            _log.warning("The lineage graph could not be read at the start: %s", error.detail)
