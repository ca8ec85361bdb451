"""Health monitors: regular tests of connections."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

import sqlalchemy as sa
from pydantic import Field

from api.kernel.kinds.context import Context
from api.kernel.kinds.table_kind import Row, TableKind
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Request
from api.kernel.references import RefersTo
from api.services.connections.connection_tables import HEALTH_CHECK
from api.services.connections.connection_tables import HEALTH_MONITOR as MONITORS
from api.services.connections.kinds.connection import CONNECTION
from api.services.connections.logic.health_checks import HealthState, check, state_of
from core.errors import Conflict

Minutes = Annotated[int, Field(ge=1, le=10_080)]
"""Minutes from one check to the next."""

Failures = Annotated[int, Field(ge=1, le=100)]
"""Number of failed checks in a row after which the connection is FAILING."""

Hours = Annotated[int, Field(ge=1, le=720)]
"""Hours for which changes are not told."""


class HealthMonitor(Model):
    """A regular test of a connection. It tells when the connection begins to fail, and when it works again."""

    id: str
    """Id of the monitor."""

    project_id: str
    """Id of the project."""

    connection_id: str
    """Id of the connection."""

    every_minutes: int
    """Minutes from one check to the next."""

    failures: int
    """Number of failed checks in a row after which the connection is FAILING."""

    state: HealthState
    """HEALTHY, FAILING, or UNKNOWN if it was not checked for three intervals, or could not be."""

    since: datetime | None
    """Time since which the checks find this state. Null if there was none."""

    checked_at: datetime | None
    """Time of the last check. Null if there was none."""

    failed_checks: int
    """Number of checks in a row that failed."""

    reason: str
    """Constant that says why the last check failed, such as `WRONG_CREDENTIAL`. Empty if it didn't."""

    muted_until: datetime | None
    """Time until which changes are not told. Null if they are."""

    created_at: datetime
    """Time of creation."""

    created_by: str
    """Name of the principal that created it."""


class NewHealthMonitor(Request):
    """A monitor to create."""

    connection_id: Annotated[str, Field(max_length=128), RefersTo(("connections.connection",))]
    """Id or name of the connection. It has at most one monitor."""

    every_minutes: Minutes = 15
    """Minutes from one check to the next."""

    failures: Failures = 3
    """Number of failed checks in a row after which the connection is FAILING."""


class HealthMonitorChange(Request):
    """A change of a monitor."""

    every_minutes: Minutes = 15
    """Minutes from one check to the next."""

    failures: Failures = 3
    """Number of failed checks in a row after which the connection is FAILING."""


class Mute(Request):
    """How long changes are not told."""

    hours: Hours = 1
    """Hours from now."""


def _as_model(unit: Unit, row: Row) -> HealthMonitor:
    values = {name: row._mapping[name] for name in HealthMonitor.model_fields if name != "state"}
    return HealthMonitor(**values, state=state_of(row, unit.now))


HEALTH_MONITOR = TableKind(
    HealthMonitor, MONITORS, plural="health-monitors", prefix="hmo", filter_by=("connection_id",), item=_as_model
)


@HEALTH_MONITOR.creation(request=NewHealthMonitor, result=HealthMonitor)
def create_health_monitor(unit: Unit, request: NewHealthMonitor) -> HealthMonitor:
    """Creates a monitor. The first check begins within seconds. Requires the right to test the connection."""
    row = unit.row(CONNECTION, request.connection_id, permission=CONNECTION.permission("test"))
    if unit.connection.execute(sa.select(MONITORS.c.id).where(MONITORS.c.connection_id == row.id)).first():
        raise Conflict(f"{row.name} has a monitor already. Change that one.")
    return HEALTH_MONITOR.add(
        unit,
        organization_id=row.organization_id,
        project_id=row.project_id,
        connection_id=row.id,
        every_minutes=request.every_minutes,
        failures=request.failures,
        found=HealthState.UNKNOWN,
        told=HealthState.UNKNOWN,
        next_at=unit.now,
        failed_checks=0,
        reason="",
        created_at=unit.now,
        created_by=unit.principal.name,
        created_by_id=unit.principal.id,
    )


@HEALTH_MONITOR.modification(request=HealthMonitorChange, result=HealthMonitor)
def update_health_monitor(unit: Unit, monitor: Row, request: HealthMonitorChange) -> HealthMonitor:
    """Changes how often a connection is checked, or when it counts as failing."""
    values = {name: getattr(request, name) for name in request.model_fields_set}
    if not values:
        return HEALTH_MONITOR.item(unit, monitor)
    if "every_minutes" in values:
        values["next_at"] = unit.now
    return HEALTH_MONITOR.change(unit, monitor, **values)


@HEALTH_MONITOR.deletion()
def delete_health_monitor(unit: Unit, monitor: Row) -> None:
    """Deletes a monitor with its results."""
    unit.connection.execute(HEALTH_CHECK.delete().where(HEALTH_CHECK.c.monitor_id == monitor.id))
    unit.connection.execute(MONITORS.delete().where(MONITORS.c.id == monitor.id))


@HEALTH_MONITOR.command("mute", request=Mute, result=HealthMonitor, past="muted")
def mute_health_monitor(unit: Unit, monitor: Row, request: Mute) -> HealthMonitor:
    """Stops telling changes for some hours. Checks go on."""
    return HEALTH_MONITOR.change(unit, monitor, muted_until=unit.now + timedelta(hours=request.hours))


@HEALTH_MONITOR.command("unmute", request=Request, result=HealthMonitor, past="unmuted")
def unmute_health_monitor(unit: Unit, monitor: Row, request: Request) -> HealthMonitor:
    """Tells changes again. The next check tells a change that happened in the meantime and still holds."""
    return HEALTH_MONITOR.change(unit, monitor, muted_until=None)


@HEALTH_MONITOR.action("run", request=Request, result=HealthMonitor, outside=True, timeout_seconds=90, past="checked")
async def run_health_monitor(ctx: Context, health_monitor: str, request: Request) -> HealthMonitor:
    """Checks the connection now, and returns what was found."""
    monitor = await ctx.read(lambda unit: HEALTH_MONITOR.row(unit, health_monitor, "run"))
    await check(ctx.platform, monitor)

    def found(unit: Unit) -> HealthMonitor:
        row = HEALTH_MONITOR.row(unit, monitor.id, "run")
        unit.call.subject = row.id
        return HEALTH_MONITOR.item(unit, row)

    return await ctx.write(found)
