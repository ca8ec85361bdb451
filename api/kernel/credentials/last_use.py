"""Time and address of the last use of API keys, written to the database once a minute."""

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
    """The uses since the last write. Use it on the event loop. A key causes at most one write per minute."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._uses: dict[str, tuple[datetime, str]] = {}
        self._task: asyncio.Task[None] | None = None

    def note(self, token_id: str, address: str) -> None:
        """Records a use."""
        self._uses[token_id] = (clock.now(), address[:64])

    async def start(self) -> None:
        """Starts the task that writes the uses."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stops the task and writes the remaining uses."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self.flush()

    async def flush(self) -> None:
        """Writes the recorded uses. Keeps them for the next time if the database is unavailable."""
        uses, self._uses = self._uses, {}
        if not uses:
            return
        try:
            await self._platform.workers.write.run(self._write, uses)
        except HeadwaterError as error:
            self._uses = uses | self._uses
            _log.warning("the last use of %d keys could not be written: %s", len(uses), error.detail)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
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
