"""Schedules: automation at given times."""

from __future__ import annotations

from datetime import datetime

from api.kernel import lookup
from api.kernel.kinds.context import Context
from api.kernel.kinds.kind import Kind
from api.kernel.models import ListQuery, Page, Request
from api.kernel.permissions.graph import AutomationLocator
from api.kernel.storage.listing import Listing
from api.services.ai_catalog.logic.automation import FIELDS, AutomationResource, shared
from core.ports import Automation

_LISTING = Listing[Automation](id=lambda schedule: schedule.id, fields=FIELDS)

SCHEDULE = Kind(
    "schedule",
    plural="schedules",
    title="Schedule",
    description="Automation that launches assets at given times.",
    example="daily",
    locate=AutomationLocator("ai_catalog.schedule", "schedule", lambda view: view.schedules),
    filter_by=tuple(_LISTING.fields),
)


class Schedule(AutomationResource):
    """A schedule and its times."""

    cron: str
    """Times as a cron expression."""

    timezone: str
    """Time zone of the cron expression."""

    next_at: datetime | None
    """Next time. Null while the schedule is stopped."""

    upcoming: list[datetime]
    """The next five times. Empty while the schedule is stopped."""


@SCHEDULE.list(query=ListQuery, item=Schedule)
async def list_schedules(ctx: Context, query: ListQuery) -> Page[Schedule]:
    """Lists schedules by name."""
    schedules, token = _LISTING.page(list(ctx.view().schedules.values()), query)
    return Page[Schedule](items=[_schedule(schedule) for schedule in schedules], next_page_token=token)


@SCHEDULE.get(result=Schedule)
async def get_schedule(ctx: Context, schedule: str) -> Schedule:
    """Returns a schedule with its state and last evaluation."""
    return _schedule(_find(ctx, schedule))


@SCHEDULE.action("start", request=Request, result=Schedule, outside=True)
async def start_schedule(ctx: Context, schedule: str, request: Request) -> Schedule:
    """Starts a schedule. A schedule that runs already does not change."""
    automation = _find(ctx, schedule)
    if not automation.running:
        await ctx.orchestrator.start_schedule(automation)
    return _schedule(_find(ctx, schedule))


@SCHEDULE.action("stop", request=Request, result=Schedule, past="stopped", outside=True)
async def stop_schedule(ctx: Context, schedule: str, request: Request) -> Schedule:
    """Stops a schedule. Runs that it launched continue. A schedule that is stopped does not change."""
    automation = _find(ctx, schedule)
    if automation.running:
        await ctx.orchestrator.stop_schedule(automation)
    return _schedule(_find(ctx, schedule))


def _find(ctx: Context, id: str) -> Automation:
    return lookup.item(ctx.view().schedules, "schedule", id)


def _schedule(schedule: Automation) -> Schedule:
    return Schedule.model_validate(
        {
            **shared(schedule),
            "cron": schedule.cron or "",
            "timezone": schedule.timezone or "UTC",
            "next_at": schedule.next_tick_at,
            "upcoming": list(schedule.upcoming),
        }
    )
