"""Schedules: what is made at given times."""

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
    description="Makes assets at given times.",
    example="daily",
    locate=AutomationLocator("ai_catalog.schedule", "schedule", lambda view: view.schedules),
    filter_by=tuple(_LISTING.fields),
)


class Schedule(AutomationResource):
    """A schedule and when it fires."""

    cron: str
    """When it fires, as a cron expression."""

    timezone: str
    """Time zone of the expression."""

    next_at: datetime | None
    """When it fires next; null while it is stopped."""


@SCHEDULE.list(query=ListQuery, item=Schedule)
async def list_schedules(ctx: Context, query: ListQuery) -> Page[Schedule]:
    """Lists schedules by name."""
    found, token = _LISTING.page(list(ctx.view().schedules.values()), query)
    return Page[Schedule](items=[_schedule(item) for item in found], next_page_token=token)


@SCHEDULE.get(result=Schedule)
async def get_schedule(ctx: Context, schedule: str) -> Schedule:
    """Returns a schedule with its state and last evaluation."""
    return _schedule(_find(ctx, schedule))


@SCHEDULE.action("start", request=Request, result=Schedule)
async def start_schedule(ctx: Context, schedule: str, request: Request) -> Schedule:
    """Lets a schedule fire. Starting one that runs changes nothing."""
    found = _find(ctx, schedule)
    if not found.running:
        await ctx.orchestrator.start_schedule(found)
    return _schedule(_find(ctx, schedule))


@SCHEDULE.action("stop", request=Request, result=Schedule, past="stopped")
async def stop_schedule(ctx: Context, schedule: str, request: Request) -> Schedule:
    """Keeps a schedule from firing; what it launched goes on. Stopping one that is stopped changes nothing."""
    found = _find(ctx, schedule)
    if found.running:
        await ctx.orchestrator.stop_schedule(found)
    return _schedule(_find(ctx, schedule))


def _find(ctx: Context, id: str) -> Automation:
    return lookup.one(ctx.view().schedules, "schedule", id)


def _schedule(schedule: Automation) -> Schedule:
    return Schedule.model_validate(
        {
            **shared(schedule),
            "cron": schedule.cron or "",
            "timezone": schedule.timezone or "UTC",
            "next_at": schedule.next_tick_at,
        }
    )
