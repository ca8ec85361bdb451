"""Background tasks that do the same again and again, in every process that starts them."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import ClassVar

from api.kernel.platform import Platform
from core.errors import HeadwaterError


class PeriodicTask(ABC):
    """A background task that does a round, waits, and does the next one. A failed round is tried again."""

    failure: ClassVar[str]
    """What a failed round could not do, for the log."""
    log: ClassVar[logging.Logger]

    def __init__(self, platform: Platform, *, poll_seconds: float) -> None:
        """Creates the task. It is disabled if `poll_seconds` is not positive."""
        self._platform = platform
        self._poll_seconds = poll_seconds
        self._task: asyncio.Task[None] | None = None
        self._last_failure = ""

    async def start(self) -> None:
        """Starts the task. The first round comes after the first wait."""
        if self._poll_seconds > 0:
            self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stops the task. A round must be safe to stop anywhere."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._poll_seconds)
            try:
                await self._poll()
                self._last_failure = ""
            except (HeadwaterError, OSError) as error:
                detail = error.detail if isinstance(error, HeadwaterError) else str(error)
                # A round comes every second in some tasks, and a database can be away for an hour.
                if detail != self._last_failure:
                    self.log.warning("%s: %s", self.failure, detail)
                self._last_failure = detail
            except Exception:
                self.log.exception(self.failure)

    @abstractmethod
    async def _poll(self) -> None:
        """Does one round, if there is something to do."""
