"""Runs a command in a process group of its own and leaves nothing of it behind.

    python -m resources.process_group COMMAND [ARGUMENT ...]

A trainer starts processes of its own (data loaders, one per device). Cancelling a run must end them all, and so must
the sudden death of the run's process; a signal to the trainer alone would do neither.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress

from core.supervisor import die_with_parent

GRACE_SECONDS = 10.0
"""How long the group may take to end by itself."""

_POLL_SECONDS = 0.05


def run(command: Sequence[str]) -> int:
    """Runs a command to its end, or until this process is told to stop. Returns its exit code."""
    stopping: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: stopping.append(number))
    if sys.platform == "linux":
        parent = os.getppid()
        die_with_parent()
        if os.getppid() != parent:  # it died before we had asked to be told
            return 1
    process = subprocess.Popen(list(command), start_new_session=True)
    try:
        while process.poll() is None and not stopping:
            time.sleep(_POLL_SECONDS)
        if stopping:
            _end(process)
    finally:
        _signal(process.pid, signal.SIGKILL)  # what the command itself left running
    return process.wait()


def _end(process: subprocess.Popen[bytes]) -> None:
    _signal(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(GRACE_SECONDS)


def _signal(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


if __name__ == "__main__":
    code = run(sys.argv[1:])
    sys.exit(code if code >= 0 else 128 - code)
