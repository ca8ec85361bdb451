"""What health monitors found: results, uptime, a summary, and the assets that read from a connection."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

import sqlalchemy as sa
from pydantic import Field

from api.kernel.kinds.context import Context
from api.kernel.kinds.table_kind import Row
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Query
from api.kernel.permissions.projects import Projects
from api.services.connections.connection_tables import HEALTH_CHECK
from api.services.connections.connection_tables import HEALTH_MONITOR as MONITORS
from api.services.connections.kinds.connection import CONNECTION
from api.services.connections.kinds.connection_test import StepResult
from api.services.connections.kinds.health_monitor import HEALTH_MONITOR
from api.services.connections.logic.affected_assets import Origin, declared_readers, readers_of
from api.services.connections.logic.health_checks import HealthState, state_of

_MAX_FAILING = 1000


class ResultsQuery(Query):
    """A page of results."""

    before: Annotated[str, Field(max_length=64)] = ""
    """Returns results before the one with this id."""

    page_size: Annotated[int, Field(ge=1, le=1000)] = 100
    """Maximum number of results."""


class HealthResult(Model):
    """The result of a check."""

    id: str
    """Id of the result."""

    at: datetime
    """Time of the check."""

    passed: bool
    """Whether all steps passed."""

    reason: str
    """Constant that says why it failed. Empty if it didn't."""

    steps: list[StepResult]
    """Steps in order."""


class HealthResults(Model):
    """Results of a monitor."""

    items: list[HealthResult]
    """Results, last to first. They are removed after 90 days."""


class UptimeQuery(Query):
    """A time to look back on."""

    days: Annotated[int, Field(ge=1, le=90)] = 7
    """Days until now."""


class Uptime(Model):
    """For how long a connection worked."""

    checks: int
    """Number of checks."""

    failed_checks: int
    """Number of checks that failed."""

    up_seconds: int
    """Seconds after checks that passed."""

    down_seconds: int
    """Seconds after checks that failed."""

    unknown_seconds: int
    """Seconds for which there was no check in time. They count neither as up nor as down."""

    uptime: float | None
    """Share of the known time for which it worked. Null if nothing is known."""


class FailingMonitor(Model):
    """A connection that fails."""

    id: str
    """Id of the monitor."""

    connection_id: str
    """Id of the connection."""

    reason: str
    """Constant that says why the last check failed."""

    since: datetime | None
    """Time since which it fails."""


class HealthSummary(Model):
    """The health of all monitored connections that the caller can see."""

    states: dict[HealthState, int]
    """Number of monitors by state."""

    muted: int
    """Number of monitors that are muted."""

    failing: list[FailingMonitor]
    """Monitors of connections that fail. At most 1,000."""


class DependentAssets(Model):
    """Assets that read from a connection."""

    state: HealthState
    """State of the connection, and so of the source of these assets."""

    assets: list[str]
    """Ids of the assets that read from it, directly or through others, of those that the caller can see."""


@HEALTH_MONITOR.view("results", query=ResultsQuery, result=HealthResults)
def get_health_results(unit: Unit, monitor: Row, query: ResultsQuery) -> HealthResults:
    """Lists the results of a monitor, last to first."""
    select = sa.select(HEALTH_CHECK).where(HEALTH_CHECK.c.monitor_id == monitor.id)
    if query.before:
        select = select.where(HEALTH_CHECK.c.id < query.before)
    rows = unit.connection.execute(select.order_by(HEALTH_CHECK.c.id.desc()).limit(query.page_size))
    return HealthResults(
        items=[
            HealthResult(
                id=row.id,
                at=row.at,
                passed=row.passed,
                reason=row.reason,
                steps=[StepResult.model_validate(step) for step in row.steps],
            )
            for row in rows
        ]
    )


@HEALTH_MONITOR.view("uptime", query=UptimeQuery, result=Uptime)
def get_health_uptime(unit: Unit, monitor: Row, query: UptimeQuery) -> Uptime:
    """Returns for how long a connection worked. A result counts until the next one, for at most two intervals."""
    begin = unit.now - timedelta(days=query.days)
    table = HEALTH_CHECK.c
    select = sa.select(table.at, table.passed).where(table.monitor_id == monitor.id, table.at >= begin)
    rows = unit.connection.execute(select.order_by(table.at)).all()
    longest = timedelta(minutes=2 * monitor.every_minutes)
    known = {True: timedelta(), False: timedelta()}
    for row, following in zip(rows, [*(row.at for row in rows[1:]), unit.now], strict=True):
        known[row.passed] += min(following - row.at, longest)
    both = known[True] + known[False]
    return Uptime(
        checks=len(rows),
        failed_checks=sum(not row.passed for row in rows),
        up_seconds=round(known[True].total_seconds()),
        down_seconds=round(known[False].total_seconds()),
        unknown_seconds=round((unit.now - begin - both).total_seconds()),
        uptime=known[True] / both if both else None,
    )


@HEALTH_MONITOR.collection_read("summary", query=Query, result=HealthSummary)
async def summarize_health_monitors(ctx: Context, query: Query) -> HealthSummary:
    """Returns how many monitored connections are in which state, and those that fail."""
    return await ctx.read(_summary)


@HEALTH_MONITOR.part("assets", query=Query, result=DependentAssets)
async def get_health_monitor_assets(ctx: Context, health_monitor: str, query: Query) -> DependentAssets:
    """Returns the assets whose source is the connection, and its state: what can't be made while it fails."""

    def read(unit: Unit) -> tuple[HealthState, Origin | None, list[str]]:
        monitor = HEALTH_MONITOR.row(unit, health_monitor, "assets")
        row = unit.find(CONNECTION, monitor.connection_id)
        project = unit.platform.part(Projects).name_of(monitor.project_id)
        origin = Origin(project, row.id, row.name) if row and project else None
        declared = declared_readers(unit.connection, origin) if origin else {}
        return state_of(monitor, unit.now), origin, sorted({id for ids in declared.values() for id in ids})

    state, origin, declared = await ctx.read(read)
    assets = await ctx.compute(readers_of, ctx, ctx.view(), origin, declared) if origin else []
    return DependentAssets(state=state, assets=assets)


def _summary(unit: Unit) -> HealthSummary:
    rows = unit.connection.execute(sa.select(MONITORS).where(HEALTH_MONITOR.visible(unit))).all()
    states = [state_of(row, unit.now) for row in rows]
    failing = [row for row, state in zip(rows, states, strict=True) if state is HealthState.FAILING]
    return HealthSummary(
        states={state: states.count(state) for state in HealthState},
        muted=sum(row.muted_until is not None and row.muted_until > unit.now for row in rows),
        failing=[
            FailingMonitor(id=row.id, connection_id=row.connection_id, reason=row.reason, since=row.since)
            for row in failing[:_MAX_FAILING]
        ],
    )
