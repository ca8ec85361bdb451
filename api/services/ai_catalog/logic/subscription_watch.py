"""The background task that finds what there is to tell subscribers, in one process at a time.

What a subscriber was told and the events of the notices are stored in one transaction. So a process that is killed
loses no notice, and none is told twice.
"""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.leased_task import LeasedTask
from api.kernel.platform import Platform
from api.services.ai_catalog.logic.notices import Notice, differences, of_runs, state_of, wanted
from api.services.ai_catalog.subscription_tables import SUBSCRIPTION
from core import clock, events
from core.events import Event
from core.pipelines import PIPELINE_TAG
from core.runs import RunState, RunStatus

LEASE = "subscriptions"
NOTIFIED = "ai_catalog.subscription.notified"
"""Type of the event of a notice."""

_POLL_SECONDS = 5.0
_LEASE_SECONDS = 60.0
_MAX_RUNS = 100
_ENDED = (RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.CANCELED)


class SubscriptionWatch(LeasedTask):
    """A background task that writes an event for each notice."""

    lease = LEASE
    failure = "Subscribers could not be told what changed"
    log = logging.getLogger("headwater.catalog")

    def __init__(self, platform: Platform) -> None:
        super().__init__(platform, poll_seconds=_POLL_SECONDS, lease_seconds=_LEASE_SECONDS)

    async def _poll(self) -> None:
        targets = await self._platform.workers.read.run(self._pipelines)
        if targets is None or not await self._platform.workers.write.run(self._acquire):
            return
        await self.look(targets)

    async def look(self, pipelines: set[str]) -> int:
        """Tells what changed since the last time, and returns the number of notices."""
        runs = {
            id: await self._platform.orchestrator.find_runs({PIPELINE_TAG: id}, statuses=_ENDED, limit=_MAX_RUNS)
            for id in sorted(pipelines)
        }
        return await self._platform.workers.write.run(self._tell, runs)

    def _pipelines(self) -> set[str] | None:
        """Returns the pipelines that have subscribers; None if there are no subscriptions at all."""
        with self._platform.database.read() as connection:
            rows = connection.execute(sa.select(SUBSCRIPTION.c.pipeline_id).distinct()).scalars().all()
        return {id for id in rows if id} if rows else None

    def _tell(self, runs: dict[str, Any]) -> int:
        with self._platform.database.read() as connection:
            rows = connection.execute(sa.select(SUBSCRIPTION)).all()
            found = [(row, *self._notices(connection, row, runs.get(row.pipeline_id))) for row in rows]
        return sum(self._store(row, seen, notices) for row, seen, notices in found if seen != row.seen)

    def _notices(
        self, connection: Connection, row: sa.Row[Any], runs: list[RunState] | None
    ) -> tuple[dict[str, Any], list[Notice]]:
        """Returns the state that a subscriber is told next, and the notices."""
        if row.pipeline_id:
            notices, until = of_runs(runs or [], datetime.fromisoformat(row.seen["until"]))
            return {"until": until.isoformat()}, wanted(notices, row.notices)
        target = {name: getattr(row, name) for name in ("asset", "registered_model_id", "pipeline_id")}
        after = state_of(connection, self._platform.orchestrator.view(), clock.now(), **target)
        # A state that isn't known now, such as after a restart, is no change.
        after = {**row.seen, **after}
        return after, wanted(differences(row.seen, after), row.notices)

    def _store(self, row: sa.Row[Any], seen: dict[str, Any], notices: list[Notice]) -> int:
        target = row.asset or row.registered_model_id or row.pipeline_id
        place = {"organization_id": row.organization_id, "project_id": row.project_id}
        with self._platform.database.write() as connection:
            table = SUBSCRIPTION.c
            current = connection.execute(sa.select(table.seen).where(table.id == row.id).with_for_update()).first()
            if current is None or current.seen != row.seen:  # ended, or told by another process
                return 0
            connection.execute(SUBSCRIPTION.update().where(table.id == row.id).values(seen=seen))
            facts = [{"notice": one.type.value, "target": target, "detail": one.detail} for one in notices]
            events.append_all(connection, [Event(NOTIFIED, row.id, "headwater", data, **place) for data in facts])
        return len(notices)
