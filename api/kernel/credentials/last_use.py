"""When and from where keys were last used: remembered, and written once a minute instead of at every request."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime

import sqlalchemy as sa

from api.kernel.platform import Platform
from api.kernel.tables import TOKEN
from core import clock
from core.errors import HeadwaterError

FLUSH_SECONDS = 60.0
_log = logging.getLogger("headwater.api")


class LastUse:
    """What was used since the last write. Noted on the event loop; a key costs one row a minute however busy it is."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._noted: dict[str, tuple[datetime, str]] = {}
        self._task: asyncio.Task[None] | None = None

    def note(self, token_id: str, address: str) -> None:
        """Remembers a use."""
        self._noted[token_id] = (clock.now(), address[:64])

    async def start(self) -> None:
        """Begins to write."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Writes what is left and ends."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self.flush()

    async def flush(self) -> None:
        """Writes what was noted. If the database is away, it is kept for the next time."""
        noted, self._noted = self._noted, {}
        if not noted:
            return
        try:
            await self._platform.workers.write.run(self._write, noted)
        except HeadwaterError as error:
            self._noted = noted | self._noted
            _log.warning("the last use of %d keys could not be written: %s", len(noted), error.detail)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            await self.flush()

    def _write(self, noted: dict[str, tuple[datetime, str]]) -> None:
        update = (
            TOKEN.update()
            .where(
                TOKEN.c.id == sa.bindparam("of"),
                # Another process may have seen a later one.
                sa.or_(TOKEN.c.last_used_at.is_(None), TOKEN.c.last_used_at < sa.bindparam("at")),
            )
            .values(last_used_at=sa.bindparam("at"), last_used_from=sa.bindparam("address"))
        )
        rows = [{"of": id, "at": at, "address": address} for id, (at, address) in sorted(noted.items())]
        with self._platform.database.write() as connection:
            connection.execute(update, rows)
