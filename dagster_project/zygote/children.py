"""What a forked child does: execute a run, report a death, read state, judge a candidate. Each in its own process."""

from __future__ import annotations

import atexit
import os
import pickle
import random
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import dagster as dg

from dagster_project.errands import perform
from dagster_project.internals import (
    EngineEventData,
    InstanceRef,
    capture_interrupts,
    core_execute_run,
    recon_job_from_origin,
)
from dagster_project.workers import Worker
from dagster_project.zygote import wire
from dagster_project.zygote.locations import Location, State

DONE = 0
DIED = 70
"""The work is not done and nobody was told."""
DONE_WITH_OTHER_STATE = 75
"""The run is done, but its definitions came from another state version than the zygote holds."""

_GO_SECONDS = 30.0
_HANDLED = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT)


def fork(body: Callable[[], int]) -> int:
    """Runs `body` in a child and returns the child's process id. The child ends with the number `body` returns."""
    sys.stdout.flush()
    sys.stderr.flush()
    # A signal for the parent must not meet the parent's handlers in the child.
    signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED)
    pid = os.fork()
    if not pid:
        _be_child(body)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _HANDLED)
    return pid


def _be_child(body: Callable[[], int]) -> NoReturn:
    code = DIED
    try:
        _become_independent()
        code = body()
    except BaseException:  # noqa: BLE001 - nothing may unwind into the zygote's loop
        traceback.print_exc()
    _leave(code)


def _become_independent() -> None:
    """Sheds what belongs to the zygote: session, signal handlers, exit handlers, standard input, random state."""
    os.setsid()
    signal.set_wakeup_fd(-1)
    for number in _HANDLED:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _HANDLED)
    atexit._clear()
    random.seed()
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()


def _leave(code: int) -> NoReturn:
    """Ends as a program does, but without tearing down the inherited heap, which would copy all of it."""
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def run_worker(connection: socket.socket, ref: InstanceRef, run_id: str, location: Location) -> int:
    """Introduces itself to the launcher, waits for its word, and executes the run."""
    worker = Worker.current()
    connection.settimeout(_GO_SECONDS)
    try:
        wire.send(connection, {"pid": worker.pid, "started": worker.started})
        wire.receive(connection)
    except wire.ZygoteAway:
        return DONE  # the launcher gave up and starts the run another way
    connection.close()
    with capture_interrupts(), dg.DagsterInstance.from_ref(ref) as instance:
        return _execute(instance, run_id, location)


def _execute(instance: dg.DagsterInstance, run_id: str, location: Location) -> int:
    run = instance.get_run_by_id(run_id)
    if run is None or run.job_code_origin is None:
        print(f"Run {run_id} was deleted before it started.", file=sys.stderr)
        return DONE
    instance.report_engine_event(
        f"Started process for run (pid: {os.getpid()}).", run, EngineEventData.in_process(os.getpid())
    )
    same_state = _holds_state_of(instance, run, location)
    if not same_state:
        location.unload()
    try:
        for _ in core_execute_run(recon_job_from_origin(run.job_code_origin), run, instance, inject_env_vars=False):
            pass
    except BaseException:  # noqa: BLE001, S110 - core_execute_run has written every failure to the run's log
        pass
    instance.report_engine_event(f"Process for run exited (pid: {os.getpid()}).", run)
    ended = instance.get_run_by_id(run_id)
    if ended is not None and not ended.is_finished:
        return DIED
    return DONE if same_state else DONE_WITH_OTHER_STATE


def _holds_state_of(instance: dg.DagsterInstance, run: dg.DagsterRun, location: Location) -> bool:
    """Whether the definitions in memory are those the run was planned with."""
    if not run.has_repository_load_data or run.execution_plan_snapshot_id is None:
        return not location.versions
    loaded = instance.get_execution_plan_snapshot(run.execution_plan_snapshot_id).repository_load_data
    pinned = loaded.defs_state_info.info_mapping if loaded and loaded.defs_state_info else {}
    return all(entry is None or location.versions.get(key) == entry.version for key, entry in pinned.items())


def do_errand(connection: socket.socket, errand: str, request: Mapping[str, Any]) -> int:
    """Answers a request over the client's own connection."""
    wire.send(connection, {"answer": perform(errand, request)})
    return DONE


def report_death(ref: InstanceRef, run_id: str, how: str) -> int:
    """Ends a run whose process is gone: canceled if that was asked for, failed otherwise."""
    with dg.DagsterInstance.from_ref(ref) as instance:
        run = instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return DONE
        if run.status == dg.DagsterRunStatus.CANCELING:
            instance.report_run_canceled(run, message=f"{how} It had been asked to stop.")
            return DONE
        instance.report_engine_event(how, run)
        instance.report_run_failed(run, message=f"{how} Whatever it had not committed is lost; run it again.")
    return DONE


def read_state(ref: InstanceRef, descriptor: int) -> int:
    """Writes the latest state of the instance to a pipe, for the parent that may not open a connection."""
    with os.fdopen(descriptor, "wb") as pipe, dg.DagsterInstance.from_ref(ref) as instance:
        pickle.dump(State.read(instance), pipe)
    return DONE
