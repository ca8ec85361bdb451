"""The checks of health monitors: one test of a connection, its result, and the event when the state changes."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.platform import Platform
from api.services.connections.connection_tables import HEALTH_CHECK, HEALTH_MONITOR
from api.services.connections.logic.opened import opened_by_platform
from connectors import asking
from core import clock, events
from core.errors import HeadwaterError
from core.events import Event
from core.ids import new_id

CHANGED = "connections.health_monitor.changed"
"""Type of the event of a change between HEALTHY and FAILING."""

PURPOSE = "health-check"
_MAX_AGE = timedelta(days=90)
"""Age after which results are removed."""

_LATE = 3
"""Intervals without a check after which the state is unknown."""


class HealthState(StrEnum):
    """The health of a connection. UNKNOWN: it was not checked, or not for three intervals."""

    UNKNOWN = "UNKNOWN"
    HEALTHY = "HEALTHY"
    FAILING = "FAILING"


def state_of(row: sa.Row[Any], now: datetime) -> HealthState:
    """Returns the state of a monitor. What was not checked is never healthy."""
    if row.checked_at is None or now - row.checked_at > _LATE * timedelta(minutes=row.every_minutes):
        return HealthState.UNKNOWN
    return HealthState(row.found)


async def check(platform: Platform, monitor: sa.Row[Any]) -> None:
    """Tests the connection of a monitor, stores the result, and tells a change of the state."""
    try:
        found = await opened_by_platform(platform, monitor.connection_id, PURPOSE, monitor.created_by_id)
        outcomes = await asking.test(found.connector, found.config, found.egress)
    except HeadwaterError as error:
        # The connection is disabled or deleted, or a secret has no value.
        await platform.workers.write.run(_store, platform, monitor.id, None, error.reason, [])
        return
    failed = next((one for one in outcomes if one.state == "FAILED"), None)
    steps = [asdict(one) for one in outcomes]
    reason = failed.reason if failed else ""
    await platform.workers.write.run(_store, platform, monitor.id, failed is None, reason, steps)


def _store(platform: Platform, id: str, passed: bool | None, reason: str, steps: list[dict[str, Any]]) -> None:
    """Stores a result. `passed` is None if nothing was tested, which is neither healthy nor a failure."""
    now = clock.now()
    table = HEALTH_MONITOR.c
    with platform.database.write() as session:
        monitor = session.execute(sa.select(HEALTH_MONITOR).where(table.id == id).with_for_update()).first()
        if monitor is None:  # deleted in the meantime
            return
        place = {"organization_id": monitor.organization_id, "project_id": monitor.project_id}
        failed_checks = 0 if passed is not False else monitor.failed_checks + 1
        if passed is None:
            found = HealthState.UNKNOWN
        elif passed:
            found = HealthState.HEALTHY
        else:
            found = HealthState.FAILING if failed_checks >= monitor.failures else HealthState(monitor.found)
        values: dict[str, Any] = {"found": found, "failed_checks": failed_checks, "reason": reason, "checked_at": now}
        if found != monitor.found or monitor.since is None:
            values["since"] = now
        muted = monitor.muted_until is not None and monitor.muted_until > now
        if found not in (HealthState.UNKNOWN, monitor.told) and not muted:
            values["told"] = found
            _tell(session, monitor, found, reason)
        session.execute(HEALTH_MONITOR.update().where(table.id == id).values(values))
        if passed is not None:
            result = {"id": new_id("hck"), "monitor_id": id, "at": now, "passed": passed, "reason": reason}
            session.execute(HEALTH_CHECK.insert().values(**result, **place, steps=steps))
            old = (HEALTH_CHECK.c.monitor_id == id, HEALTH_CHECK.c.at < now - _MAX_AGE)
            session.execute(HEALTH_CHECK.delete().where(*old))


def _tell(session: Connection, monitor: sa.Row[Any], found: HealthState, reason: str) -> None:
    place = {"organization_id": monitor.organization_id, "project_id": monitor.project_id}
    data = {"connection": monitor.connection_id, "before": monitor.told, "after": found.value, "cause": reason}
    events.append_all(session, [Event(CHANGED, monitor.id, "headwater", data, **place)])
