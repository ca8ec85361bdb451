"""Programs that answer one JSON request. The zygote runs them in milliseconds; without it they run in their process."""

from __future__ import annotations

import contextlib
import importlib
import json
import sys
from collections.abc import Mapping
from typing import Any

from core.settings import load_settings
from dagster_project.zygote import wire

JOBS = {
    "asset_selection": "dagster_project.asset_selection",
    "components": "dagster_project.components",
    "state": "dagster_project.state",
    "validate": "dagster_project.validate",
}
"""Module of each subprocess job. Its function has the name of the job."""

_TIMEOUT_SECONDS = 30.0
_ATTEMPTS = 3


def main(job: str) -> None:
    """Runs a job as a program, with the request on standard input and the answer on standard output."""
    request = json.load(sys.stdin)
    with contextlib.redirect_stdout(sys.stderr):  # definitions can print, which would precede the answer
        answer = _ask_zygote(job, request)
        if answer is None:
            answer = perform(job, request)
    json.dump(answer, sys.stdout)


def perform(job: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """Runs a job in this process and returns its answer."""
    answer: dict[str, Any] = getattr(importlib.import_module(JOBS[job]), job)(request)
    return answer


def _ask_zygote(job: str, request: Mapping[str, Any]) -> dict[str, Any] | None:
    reason = "its code changed during every attempt"
    try:
        for _ in range(_ATTEMPTS):
            with wire.connect(load_settings().run_dir, _TIMEOUT_SECONDS) as connection:
                wire.send(connection, {"op": "perform", "job": job, "request": request})
                reply = wire.receive(connection)
            if "answer" in reply:
                answer: dict[str, Any] = reply["answer"]
                return answer
            if "error" in reply:
                reason = reply["error"]
                break
    except wire.ZygoteUnavailable as error:
        reason = str(error)
    print(f"{job} runs in this process, because the zygote cannot run it: {reason}", file=sys.stderr)
    return None
