"""The background task that runs the checks of health monitors when they are due."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from api.kernel.periodic_task import PeriodicTask
from api.kernel.platform import Platform
from api.services.connections.connection_tables import HEALTH_MONITOR
from api.services.connections.logic.health_checks import check
from core import clock

_POLL_SECONDS = 5.0
_AT_ONCE = 4
"""Checks at the same time. Requests of users need processes of connectors, too."""


class HealthWatch(PeriodicTask):
    """A background task that checks connections. Each check is done by the one process that claims it."""

    failure = "Connections could not be checked"
    log = logging.getLogger("headwater.connections")

    def __init__(self, platform: Platform) -> None:
        super().__init__(platform, poll_seconds=_POLL_SECONDS)

    async def _poll(self) -> None:
        while claimed := await self.look():
            if claimed < _AT_ONCE:
                return

    async def look(self) -> int:
        """Does checks that are due, and returns their number."""
        if not await self._platform.reads.run(_due):
            return 0
        claimed = await self._platform.workers.write.run(self._claim)
        results = await asyncio.gather(*(check(self._platform, one) for one in claimed), return_exceptions=True)
        for error in results:
            if isinstance(error, Exception):
                self.log.error(self.failure, exc_info=error)
        return len(claimed)

    def _claim(self) -> list[sa.Row[Any]]:
        """Moves the next check of monitors that are due, so that no other process does the present one."""
        now = clock.now()
        claimed = []
        with self._platform.database.write() as session:
            for row in _due(session):
                table = HEALTH_MONITOR.c
                moved = session.execute(
                    HEALTH_MONITOR.update()
                    .where(table.id == row.id, table.next_at == row.next_at)
                    .values(next_at=now + timedelta(minutes=row.every_minutes))
                )
                if moved.rowcount:
                    claimed.append(row)
        return claimed


def _due(session: sa.Connection) -> Sequence[sa.Row[Any]]:
    table = HEALTH_MONITOR.c
    select = sa.select(HEALTH_MONITOR).where(table.next_at <= clock.now()).order_by(table.next_at)
    return session.execute(select.limit(_AT_ONCE)).all()
