"""Updates of the audit tables in the lakehouse, by one process at a time."""

from __future__ import annotations

import logging

from api.kernel.leased_task import LeasedTask
from api.kernel.platform import Platform, open_tables

LEASE = "audit-mirror"


class AuditMirror(LeasedTask):
    """A background task of the API that updates the audit tables every `audit_mirror_seconds`. 0 disables it."""

    lease = LEASE
    failure = "The audit tables could not be updated"
    log = logging.getLogger("headwater.audit")

    def __init__(self, platform: Platform) -> None:
        seconds = platform.settings.audit_mirror_seconds
        super().__init__(platform, poll_seconds=seconds, lease_seconds=3 * seconds + 60)

    async def _poll(self) -> None:
        if await self._platform.workers.write.run(self._acquire):
            await self._platform.workers.compute.run(self._catch_up)

    def _catch_up(self) -> None:
        # Imported on first use, because pyarrow takes memory that not every process needs.
        from api.services.admin.logic.audit_tables import AuditTables

        platform = self._platform
        AuditTables(platform.database, platform.part(open_tables), platform.permissions).catch_up()
