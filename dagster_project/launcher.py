"""A run launcher that forks the zygote, and that uses Dagster's default launcher if there is no zygote.

It behaves like the default launcher: each run has a process, can be terminated, and fails if its process dies. The
difference is that the process starts within milliseconds.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import dagster as dg

from dagster_project.coordinator import PromptRunCoordinator
from dagster_project.internals import (
    GRPC_INFO_TAG,
    CheckRunHealthResult,
    ConfigurableClassData,
    DagsterEventType,
    LaunchRunContext,
    UserConfigSchema,
    WorkerStatus,
)
from dagster_project.workers import WORKER_TAG, Worker
from dagster_project.zygote import wire

GRACE_SECONDS = 10.0
"""Time in which an interrupted run must end before it is killed."""

_CONNECT_SECONDS = 10.0  # includes the time of a zygote to load changed code, which is faster than a new process
_ATTEMPTS = 3
_STARTED = re.compile(r"Started process for run \(pid: (\d+)\)")
_LOG = logging.getLogger("headwater.launcher")


class WarmRunLauncher(dg.DefaultRunLauncher):
    """A launcher that forks each run from the zygote of the same run folder."""

    def __init__(self, run_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(inst_data)
        self._run_dir = Path(run_dir)

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        """Returns the configuration: the folder of the socket of the zygote."""
        return {"run_dir": dg.Field(str, description="Folder of the platform's locks and sockets.")}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]) -> Self:
        """Builds the launcher from its configuration in `dagster.yaml`."""
        return cls(inst_data=inst_data, **config_value)

    def launch_run(self, context: LaunchRunContext) -> None:
        """Starts the process of a run, or returns the run to the queue if it would exceed the limit."""
        run = context.dagster_run
        coordinator = self._instance.run_coordinator
        if isinstance(coordinator, PromptRunCoordinator) and not coordinator.readmit(run):
            return
        try:
            worker = self._fork(run)
        except wire.ZygoteUnavailable as reason:
            _LOG.warning("Run %s starts with Dagster's default launcher: %s.", run.run_id, reason)
            super().launch_run(context)
        else:
            self._instance.add_run_tags(run.run_id, {WORKER_TAG: worker.tag})

    def terminate(self, run_id: str) -> bool:
        """Interrupts the run, and kills its process group if it does not end in time."""
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        if GRPC_INFO_TAG in run.tags:
            return bool(super().terminate(run_id))  # type: ignore[no-untyped-call]
        self._instance.report_run_canceling(run)
        worker = self._worker(run)
        if self._zygote_terminates(run_id, worker):
            return True
        if worker is None or not worker.interrupt():
            self._instance.report_run_canceled(run, message="The run no longer had a process.")
            return True
        threading.Thread(target=self._kill_after_grace, args=(run, worker), name=f"kill-{run_id}", daemon=True).start()
        return True

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Whether run monitoring can check the process of a run."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Returns whether the process of a run is alive on this machine."""
        worker = self._worker(run)
        if worker is None:
            # The default launcher has just launched it, and its code server monitors it.
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        if worker.alive():
            return CheckRunHealthResult(WorkerStatus.RUNNING, run_worker_id=worker.tag)
        return CheckRunHealthResult(
            WorkerStatus.FAILED, f"The run's process {worker.pid} no longer exists.", run_worker_id=worker.tag
        )

    def get_run_worker_debug_info(self, run: dg.DagsterRun, include_container_logs: bool | None = True) -> str | None:
        """Returns the process of a run as text for the message of a failure."""
        worker = self._worker(run)
        if worker is None:
            return "No process was recorded for this run."
        state = "is running" if worker.alive() else "has ended"
        return f"Process {worker.pid}, started at {time.ctime(worker.started)}, {state}."

    def _fork(self, run: dg.DagsterRun) -> Worker:
        """Requests a process and starts it. The process waits for the start, so an error here starts nothing."""
        origin = run.remote_job_origin
        request = {"op": "launch", "run_id": run.run_id, "location": origin.location_name if origin else ""}
        for _ in range(_ATTEMPTS):
            with wire.connect(self._run_dir, _CONNECT_SECONDS) as connection:
                wire.send(connection, request)
                answer = wire.receive(connection)
                if "pid" in answer:
                    wire.send(connection, {"go": True})
                    return Worker(answer["pid"], answer["started"])
            if "error" in answer:
                raise wire.ZygoteUnavailable(str(answer["error"]))
        raise wire.ZygoteUnavailable("the code changed during every attempt")

    def _zygote_terminates(self, run_id: str, worker: Worker | None) -> bool:
        request: dict[str, Any] = {"op": "terminate", "run_id": run_id, "worker": worker.tag if worker else ""}
        try:
            with wire.connect(self._run_dir, 2.0) as connection:
                wire.send(connection, request)
                return bool(wire.receive(connection).get("terminating"))
        except wire.ZygoteUnavailable:
            return False

    def _kill_after_grace(self, run: dg.DagsterRun, worker: Worker) -> None:
        deadline = time.monotonic() + GRACE_SECONDS
        while time.monotonic() < deadline and worker.alive():
            time.sleep(0.1)
        worker.kill()
        current = self._instance.get_run_by_id(run.run_id)
        if current is not None and not current.is_finished:
            self._instance.report_run_canceled(current)

    def _worker(self, run: dg.DagsterRun) -> Worker | None:
        """Returns the process of a run from its tag or from the event of its start."""
        current = self._instance.get_run_by_id(run.run_id) or run
        if (tag := current.tags.get(WORKER_TAG)) and (worker := Worker.from_tag(tag)):
            return worker
        for entry in self._instance.all_logs(run.run_id, of_type=DagsterEventType.ENGINE_EVENT):
            if match := _STARTED.search(entry.message):
                return Worker.started_before(int(match[1]), entry.timestamp)
        return None
