"""Tasks of forked children: execute a run, run a subprocess job, report a dead run, and read state."""

from __future__ import annotations

import atexit
import os
import pickle
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import dagster as dg

from dagster_project.internals import (
    EngineEventData,
    InstanceRef,
    capture_interrupts,
    core_execute_run,
    recon_job_from_origin,
)
from dagster_project.subprocess_jobs import perform
from dagster_project.workers import Worker
from dagster_project.zygote import wire
from dagster_project.zygote.locations import Location, State

DONE = 0
DIED = 70
"""The task is not done, and the failure is not reported yet."""
DONE_WITH_OTHER_STATE = 75
"""The run is done, but with definitions of another state version than the one that the zygote has loaded."""

_START_TIMEOUT_SECONDS = 30.0
_HANDLED = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT)


def fork(body: Callable[[], int]) -> int:
    """Runs `body` in a child, and returns its process id. The exit code of the child is the result of `body`."""
    sys.stdout.flush()
    sys.stderr.flush()
    # A signal for the parent must not run the handlers of the parent in the child.
    signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED)
    pid = os.fork()
    if not pid:
        _run_child(body)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _HANDLED)
    return pid


def _run_child(body: Callable[[], int]) -> NoReturn:
    code = DIED
    try:
        _detach()
        code = body()
    except BaseException:  # noqa: BLE001 - no exception may reach the loop of the zygote
        traceback.print_exc()
    _exit(code)


def _detach() -> None:
    """Resets what the child inherited from the zygote: session, signal handlers, exit handlers, and random state."""
    os.setsid()
    signal.set_wakeup_fd(-1)
    for number in _HANDLED:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _HANDLED)
    atexit._clear()
    # Python reseeds its random numbers in each child; NumPy does not.
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()


def _exit(code: int) -> NoReturn:
    """Exits like a program, but without freeing the inherited heap, which would copy all of it."""
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def run_worker(connection: socket.socket, ref: InstanceRef, run_id: str, location: Location) -> int:
    """Sends its identity to the launcher, waits for the start, and executes the run."""
    worker = Worker.current()
    connection.settimeout(_START_TIMEOUT_SECONDS)
    try:
        wire.send(connection, {"pid": worker.pid, "started": worker.started})
        wire.receive(connection)
    except wire.ZygoteUnavailable:
        return DONE  # the launcher timed out and starts the run with the default launcher
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
    same_state = _has_state_of(instance, run, location)
    if not same_state:
        location.unload()
    try:
        for _ in core_execute_run(recon_job_from_origin(run.job_code_origin), run, instance, inject_env_vars=False):
            pass
    except BaseException:  # noqa: BLE001, S110 - core_execute_run has written every failure to the log of the run
        pass
    instance.report_engine_event(f"Process for run exited (pid: {os.getpid()}).", run)
    ended = instance.get_run_by_id(run_id)
    if ended is not None and not ended.is_finished:
        return DIED
    return DONE if same_state else DONE_WITH_OTHER_STATE


def _has_state_of(instance: dg.DagsterInstance, run: dg.DagsterRun, location: Location) -> bool:
    """Returns whether the run was planned with the definitions in memory."""
    if not run.has_repository_load_data or run.execution_plan_snapshot_id is None:
        return not location.versions
    loaded = instance.get_execution_plan_snapshot(run.execution_plan_snapshot_id).repository_load_data
    pinned = loaded.defs_state_info.info_mapping if loaded and loaded.defs_state_info else {}
    return all(entry is None or location.versions.get(key) == entry.version for key, entry in pinned.items())


def perform_job(connection: socket.socket, job: str, request: Mapping[str, Any]) -> int:
    """Runs a subprocess job, and sends its answer to the client."""
    wire.send(connection, {"answer": perform(job, request)})
    return DONE


def report_death(ref: InstanceRef, run_id: str, cause: str) -> int:
    """Reports that the process of a run has ended: the run is canceled if that was requested, otherwise failed."""
    with dg.DagsterInstance.from_ref(ref) as instance:
        run = instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return DONE
        if run.status == dg.DagsterRunStatus.CANCELING:
            instance.report_run_canceled(run, message=f"{cause} Its cancellation was requested.")
            return DONE
        instance.report_engine_event(cause, run)
        instance.report_run_failed(run, message=f"{cause} Uncommitted results are lost; run it again.")
    return DONE


def read_state(ref: InstanceRef, descriptor: int) -> int:
    """Writes the latest state of the instance to a pipe for the zygote, which must not open a connection."""
    with os.fdopen(descriptor, "wb") as pipe, dg.DagsterInstance.from_ref(ref) as instance:
        pickle.dump(State.read(instance), pipe)
    return DONE
