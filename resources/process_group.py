"""Runs a command in its own process group, and ends every process of the group.

    python -m resources.process_group COMMAND [ARGUMENT ...]

A trainer starts child processes (data loaders, one per device). They must all end when a run is canceled, and also when
the process of the run is killed. A signal to the trainer alone would do neither.
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
"""Seconds that the group has to end after SIGTERM."""

_POLL_SECONDS = 0.05


def run(command: Sequence[str]) -> int:
    """Runs a command until it ends or this process receives a signal to stop. Returns the exit code of the command."""
    stopping: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: stopping.append(number))
    if sys.platform == "linux":
        parent = os.getppid()
        die_with_parent()
        if os.getppid() != parent:  # the parent exited before the call
            return 1
    process = subprocess.Popen(list(command), start_new_session=True)
    try:
        while process.poll() is None and not stopping:
            time.sleep(_POLL_SECONDS)
        if stopping:
            _end(process)
    finally:
        _signal(process.pid, signal.SIGKILL)  # children that the command left running
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
