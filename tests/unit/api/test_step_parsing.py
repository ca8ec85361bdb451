"""Steps of a run as GraphQL returns them, in their order, also of a run whose process was killed."""

from __future__ import annotations

from typing import Any

from api.gateways.dagster.step_parsing import steps
from core.runs import StepStatus


def answer(*stats: dict[str, Any]) -> dict[str, Any]:
    keys = ["c", "b", "a"]
    return {"runOrError": {"__typename": "Run", "stepKeysToExecute": keys, "stepStats": list(stats)}}


def stat(key: str, status: str, start: float, attempts: int = 1) -> dict[str, Any]:
    times = {"startTime": start, "endTime": start + 1}
    return {"stepKey": key, "status": status, **times, "attempts": [{"startTime": start}] * attempts}


A = stat("a", "SUCCESS", 10.0)


def test_steps_are_in_the_order_of_their_start() -> None:
    found = steps(answer(stat("b", "IN_PROGRESS", 20.0), A), ended=False, errors={})
    assert [(step.key, step.status) for step in found] == [
        ("a", StepStatus.SUCCEEDED),
        ("b", StepStatus.RUNNING),
        ("c", StepStatus.WAITING),
    ]


def test_what_a_killed_run_left_open_has_failed_or_was_skipped() -> None:
    found = steps(answer(stat("b", "IN_PROGRESS", 20.0), A), ended=True, errors={})
    assert [step.status for step in found] == [StepStatus.SUCCEEDED, StepStatus.FAILED, StepStatus.SKIPPED]


def test_a_failed_step_has_its_attempts_and_error() -> None:
    found = steps(answer(A, stat("b", "FAILURE", 20.0, attempts=3)), ended=True, errors={"b": "no", "a": "repeated"})
    assert [(step.attempts, step.error) for step in found] == [(1, None), (3, "no"), (0, None)]
