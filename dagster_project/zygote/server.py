"""The loop of the zygote, which handles requests, ended children, and changed code."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import pickle
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dagster_project.internals import InstanceRef
from dagster_project.launcher import GRACE_SECONDS
from dagster_project.workers import Worker, end_group
from dagster_project.zygote import children, wire
from dagster_project.zygote.locations import Location, Sources, State, unsafe_to_fork

_POLL_SECONDS = 1.0
_STOP_SECONDS = 7.0  # the supervisor waits for ten seconds


@dataclass
class Zygote:
    """Loaded locations, and the children that were forked from them. `workers` maps process ids to run ids."""

    run_dir: Path
    ref: InstanceRef
    locations: Mapping[str, Location]
    listener: socket.socket | None = None
    """The socket for requests, which is opened when all locations are loaded."""
    workers: dict[int, str] = field(default_factory=dict)

    _task_children: set[int] = field(default_factory=set)
    _state_writers: set[int] = field(default_factory=set)
    _terminating: dict[Worker, tuple[float, str]] = field(default_factory=dict)
    _sources: Sources | None = None
    _edited_while_loading: bool = False
    _stopping: bool = False

    def load(self) -> None:
        """Loads all locations with the latest state, and records their source files."""
        started = time.time_ns()
        state = self._read_state()
        for location in self.locations.values():
            location.load(state)
        self._record_sources()
        self._edited_while_loading = self._sources is not None and self._sources.changed_since(started)
        _compact_heap()
        for location in self.locations.values():
            print(f"location {location.name}: {location.error or 'ready'}", flush=True)

    def serve(self) -> None:
        """Serves requests until SIGTERM, then ends all runs and returns."""
        assert self.listener is not None
        wake, waker = socket.socketpair()
        for end in (wake, waker):
            end.setblocking(False)
        signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        with selectors.DefaultSelector() as selector:
            selector.register(self.listener, selectors.EVENT_READ)
            selector.register(wake, selectors.EVENT_READ)
            self._reap()
            polled = time.monotonic()
            while not self._stopping:
                ready = selector.select(self._pause())
                with contextlib.suppress(BlockingIOError):
                    while wake.recv(64):
                        pass
                if any(key.fileobj is self.listener for key, _ in ready):
                    self._accept()
                self._reap()
                self._kill_overdue()
                if time.monotonic() - polled > _POLL_SECONDS:
                    polled = time.monotonic()
                    if self._code_changed():
                        self._replace()
        self._stop_runs()

    def _on_signal(self, number: int, _frame: object) -> None:
        if number != signal.SIGCHLD:
            self._stopping = True

    def _accept(self) -> None:
        assert self.listener is not None
        connection, _ = self.listener.accept()
        connection.settimeout(1.0)
        with connection, contextlib.suppress(wire.ZygoteUnavailable, ValueError):
            request = wire.receive(connection)
            handler = getattr(self, f"_op_{request.get('op')}", None)
            if handler is None:
                wire.send(connection, {"error": f"unknown request {request.get('op')!r}"})
            else:
                handler(connection, request)

    def _op_status(self, connection: socket.socket, _request: Mapping[str, Any]) -> None:
        locations = {name: location.error for name, location in self.locations.items()}
        state = {key: version for location in self.locations.values() for key, version in location.versions.items()}
        runs = list(self.workers.values())
        wire.send(connection, {"pid": os.getpid(), "locations": locations, "state": state, "runs": runs})

    def _op_launch(self, connection: socket.socket, request: Mapping[str, Any]) -> None:
        location = self.locations.get(request["location"])
        if location is None:
            wire.send(connection, {"error": f"location {request['location']!r} is not loaded"})
            return
        if not self._may_fork(connection, location.error):
            return
        run_id = str(request["run_id"])
        pid = self._fork(lambda: children.run_worker(connection, self.ref, run_id, location))
        self.workers[pid] = run_id

    def _op_perform(self, connection: socket.socket, request: Mapping[str, Any]) -> None:
        """Runs a subprocess job in a child."""
        if self._may_fork(connection, ""):
            job, body = str(request["job"]), request["request"]
            pid = self._fork(lambda: children.perform_job(connection, job, body))
            self._task_children.add(pid)
            if job == "state":
                self._state_writers.add(pid)

    def _may_fork(self, connection: socket.socket, error: str) -> bool:
        """Returns whether a child would have the code on disk. If not, sends the client an error or a retry."""
        if self._code_changed():
            wire.send(connection, {"retry": True})
            connection.close()
            self._replace()
        error = error or unsafe_to_fork("a request")
        if error:
            wire.send(connection, {"error": error})
        return not error

    def _op_terminate(self, connection: socket.socket, request: Mapping[str, Any]) -> None:
        """Interrupts the process of a run, which can be a child of this zygote or of a former one."""
        run_id = str(request["run_id"])
        pids = [pid for pid, run in self.workers.items() if run == run_id]
        worker = Worker.started_before(pids[0], time.time()) if pids else Worker.from_tag(request["worker"])
        terminating = worker is not None and worker.interrupt()
        if worker is not None and terminating:
            self._terminating[worker] = (time.monotonic() + GRACE_SECONDS, run_id)
        wire.send(connection, {"terminating": terminating})

    def _fork(self, body: Callable[[], int]) -> int:
        def without_listener() -> int:
            if self.listener is not None:
                self.listener.close()
            return body()

        return children.fork(without_listener)

    def _fork_task(self, body: Callable[[], int]) -> None:
        self._task_children.add(self._fork(body))

    def _reap(self) -> None:
        for pid in [*self.workers, *self._task_children]:
            with contextlib.suppress(ChildProcessError):
                ended, status = os.waitpid(pid, os.WNOHANG)
                if ended:
                    self._on_exit(pid, os.waitstatus_to_exitcode(status))

    def _on_exit(self, pid: int, code: int) -> None:
        self._task_children.discard(pid)
        if pid in self._state_writers:
            self._state_writers.discard(pid)
            self._reload_state()
        run_id = self.workers.pop(pid, None)
        self._terminating = {worker: entry for worker, entry in self._terminating.items() if worker.pid != pid}
        if run_id is None:
            return
        if code == children.DONE_WITH_OTHER_STATE:
            self._reload_state()
        elif code != children.DONE:
            end_group(pid)
            cause = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
            self._report(run_id, f"The run's process {pid} {cause}.")

    def _report(self, run_id: str, cause: str) -> None:
        self._fork_task(lambda: children.report_death(self.ref, run_id, cause))

    def _kill_overdue(self) -> None:
        for worker, (deadline, run_id) in list(self._terminating.items()):
            if time.monotonic() < deadline and worker.alive():
                continue
            del self._terminating[worker]
            cause = f"The run's process {worker.pid} was killed because it did not stop within {GRACE_SECONDS:g} s."
            killed = worker.kill()
            if worker.pid not in self.workers:  # not a child, so `_on_exit` does not report it
                self._report(run_id, cause if killed else f"The run's process {worker.pid} has stopped.")

    def _pause(self) -> float:
        return 0.1 if self._terminating else _POLL_SECONDS

    def _read_state(self) -> State:
        reading, writing = os.pipe()
        self._fork_task(lambda: children.read_state(self.ref, writing))
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            return pickle.loads(content) if (content := pipe.read()) else State()  # noqa: S301 - from a child of this process

    def _reload_state(self) -> None:
        state = self._read_state()
        for location in self.locations.values():
            if location.outdated(state):
                location.load(state)
        self._record_sources()
        _compact_heap()

    def _record_sources(self) -> None:
        modules = [__name__, *(location.module for location in self.locations.values())]
        self._sources = Sources.of(modules, broken=any(location.error for location in self.locations.values()))

    def _code_changed(self) -> bool:
        assert self._sources is not None
        return self._edited_while_loading or self._sources.refreshed() != self._sources

    def _replace(self) -> None:
        """Replaces the program of this process, and keeps its process id, socket, and children."""
        print("code changed: reloading it", flush=True)
        assert self.listener is not None
        os.set_inheritable(self.listener.fileno(), True)
        inherited = json.dumps({"listener": self.listener.fileno(), "workers": self.workers})
        modules = [f"{location.name}={location.module}" for location in self.locations.values()]
        program = [sys.executable, "-m", "dagster_project.zygote", *modules, "--inherit", inherited]
        os.execv(sys.executable, program)  # noqa: S606 - no shell is needed

    def _stop_runs(self) -> None:
        """Interrupts all runs, kills those that do not stop, and reports it in their logs."""
        deadline = time.monotonic() + _STOP_SECONDS
        for pid in list(self.workers):
            Worker.started_before(pid, time.time()).interrupt()
        while self.workers and time.monotonic() < deadline:
            time.sleep(0.05)
            self._reap()
        for pid in list(self.workers):
            end_group(pid)
        while self.workers or self._task_children:
            time.sleep(0.02)
            self._reap()


def _compact_heap() -> None:
    """Collects garbage, and excludes the heap from later collections, so that children share its pages."""
    gc.collect()
    gc.freeze()
