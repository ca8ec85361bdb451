"""Small programs that answer one JSON request: by the warm process in a moment, or by themselves if there is none."""

from __future__ import annotations

import contextlib
import importlib
import json
import sys
from collections.abc import Mapping
from typing import Any

from core.settings import load_settings
from dagster_project.zygote import wire

ERRANDS = {"validate": "dagster_project.validate", "state": "dagster_project.state"}
"""The module of each errand; the function is named as the errand."""

_SECONDS = 30.0
_ATTEMPTS = 3


def run(errand: str) -> None:
    """The program: one request on standard input, one answer on standard output."""
    request = json.load(sys.stdin)
    with contextlib.redirect_stdout(sys.stderr):  # what definitions print must not stand before the answer
        answer = _ask_zygote(errand, request)
        if answer is None:
            answer = perform(errand, request)
    json.dump(answer, sys.stdout)


def perform(errand: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """Answers a request in this process."""
    answer: dict[str, Any] = getattr(importlib.import_module(ERRANDS[errand]), errand)(request)
    return answer


def _ask_zygote(errand: str, request: Mapping[str, Any]) -> dict[str, Any] | None:
    reason = "its code changed again and again"
    try:
        for _ in range(_ATTEMPTS):
            with wire.connect(load_settings().run_dir, _SECONDS) as connection:
                wire.send(connection, {"op": "perform", "errand": errand, "request": request})
                reply = wire.receive(connection)
            if "answer" in reply:
                answer: dict[str, Any] = reply["answer"]
                return answer
            if "error" in reply:
                reason = reply["error"]
                break
    except wire.ZygoteAway as away:
        reason = str(away)
    print(f"{errand}: the warm process cannot ({reason}), so this one does it.", file=sys.stderr)
    return None
