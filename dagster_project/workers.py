"""The identity of a run's process: its id alone is not enough, because the system uses ids again."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from typing import Self

import psutil

WORKER_TAG = "headwater/worker"
_CLOCK_SLACK_SECONDS = 1.5  # the system derives start times from a boot time that it rounds


@dataclass(frozen=True, slots=True)
class Worker:
    """A process and the instant it started, in seconds since the epoch. It leads a process group of its own."""

    pid: int
    started: float

    @classmethod
    def current(cls) -> Self:
        """This process."""
        return cls(os.getpid(), psutil.Process().create_time())

    @classmethod
    def from_tag(cls, tag: str) -> Self | None:
        """Reads the run tag `WORKER_TAG`; None if it is not one."""
        pid, _, started = tag.partition("@")
        try:
            return cls(int(pid), float(started))
        except ValueError:
            return None

    @classmethod
    def started_before(cls, pid: int, instant: float) -> Self:
        """The process that had this id at an instant, in seconds since the epoch: it started before and may be gone."""
        try:
            started = psutil.Process(pid).create_time()
        except psutil.NoSuchProcess:
            return cls(pid, instant)
        return cls(pid, started if started < instant + _CLOCK_SLACK_SECONDS else instant)

    @property
    def tag(self) -> str:
        """The value of the run tag `WORKER_TAG`."""
        return f"{self.pid}@{self.started:.2f}"

    def alive(self) -> bool:
        """Whether this very process still runs. One that ended and waits to be collected does not."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) < _CLOCK_SLACK_SECONDS
            return same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def interrupt(self) -> bool:
        """Asks the process to end; what it started is its own to end. False if it is gone."""
        return self.alive() and _delivered(os.kill, self.pid, signal.SIGTERM)

    def kill(self) -> bool:
        """Ends the process and everything it started in its group, at once."""
        return self.alive() and _delivered(os.killpg, self.pid, signal.SIGKILL)


def end_group(leader: int) -> None:
    """Ends what a dead worker left running in its process group."""
    _delivered(os.killpg, leader, signal.SIGKILL)


def _delivered(send: object, target: int, number: signal.Signals) -> bool:
    assert callable(send)
    try:
        send(target, number)
    except ProcessLookupError:
        return False
    return True
