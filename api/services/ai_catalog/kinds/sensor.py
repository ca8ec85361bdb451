"""Sensors: automation that reacts to changes."""

from __future__ import annotations

from api.kernel import lookup
from api.kernel.kinds.context import Context
from api.kernel.kinds.kind import Kind
from api.kernel.models import ListQuery, Page, Request
from api.kernel.permissions.graph import AutomationLocator
from api.kernel.storage.listing import Listing
from api.services.ai_catalog.logic.automation import FIELDS, AutomationResource, shared
from core.ports import Automation

_LISTING = Listing[Automation](id=lambda sensor: sensor.id, fields=FIELDS)

SENSOR = Kind(
    "sensor",
    plural="sensors",
    title="Sensor",
    description="Automation that is evaluated at intervals and launches assets when something changed.",
    example="landing",
    locate=AutomationLocator("ai_catalog.sensor", "sensor", lambda view: view.sensors),
    filter_by=tuple(_LISTING.fields),
)


class Sensor(AutomationResource):
    """A sensor and its interval."""

    kind: str
    """What it watches, such as STANDARD, ASSET, or AUTOMATION."""

    min_interval_seconds: int
    """Minimum seconds between two evaluations."""


@SENSOR.list(query=ListQuery, item=Sensor)
async def list_sensors(ctx: Context, query: ListQuery) -> Page[Sensor]:
    """Lists sensors by name."""
    sensors, token = _LISTING.page(list(ctx.view().sensors.values()), query)
    return Page[Sensor](items=[_sensor(sensor) for sensor in sensors], next_page_token=token)


@SENSOR.get(result=Sensor)
async def get_sensor(ctx: Context, sensor: str) -> Sensor:
    """Returns a sensor with its state and last evaluation."""
    return _sensor(_find(ctx, sensor))


@SENSOR.action("start", request=Request, result=Sensor, outside=True)
async def start_sensor(ctx: Context, sensor: str, request: Request) -> Sensor:
    """Starts a sensor. A sensor that runs already does not change."""
    automation = _find(ctx, sensor)
    if not automation.running:
        await ctx.orchestrator.start_sensor(automation)
    return _sensor(_find(ctx, sensor))


@SENSOR.action("stop", request=Request, result=Sensor, past="stopped", outside=True)
async def stop_sensor(ctx: Context, sensor: str, request: Request) -> Sensor:
    """Stops a sensor. Runs that it launched continue. A sensor that is stopped does not change."""
    automation = _find(ctx, sensor)
    if automation.running:
        await ctx.orchestrator.stop_sensor(automation)
    return _sensor(_find(ctx, sensor))


def _find(ctx: Context, id: str) -> Automation:
    return lookup.item(ctx.view().sensors, "sensor", id)


def _sensor(sensor: Automation) -> Sensor:
    return Sensor.model_validate(
        {
            **shared(sensor),
            "kind": sensor.kind or "STANDARD",
            "min_interval_seconds": sensor.min_interval_seconds or 0,
        }
    )
