"""Sensors: what is made when something happens."""

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
    description="Looks around at intervals and makes assets when something happened.",
    example="landing",
    locate=AutomationLocator("ai_catalog.sensor", "sensor", lambda view: view.sensors),
    filter_by=tuple(_LISTING.fields),
)


class Sensor(AutomationResource):
    """A sensor and how often it looks."""

    kind: str
    """What it watches, such as STANDARD, ASSET or AUTOMATION."""

    min_interval_seconds: int
    """Least time between two looks."""


@SENSOR.list(query=ListQuery, item=Sensor)
async def list_sensors(ctx: Context, query: ListQuery) -> Page[Sensor]:
    """Lists sensors by name."""
    found, token = _LISTING.page(list(ctx.view().sensors.values()), query)
    return Page[Sensor](items=[_sensor(item) for item in found], next_page_token=token)


@SENSOR.get(result=Sensor)
async def get_sensor(ctx: Context, sensor: str) -> Sensor:
    """Returns a sensor with its state and last evaluation."""
    return _sensor(_find(ctx, sensor))


@SENSOR.action("start", request=Request, result=Sensor)
async def start_sensor(ctx: Context, sensor: str, request: Request) -> Sensor:
    """Lets a sensor fire. Starting one that runs changes nothing."""
    found = _find(ctx, sensor)
    if not found.running:
        await ctx.orchestrator.start_sensor(found)
    return _sensor(_find(ctx, sensor))


@SENSOR.action("stop", request=Request, result=Sensor, past="stopped")
async def stop_sensor(ctx: Context, sensor: str, request: Request) -> Sensor:
    """Keeps a sensor from firing; what it launched goes on. Stopping one that is stopped changes nothing."""
    found = _find(ctx, sensor)
    if found.running:
        await ctx.orchestrator.stop_sensor(found)
    return _sensor(_find(ctx, sensor))


def _find(ctx: Context, id: str) -> Automation:
    return lookup.one(ctx.view().sensors, "sensor", id)


def _sensor(sensor: Automation) -> Sensor:
    return Sensor.model_validate(
        {
            **shared(sensor),
            "kind": sensor.kind or "STANDARD",
            "min_interval_seconds": sensor.min_interval_seconds or 0,
        }
    )
