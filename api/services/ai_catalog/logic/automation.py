"""Schedules and sensors as resources: the same shape but for when they fire."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from api.kernel.filtering.filters import Field, FieldType
from api.kernel.models import Model
from core.ports import Automation


class AutomationState(StrEnum):
    """Whether it fires."""

    RUNNING = "RUNNING"
    STOPPED = "STOPPED"


class Tick(Model):
    """The last time it was evaluated."""

    at: datetime
    """When."""

    status: str
    """STARTED, SUCCESS, SKIPPED or FAILURE."""

    message: str | None
    """Why it skipped or failed."""


class AutomationResource(Model):
    """What a schedule and a sensor have in common."""

    id: str
    """Its name."""

    description: str
    """What it is for."""

    state: AutomationState
    """Whether it fires."""

    job: str | None
    """Job it launches, if it is one."""

    assets: list[str]
    """Assets it launches."""

    location: str
    """Code location that defines it."""

    last_tick: Tick | None
    """The last evaluation; null before the first."""


def shared(automation: Automation) -> dict[str, object]:
    """The fields of `AutomationResource`."""
    tick = None
    if automation.last_tick_at:
        tick = Tick(
            at=automation.last_tick_at,
            status=automation.last_tick_status or "STARTED",
            message=automation.last_tick_message,
        )
    return {
        "id": automation.id,
        "description": automation.description,
        "state": AutomationState.RUNNING if automation.running else AutomationState.STOPPED,
        "job": automation.job,
        "assets": list(automation.assets),
        "location": automation.location,
        "last_tick": tick,
    }


FIELDS = {
    "state": Field(FieldType.STRING, read=lambda automation: "RUNNING" if automation.running else "STOPPED"),
    "job": Field(FieldType.STRING, read=lambda automation: automation.job),
    "assets": Field(FieldType.STRINGS, read=lambda automation: automation.assets),
}
"""What both can be filtered by."""
