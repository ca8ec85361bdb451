"""Time and address of the last use of API keys, written to the database once a minute."""

from __future__ import annotations

import logging
from contextlib import suppress
from datetime import datetime

import sqlalchemy as sa

from api.kernel.periodic_task import PeriodicTask
from api.kernel.platform import Platform
from api.kernel.tables import TOKEN
from core import clock
from core.errors import HeadwaterError

FLUSH_SECONDS = 60.0


class LastUse(PeriodicTask):
    """The uses since the last write. Use it on the event loop. A key causes at most one write per minute."""

    failure = "The last uses of keys could not be written"
    log = logging.getLogger("headwater.api")

    def __init__(self, platform: Platform) -> None:
        super().__init__(platform, poll_seconds=FLUSH_SECONDS)
        self._uses: dict[str, tuple[datetime, str]] = {}

    def note(self, token_id: str, address: str) -> None:
        """Records a use."""
        self._uses[token_id] = (clock.now(), address[:64])

    async def stop(self) -> None:
        """Stops the task and writes the remaining uses."""
        await super().stop()
        with suppress(HeadwaterError):
            await self.flush()

    async def flush(self) -> None:
        """Writes the recorded uses. Leaves them for the next time if the database is unavailable."""
        uses, self._uses = self._uses, {}
        try:
            if uses:
                await self._platform.workers.write.run(self._write, uses)
        except HeadwaterError:
            self._uses = uses | self._uses
            raise

    async def _poll(self) -> None:
        await self.flush()

    def _write(self, uses: dict[str, tuple[datetime, str]]) -> None:
        update = (
            TOKEN.update()
            .where(
                TOKEN.c.id == sa.bindparam("of"),
                # Another process may have written a later use.
                sa.or_(TOKEN.c.last_used_at.is_(None), TOKEN.c.last_used_at < sa.bindparam("at")),
            )
            .values(last_used_at=sa.bindparam("at"), last_used_from=sa.bindparam("address"))
        )
        rows = [{"of": id, "at": at, "address": address} for id, (at, address) in sorted(uses.items())]
        with self._platform.database.write() as connection:
            connection.execute(update, rows)
