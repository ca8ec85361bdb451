"""Starts the platform's processes, restarts processes that exit, and stops them all.

Each child leads its own process group. On Linux, the kernel ends the children if the supervisor is killed, so no
process is left behind. `headwater status` shows the state file that the supervisor writes.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO, Any

from core.errors import Conflict

_BACKOFF_SECONDS = (0.2, 1.0, 2.0, 5.0, 10.0, 30.0)
_STABLE_SECONDS = 60.0
_GRACE_SECONDS = 10.0
_TICK_SECONDS = 0.2
_LOG_BYTES = 20_000_000
_LIBC = ctypes.CDLL(None)  # loaded before any fork: a forked child of a threaded process must not load libraries


@dataclass(frozen=True, kw_only=True)
class Program:
    """A process to keep running."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    ready: Callable[[], bool]
    """Returns whether the process answers. Called repeatedly, so it must be fast and must not raise."""
    after: Sequence[str] = ()
    """Names of the programs that must be ready before this one starts."""


@dataclass
class _Child:
    program: Program
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    ready: bool = False
    restarts: int = 0
    failures: int = 0
    next_start: float = 0.0
    exit_code: int | None = None

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def state(self) -> str:
        if self.running:
            return "READY" if self.ready else "STARTING"
        return "RESTARTING" if self.restarts or self.exit_code is not None else "WAITING"


@dataclass
class Supervisor:
    """Runs programs until it's stopped. `state` contains additional entries for the state file."""

    run_dir: Path
    logs_dir: Path
    programs: Sequence[Program]
    state: dict[str, Any] = field(default_factory=dict)
    serves: Callable[[], bool] = lambda: True
    """Returns whether the programs work together. Called after every program is ready, until it returns `True`."""
    on_tick: Callable[[Supervisor], None] = lambda _: None
    """Called several times per second, in the supervising thread."""

    _children: dict[str, _Child] = field(default_factory=dict)
    _serving: bool = False
    _stopping: bool = False
    _lock: IO[str] | None = None
    _written: str = ""

    def run(self) -> None:
        """Supervises the programs until SIGINT, SIGTERM or `stop()`, then stops every child.

        Raises:
            Conflict: another supervisor already runs on this home folder.
        """
        self._acquire()
        previous = {number: signal.signal(number, self._on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
        self._children = {program.name: _Child(program) for program in self.programs}
        try:
            while not self._stopping:
                self._tick()
                self.on_tick(self)
                time.sleep(_TICK_SECONDS)
        finally:
            self._terminate()
            for number, handler in previous.items():
                signal.signal(number, handler)
            self._release()

    def stop(self) -> None:
        """Requests that `run` ends. Safe to call from any thread and from a signal handler."""
        self._stopping = True

    @property
    def ready(self) -> bool:
        """Whether every program is running and ready, and the programs work together."""
        return self._serving and self._all_ready()

    def describe(self) -> dict[str, Any]:
        """Returns the state as `headwater status --json` prints it."""
        return {
            "pid": os.getpid(),
            "state": "STOPPING" if self._stopping else "READY" if self.ready else "STARTING",
            "processes": [
                {
                    "name": name,
                    "state": child.state,
                    "pid": child.process.pid if child.running and child.process else None,
                    "restarts": child.restarts,
                    "exit_code": child.exit_code,
                    "log": str(self.logs_dir / f"{name}.log"),
                }
                for name, child in self._children.items()
            ],
            **self.state,
        }

    def _tick(self) -> None:
        for child in self._children.values():
            self._observe(child)
            if child.process is None and time.monotonic() >= child.next_start and self._may_start(child):
                self._start(child)
        self._serving = self._all_ready() and (self._serving or self.serves())
        text = json.dumps(self.describe(), indent=1)
        if text != self._written:
            _write_atomically(self.run_dir / "supervisor.json", text)
            self._written = text

    def _all_ready(self) -> bool:
        return bool(self._children) and all(child.running and child.ready for child in self._children.values())

    def _may_start(self, child: _Child) -> bool:
        return all(self._children[name].ready for name in child.program.after)

    def _observe(self, child: _Child) -> None:
        if child.process is None:
            return
        code = child.process.poll()
        if code is None:
            child.ready = child.program.ready() if not child.ready else True
            if child.failures and time.monotonic() - child.started_at > _STABLE_SECONDS:
                child.failures = 0
            return
        # Processes that remain in the group could hold the port that the next process needs.
        _signal_group(child.process.pid, signal.SIGKILL)
        delay = _BACKOFF_SECONDS[min(child.failures, len(_BACKOFF_SECONDS) - 1)]
        child.process, child.ready, child.exit_code = None, False, code
        child.failures += 1
        child.restarts += 1
        child.next_start = time.monotonic() + delay
        self._log(child, f"exited with {code}; starting again in {delay:g} s")

    def _start(self, child: _Child) -> None:
        with self._open_log(child) as log:
            child.process = subprocess.Popen(
                list(child.program.command),
                env=dict(child.program.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=die_with_parent if sys.platform == "linux" else None,
            )
        child.started_at = time.monotonic()

    def _terminate(self) -> None:
        """Stops the children in reverse start order, so that the public interface closes before its backends."""
        self._tick_state("STOPPING")
        running = [child for child in reversed(list(self._children.values())) if child.running]
        for child in running:
            assert child.process is not None
            _signal_group(child.process.pid, signal.SIGTERM)
        deadline = time.monotonic() + _GRACE_SECONDS
        for child in running:
            assert child.process is not None
            try:
                child.process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                self._log(child, "did not stop in time; killed")
            _signal_group(child.process.pid, signal.SIGKILL)
            child.process.wait()

    def _tick_state(self, state: str) -> None:
        _write_atomically(self.run_dir / "supervisor.json", json.dumps(self.describe() | {"state": state}, indent=1))

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self.stop()

    def _acquire(self) -> None:
        self.run_dir.mkdir(parents=True, exist_ok=True)
        self.logs_dir.mkdir(parents=True, exist_ok=True)
        lock = (self.run_dir / "supervisor.lock").open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise Conflict(f"Headwater already runs on {self.run_dir.parent}. Stop it with `headwater down`.") from None
        self._lock = lock

    def _release(self) -> None:
        (self.run_dir / "supervisor.json").unlink(missing_ok=True)
        if self._lock is not None:
            self._lock.close()

    def _open_log(self, child: _Child) -> IO[bytes]:
        path = self.logs_dir / f"{child.program.name}.log"
        if path.exists() and path.stat().st_size > _LOG_BYTES:
            path.replace(path.with_suffix(".log.1"))
        return path.open("ab")

    def _log(self, child: _Child, text: str) -> None:
        with self._open_log(child) as log:
            log.write(f"[supervisor] {child.program.name} {text}\n".encode())


def read_state(run_dir: Path) -> dict[str, Any] | None:
    """Returns the state file of a live supervisor, or `None` if none runs."""
    try:
        state: dict[str, Any] = json.loads((run_dir / "supervisor.json").read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    # The state file can outlive its process; the lock can't.
    with (run_dir / "supervisor.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return state
    return None


def stop_running(run_dir: Path, timeout_seconds: float = 30.0) -> bool:
    """Stops the supervisor of a home folder and waits until it has exited. Returns whether one was running."""
    state = read_state(run_dir)
    if state is None:
        return False
    import psutil  # slow to import, and only needed here

    supervisor = psutil.Process(state["pid"])
    supervisor.terminate()
    try:
        supervisor.wait(timeout_seconds)
    except psutil.TimeoutExpired as error:
        raise Conflict(f"The supervisor (process {state['pid']}) did not stop in {timeout_seconds:g} s.") from error
    return True


def die_with_parent() -> None:
    """Makes the kernel end this process when its parent thread exits. For `preexec_fn`, on Linux."""
    pr_set_pdeathsig = 1
    _LIBC.prctl(pr_set_pdeathsig, signal.SIGTERM)


def _signal_group(group: int, number: signal.Signals) -> None:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return


def _write_atomically(path: Path, text: str) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_text(text)
    temporary.replace(path)
