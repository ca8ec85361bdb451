"""The CPU time of this process, of its subprocesses that ended, and of its servers that still run."""

from __future__ import annotations

import os
import resource
import time
from collections import defaultdict
from pathlib import Path

PROC = Path("/proc")
TICKS = os.sysconf("SC_CLK_TCK")


def of_this_process() -> float:
    """The seconds so far of this process and of its subprocesses that ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime


class Servers:
    """Processes that run: the descendants of this process, and servers that detached themselves, such as PostgreSQL."""

    def __init__(self) -> None:
        self._detached: dict[int, float] = {}

    def add(self, pid: int) -> None:
        """Counts a process that is no descendant of this one, and its descendants."""
        self._detached.setdefault(pid, 0.0)

    def seconds(self) -> float:
        """Their seconds so far. Those of a descendant pass to `of_this_process` when it ends; a detached server keeps
        the last known figure. A system without `/proc` has none."""
        seconds: dict[int, float] = {}
        children: dict[int, list[int]] = defaultdict(list)
        for folder in PROC.glob("[0-9]*"):
            try:
                fields = (folder / "stat").read_bytes().rpartition(b")")[2].split()
            except OSError:  # the process ended meanwhile
                continue
            children[int(fields[1])].append(int(folder.name))
            seconds[int(folder.name)] = sum(int(ticks) for ticks in fields[11:15]) / TICKS

        def below(pid: int) -> float:
            return sum(seconds[child] + below(child) for child in children[pid])

        for pid, known in self._detached.items():
            self._detached[pid] = max(known, seconds.get(pid, 0.0) + below(pid))
        return below(os.getpid()) + sum(self._detached.values())


SERVERS = Servers()
