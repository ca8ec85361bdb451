"""Keeps published definitions within the rights of who published them.

A definition shows what it reads to whoever reads its asset. So its publisher must hold the right to its inputs not only
when he publishes: while he does not, the asset cannot run. Who may read them can publish it again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.credentials import accounts, epochs
from api.kernel.permissions import grants
from api.kernel.permissions.access import Access
from api.kernel.permissions.graph import SEE, asset_place
from api.kernel.platform import Platform
from api.kernel.tables import PRINCIPAL
from core.definitions import DEFINITION
from core.errors import HeadwaterError
from core.events import Event, append_all
from core.ports import Publisher

READ = "ai_catalog.asset.preview"
"""Whoever may read the rows of an asset may publish what reads it."""

_LOOK_SECONDS = 1.0
_AT_LEAST_EVERY_SECONDS = 60.0
"""Rights end by time and by conditions, too, which no epoch tells."""

_log = logging.getLogger("headwater.publishing")


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What changes for a definition: why it is blocked from now on, or nothing if it is free again."""

    asset_id: str
    published_by: str
    published_at: datetime
    was: str | None
    now: str | None


def may_read(platform: Platform, access: Access, asset: str) -> bool:
    """Whether the rows of an asset may be shown by what is made from it."""
    place = asset_place(platform, asset)
    return access.allows(SEE, place) and access.allows(READ, place)


class PublisherRights:
    """Runs beside the API, in every process that publishes: whoever is first, the others find nothing to do."""

    def __init__(self, platform: Platform, publisher: Publisher) -> None:
        self._platform = platform
        self._publisher = publisher
        self._task: asyncio.Task[None] | None = None
        self._epoch = -1
        self._judged = 0.0
        self._behind = False
        self._waits = False

    async def start(self) -> None:
        """Begins to look."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Ends."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                await self._look()
                self._waits = False
            except HeadwaterError as error:
                # Once: it is tried every second for as long as it lasts.
                if not self._waits:
                    _log.warning("The rights of publishers wait: %s", error.detail)
                self._waits = True
            except Exception:  # noqa: BLE001 - the next look tries again
                _log.exception("The rights of publishers wait")

    async def _look(self) -> None:
        read = self._platform.workers.read
        epoch = await read.run(self._current_epoch)
        late = time.monotonic() - self._judged > _AT_LEAST_EVERY_SECONDS
        if epoch != self._epoch or late:
            verdicts, watched = await read.run(self._judge)
            changed = bool(verdicts) and await self._platform.workers.write.run(self._apply, verdicts)
            # Late: whoever applied a verdict may have died before Dagster knew of it.
            self._behind = self._behind or changed or (late and watched)
            self._epoch, self._judged = epoch, time.monotonic()
        if self._behind:
            await self._publisher.reconcile()
            self._behind = False

    def _current_epoch(self) -> int:
        with self._platform.database.read() as connection:
            return epochs.current(connection)

    def _judge(self) -> tuple[list[_Verdict], bool]:
        """What has to change, and whether there is anything to watch at all."""
        with self._platform.database.read() as connection:
            live = DEFINITION.c.published_by_id.is_not(None), DEFINITION.c.published_reads.is_not(None)
            rows = connection.execute(sa.select(DEFINITION).where(*live)).all()
            held = {id: self._access(connection, id) for id in {row.published_by_id for row in rows}}
        return list(self._verdicts(rows, held)), bool(rows)

    def _verdicts(
        self, rows: Sequence[sa.Row[*tuple[Any, ...]]], held: Mapping[str, Access | None]
    ) -> Iterator[_Verdict]:
        for row in rows:
            access = held[row.published_by_id]
            reads = all(access and may_read(self._platform, access, name) for name in row.published_reads)
            why = f"{row.published_by}, its publisher, may no longer read its inputs. Whoever may can publish it again."
            now = None if reads else why
            if now != row.blocked:
                yield _Verdict(row.asset_id, row.published_by, row.published_at, row.blocked, now)

    def _access(self, connection: Connection, principal_id: str) -> Access | None:
        """What a publisher holds; nothing if his account does not work."""
        works = sa.select(PRINCIPAL.c.id).where(PRINCIPAL.c.id == principal_id, accounts.WORKING)
        if connection.execute(works).first() is None:
            return None
        return grants.access_of(connection, principal_id, self._platform.permissions)

    def _apply(self, verdicts: list[_Verdict]) -> bool:
        places = {verdict: asset_place(self._platform, verdict.asset_id) for verdict in verdicts}
        told = []
        with self._platform.database.write() as connection:
            for verdict, place in places.items():
                same = DEFINITION.c.blocked.is_(None) if verdict.was is None else DEFINITION.c.blocked == verdict.was
                # Whoever published it meanwhile was judged then.
                mine = DEFINITION.c.asset_id == verdict.asset_id, DEFINITION.c.published_at == verdict.published_at
                if connection.execute(DEFINITION.update().where(*mine, same).values(blocked=verdict.now)).rowcount:
                    told.append(
                        Event(
                            f"ai_catalog.definition.{'blocked' if verdict.now else 'unblocked'}",
                            verdict.asset_id,
                            "headwater",
                            {"published_by": verdict.published_by},
                            organization_id=place.organization_id,
                            project_id=place.project_id,
                        )
                    )
            append_all(connection, told)
        return bool(told)
