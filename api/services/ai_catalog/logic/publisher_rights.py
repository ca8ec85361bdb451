"""Checks that published definitions and pipelines stay within the rights of their publishers.

A definition discloses its inputs to everyone who can read its asset. So its publisher must hold the right to read the
inputs not only when they publish it. Without that right, the asset can't run. A user who can read the inputs can
publish it again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.credentials import accounts, epochs
from api.kernel.periodic_task import PeriodicTask
from api.kernel.permissions import grants
from api.kernel.permissions.access import Access
from api.kernel.permissions.graph import asset_securable
from api.kernel.platform import Platform
from api.kernel.tables import PRINCIPAL
from api.services.ai_catalog.logic import pipeline_rights
from api.services.ai_catalog.logic.pipeline_rights import PipelineChange
from api.services.ai_catalog.logic.readable_connections import may_read_through
from api.services.ai_catalog.logic.readable_tables import may_read
from core.connection_sources import is_connection_source
from core.definitions import DEFINITION
from core.events import Event, append_all
from core.publisher import Publisher

_POLL_SECONDS = 1.0
_MAX_CHECK_AGE_SECONDS = 60.0
"""Rights also end with time and conditions, which change no epoch."""


@dataclass(frozen=True, slots=True)
class _Change:
    """A change of a definition: why it is blocked now, or None if it no longer is."""

    asset_id: str
    published_by: str
    published_at: datetime
    was: str | None
    now: str | None


class PublisherRights(PeriodicTask):
    """A background task in every process that publishes. The first one that notices a change applies it."""

    failure = "The rights of publishers could not be checked"
    log = logging.getLogger("headwater.publishing")

    def __init__(self, platform: Platform, publisher: Publisher) -> None:
        super().__init__(platform, poll_seconds=_POLL_SECONDS)
        self._publisher = publisher
        self._epoch = -1
        self._checked_at = 0.0
        self._reconcile_due = False

    async def _poll(self) -> None:
        read = self._platform.workers.read
        epoch = await read.run(self._current_epoch)
        overdue = time.monotonic() - self._checked_at > _MAX_CHECK_AGE_SECONDS
        if epoch != self._epoch or overdue:
            changes, of_pipelines = await read.run(self._check)
            due = changes or of_pipelines
            changed = bool(due) and await self._platform.workers.write.run(self._apply, changes, of_pipelines)
            # When overdue, because a process that changed a row may have died before it informed Dagster.
            self._reconcile_due = self._reconcile_due or changed or overdue
            self._epoch, self._checked_at = epoch, time.monotonic()
        if self._reconcile_due:
            await self._publisher.reconcile()
            self._reconcile_due = False

    def _current_epoch(self) -> int:
        with self._platform.database.read() as connection:
            return epochs.current(connection)

    def _check(self) -> tuple[list[_Change], list[PipelineChange]]:
        """Returns the changes that are due. Retired definitions are checked when they are reinstated."""
        with self._platform.database.read() as connection:
            published = DEFINITION.c.published_by_id.is_not(None), DEFINITION.c.published_reads.is_not(None)
            rows = connection.execute(sa.select(DEFINITION).where(*published, DEFINITION.c.retired_at.is_(None))).all()
            access_of = cache(partial(self._access, connection))
            held = {id: access_of(id) for id in {row.published_by_id for row in rows}}
            of_pipelines = list(pipeline_rights.changes(self._platform, connection, access_of))
        return list(self._changes(rows, held)), of_pipelines

    def _changes(
        self, rows: Sequence[sa.Row[*tuple[Any, ...]]], held: Mapping[str, Access | None]
    ) -> Iterator[_Change]:
        for row in rows:
            access = held[row.published_by_id]
            reads = all(access and self._may_read(access, name) for name in row.published_reads)
            why = (
                f"Its publisher {row.published_by} can no longer read its inputs. A user who can may publish it again."
            )
            now = None if reads else why
            if now != row.blocked:
                yield _Change(row.asset_id, row.published_by, row.published_at, row.blocked, now)

    def _may_read(self, access: Access, name: str) -> bool:
        if is_connection_source(name):
            return may_read_through(self._platform, access, name)
        return may_read(self._platform, access, name)

    def _access(self, connection: Connection, principal_id: str) -> Access | None:
        """Returns the rights of a publisher, or None if their account is not active."""
        active = sa.select(PRINCIPAL.c.id).where(PRINCIPAL.c.id == principal_id, accounts.ACTIVE)
        if connection.execute(active).first() is None:
            return None
        return grants.access_of(connection, principal_id, self._platform.permissions)

    def _apply(self, changes: list[_Change], of_pipelines: list[PipelineChange]) -> bool:
        places = {change: asset_securable(self._platform, change.asset_id) for change in changes}
        events = []
        with self._platform.database.write() as connection:
            for change, place in places.items():
                same = DEFINITION.c.blocked.is_(None) if change.was is None else DEFINITION.c.blocked == change.was
                # A later publication checked the rights of its publisher itself.
                unchanged = sa.and_(
                    DEFINITION.c.asset_id == change.asset_id,
                    DEFINITION.c.published_at == change.published_at,
                    DEFINITION.c.retired_at.is_(None),
                )
                if connection.execute(DEFINITION.update().where(unchanged, same).values(blocked=change.now)).rowcount:
                    events.append(
                        Event(
                            f"ai_catalog.definition.{'blocked' if change.now else 'unblocked'}",
                            change.asset_id,
                            "headwater",
                            {"published_by": change.published_by},
                            organization_id=place.organization_id,
                            project_id=place.project_id,
                        )
                    )
            applied = (pipeline_rights.apply(self._platform, connection, change) for change in of_pipelines)
            events += [event for event in applied if event is not None]
            append_all(connection, events)
        return bool(events)
