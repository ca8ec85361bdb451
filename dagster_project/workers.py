"""The identity of the process of a run. The process id is not sufficient, because the system reuses ids."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from typing import Self

import psutil

WORKER_TAG = "headwater/worker"
_CLOCK_TOLERANCE_SECONDS = 1.5  # the system computes start times from a rounded boot time


@dataclass(frozen=True, slots=True)
class Worker:
    """A process and its start time in seconds since the epoch. It is the leader of a process group."""

    pid: int
    started: float

    @classmethod
    def current(cls) -> Self:
        """Returns the current process."""
        return cls(os.getpid(), psutil.Process().create_time())

    @classmethod
    def from_tag(cls, tag: str) -> Self | None:
        """Parses a value of the run tag `WORKER_TAG`. Returns `None` if it is not valid."""
        pid, _, started = tag.partition("@")
        try:
            return cls(int(pid), float(started))
        except ValueError:
            return None

    @classmethod
    def started_before(cls, pid: int, instant: float) -> Self:
        """Returns the process that had an id at an instant, in seconds since the epoch. It may have ended since."""
        try:
            started = psutil.Process(pid).create_time()
        except psutil.NoSuchProcess:
            return cls(pid, instant)
        return cls(pid, started if started < instant + _CLOCK_TOLERANCE_SECONDS else instant)

    @property
    def tag(self) -> str:
        """Value of the run tag `WORKER_TAG`."""
        return f"{self.pid}@{self.started:.2f}"

    def alive(self) -> bool:
        """Returns whether the process still runs. A zombie process does not."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) < _CLOCK_TOLERANCE_SECONDS
            return same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def interrupt(self) -> bool:
        """Sends SIGTERM to the process, which ends its own children. Returns false if it has ended."""
        return self.alive() and _delivered(os.kill, self.pid, signal.SIGTERM)

    def kill(self) -> bool:
        """Sends SIGKILL to the process group. Returns false if the process has ended."""
        return self.alive() and _delivered(os.killpg, self.pid, signal.SIGKILL)


def end_group(leader: int) -> None:
    """Kills the processes that a dead worker left in its process group."""
    _delivered(os.killpg, leader, signal.SIGKILL)


def _delivered(send: object, target: int, number: signal.Signals) -> bool:
    assert callable(send)
    try:
        send(target, number)
    except ProcessLookupError:
        return False
    return True
