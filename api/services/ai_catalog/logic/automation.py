"""The common response form of schedules and sensors."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from api.kernel.filtering.filters import Field, FieldType
from api.kernel.models import Model
from core.ports import Automation


class AutomationState(StrEnum):
    """Whether an automation is active."""

    RUNNING = "RUNNING"
    STOPPED = "STOPPED"


class Tick(Model):
    """The last evaluation of an automation."""

    at: datetime
    """Time of the evaluation."""

    status: str
    """STARTED, SUCCESS, SKIPPED, or FAILURE."""

    message: str | None
    """Why it was skipped or failed."""


class AutomationResource(Model):
    """The common fields of schedules and sensors."""

    id: str
    """Name of the schedule or sensor."""

    description: str
    """Purpose of the schedule or sensor."""

    state: AutomationState
    """RUNNING if it launches runs, or STOPPED."""

    job: str | None
    """Job that it launches, or null."""

    assets: list[str]
    """Ids of assets that it launches."""

    location: str
    """Code location that defines it."""

    last_tick: Tick | None
    """The last evaluation. Null before the first one."""


def shared(automation: Automation) -> dict[str, object]:
    """Returns the fields of `AutomationResource`."""
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
"""Fields by which both can be filtered."""
