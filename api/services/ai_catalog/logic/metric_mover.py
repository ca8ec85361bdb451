"""Moves logged values of metrics from the metadata database to the lakehouse, in batches.

A batch is announced, added to the lakehouse, and then removed from the database. A process that is killed in between
leaves values in both places, and the next batch adds only those that the lakehouse doesn't have. So no value is lost or
doubled, however often a process is killed, and also if two processes move the same values.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.http.metrics import Metrics
from api.kernel.leased_task import LeasedTask
from api.kernel.platform import Platform
from api.kernel.tables import RESOURCE
from api.services.ai_catalog.logic.metric_history import open_metric_history
from api.services.ai_catalog.run_tables import METRIC_HISTORY, METRIC_POINT, RUN
from core import clock
from core.db import upsert

LEASE = "metric-history"
MANY = 10_000
"""Number of waiting values of a project from which they move without delay."""

_BATCH = 50_000
_REMOVED_AT_ONCE = 1_000
"""Number of values that one transaction removes, so that requests don't wait for it."""
_POLL_SECONDS = 5.0
_FIRST_SECONDS = 300.0
"""Time after the start at which all values move, because those of an earlier process may have waited for long."""
_LEASE_SECONDS = 600.0
_KEY = ("run_id", "key", "step", "at_ms", "bits")


class MetricMover(LeasedTask):
    """A background task that moves logged values of metrics, in one process at a time."""

    lease = LEASE
    failure = "Values of metrics could not be moved to the lakehouse"
    log = logging.getLogger("headwater.catalog")

    def __init__(self, platform: Platform) -> None:
        super().__init__(platform, poll_seconds=_POLL_SECONDS, lease_seconds=_LEASE_SECONDS)
        self._seconds = platform.settings.metric_history_seconds
        self._due_at = time.monotonic() + min(_FIRST_SECONDS, self._seconds)
        metrics = platform.part(Metrics)
        metrics.gauge_from(
            "headwater_metric_values_waiting",
            "Number of logged values of metrics that have not moved to the lakehouse.",
            self._waiting,
        )

    async def _poll(self) -> None:
        overdue = time.monotonic() >= self._due_at
        many = not overdue and await self._platform.reads.run(_has_many)
        if not (overdue or many) or not await self._platform.workers.write.run(self._acquire):
            return
        await self._platform.workers.compute.run(self.move, 1 if overdue else MANY)
        if overdue:
            self._due_at = time.monotonic() + self._seconds

    def move(self, least: int = 1) -> int:
        """Moves the values of the projects in which at least this many wait. Returns the number of values.

        It also deletes the history of erased projects. Runs in a worker thread.
        """
        with self._platform.database.read() as connection:
            waiting = _waiting_by_project(connection)
            erased = _erased_projects(connection)
        for project in erased:
            self._platform.part(open_metric_history).remove(project)
            with self._platform.database.write() as connection:
                connection.execute(METRIC_HISTORY.delete().where(METRIC_HISTORY.c.id == project))
        return sum(self._move_project(project) for project, count in waiting.items() if count >= least)

    def _move_project(self, project: str) -> int:
        moved = 0
        while batch := self._move_batch(project):
            moved += batch
            if batch < _BATCH:
                break
            self._acquire()
        return moved

    def _move_batch(self, project: str) -> int:
        import pyarrow as pa

        database, history = self._platform.database, self._platform.part(open_metric_history)
        with database.read() as connection:
            rows = _batch(connection, project)
        if not rows:
            return 0
        with database.write() as connection:
            _announce(connection, project, sorted({row.run_id for row in rows if not row.has_history}))
        history.add(project, pa.table({name: [row._mapping[name] for row in rows] for name in _KEY}))
        for start in range(0, len(rows), _REMOVED_AT_ONCE):
            with database.write() as connection:
                _remove(connection, rows[start : start + _REMOVED_AT_ONCE])
        with database.write() as connection:
            upsert(connection, METRIC_HISTORY, {"id": project}, {"moved_at": clock.now()})
        history.sort(project)
        return len(rows)

    def _waiting(self) -> float:
        with self._platform.database.read() as connection:
            return float(waiting_values(connection))


def waiting_values(connection: Connection) -> int:
    """Returns the number of values that have not moved to the lakehouse."""
    return int(connection.execute(sa.select(sa.func.count()).select_from(METRIC_POINT)).scalar_one())


def _has_many(connection: Connection) -> bool:
    return connection.execute(sa.select(METRIC_POINT.c.run_id).offset(MANY - 1).limit(1)).first() is not None


def _waiting_by_project(connection: Connection) -> dict[str, int]:
    counts = sa.select(METRIC_POINT.c.run_id, sa.func.count().label("count")).group_by(METRIC_POINT.c.run_id).subquery()
    select = sa.select(RUN.c.project_id, sa.func.sum(counts.c.count)).join(counts, counts.c.run_id == RUN.c.id)
    return {project: int(count) for project, count in connection.execute(select.group_by(RUN.c.project_id))}


def _erased_projects(connection: Connection) -> Sequence[str]:
    joined = METRIC_HISTORY.outerjoin(RESOURCE, RESOURCE.c.id == METRIC_HISTORY.c.id)
    select = sa.select(METRIC_HISTORY.c.id).select_from(joined).where(RESOURCE.c.id.is_(None))
    return connection.execute(select).scalars().all()


def _batch(connection: Connection, project: str) -> Sequence[Any]:
    select = sa.select(METRIC_POINT, RUN.c.has_history).join(RUN, RUN.c.id == METRIC_POINT.c.run_id)
    return connection.execute(select.where(RUN.c.project_id == project).limit(_BATCH)).all()


def _announce(connection: Connection, project: str, runs: Sequence[str]) -> None:
    """Records that the lakehouse may have values of these runs, before it has the first one."""
    upsert(connection, METRIC_HISTORY, {"id": project}, {"moved_at": clock.now()})
    for start in range(0, len(runs), _REMOVED_AT_ONCE):
        some = runs[start : start + _REMOVED_AT_ONCE]
        connection.execute(RUN.update().where(RUN.c.id.in_(some)).values(has_history=True))


def _remove(connection: Connection, rows: Sequence[Any]) -> None:
    columns = METRIC_POINT.c
    same = sa.and_(*(columns[name] == sa.bindparam(f"_{name}") for name in _KEY))
    connection.execute(
        METRIC_POINT.delete().where(same), [{f"_{name}": row._mapping[name] for name in _KEY} for row in rows]
    )
