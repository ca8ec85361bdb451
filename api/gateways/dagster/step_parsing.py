"""Conversion of the steps of a run in GraphQL responses to `core.runs.StepState`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from api.gateways.dagster.parsing import instant
from core.runs import StepState, StepStatus

_STEP_STATUS = {
    "IN_PROGRESS": StepStatus.RUNNING,
    "SUCCESS": StepStatus.SUCCEEDED,
    "FAILURE": StepStatus.FAILED,
    "SKIPPED": StepStatus.SKIPPED,
}
_LAST = datetime.max.replace(tzinfo=UTC)


def steps(answer: Any, ended: bool, errors: Mapping[str, str]) -> list[StepState]:
    """Returns the steps of a run in the order in which they start.

    Args:
        answer: the steps in a response.
        ended: whether the run has ended.
        errors: the failure of each failed step.
    """
    run = answer["runOrError"]
    stats = {item["stepKey"]: item for item in run.get("stepStats", ())}
    found = [_step(key, stats.get(key), ended, errors) for key in run.get("stepKeysToExecute") or ()]
    return sorted(found, key=lambda step: step.started_at or _LAST)


def _step(key: str, raw: Any, ended: bool, errors: Mapping[str, str]) -> StepState:
    waiting = StepStatus.SKIPPED if ended else StepStatus.WAITING
    if raw is None or raw["status"] is None:
        return StepState(key, waiting)
    status = _STEP_STATUS[raw["status"]]
    if ended and status is StepStatus.RUNNING:
        status = StepStatus.FAILED  # its process ended before it could report anything
    return StepState(
        key=key,
        status=status,
        started_at=instant(raw["startTime"]),
        ended_at=instant(raw["endTime"]),
        attempts=max(len(raw["attempts"]), 1),
        error=errors.get(key) if status is StepStatus.FAILED else None,
    )
