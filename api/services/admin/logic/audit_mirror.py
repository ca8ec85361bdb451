"""Updates of the audit tables in the lakehouse, by one process at a time."""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import suppress

from api.kernel.platform import Platform, open_tables
from core import leases
from core.errors import HeadwaterError
from core.ids import new_id

LEASE = "audit-mirror"
_log = logging.getLogger("headwater.audit")


class AuditMirror:
    """A background task of the API that updates the audit tables every `audit_mirror_seconds`."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._seconds = platform.settings.audit_mirror_seconds
        self._holder = f"{os.getpid()}:{new_id('mir')}"
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Starts the task, unless the settings disable it."""
        if self._seconds > 0:
            self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stops the task. A batch in progress is added completely or not at all."""
        if self._task is None:
            return
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        with suppress(HeadwaterError):
            await self._platform.workers.write.run(leases.release, self._platform.database, LEASE, self._holder)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._seconds)
            try:
                if await self._platform.workers.write.run(self._acquire):
                    await self._platform.workers.compute.run(self._catch_up)
            except HeadwaterError as error:
                _log.warning("The audit tables could not be updated: %s", error.detail)
            except Exception:  # noqa: BLE001 - the next round tries again
                _log.exception("The audit tables could not be updated")

    def _acquire(self) -> bool:
        return leases.acquire(self._platform.database, LEASE, self._holder, 3 * self._seconds + 60)

    def _catch_up(self) -> None:
        # Imported on first use, because pyarrow takes memory that not every process needs.
        from api.services.admin.logic.audit_tables import AuditTables

        platform = self._platform
        AuditTables(platform.database, platform.part(open_tables), platform.permissions).catch_up()
