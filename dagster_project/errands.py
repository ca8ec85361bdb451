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
        answer = _ask_zygote(errand, request) or perform(errand, request)
    json.dump(answer, sys.stdout)


def perform(errand: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """Answers a request in this process."""
    answer: dict[str, Any] = getattr(importlib.import_module(ERRANDS[errand]), errand)(request)
    return answer


def _ask_zygote(errand: str, request: Mapping[str, Any]) -> dict[str, Any] | None:
    with contextlib.suppress(wire.ZygoteAway):
        for _ in range(_ATTEMPTS):
            with wire.connect(load_settings().run_dir, _SECONDS) as connection:
                wire.send(connection, {"op": "perform", "errand": errand, "request": request})
                reply = wire.receive(connection)
            if not reply.get("retry"):
                return reply.get("answer")
    return None
