"""A run coordinator that launches a run immediately if a slot is free, and queues it otherwise.

In Dagster's queue, every run waits until the daemon reads the queue. Here the process that submits a run also launches
it if the queue is empty and the limit is not reached. The daemon launches queued runs as usual, because this
coordinator is a `QueuedRunCoordinator`. A lock in the run folder makes counting and launching one step.
"""

from __future__ import annotations

import fcntl
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import dagster as dg

from dagster_project.internals import (
    ACTIVE_RUN_STATUSES,
    ConfigurableClassData,
    DagsterEvent,
    RunQueueConfig,
    SubmitRunContext,
    UserConfigSchema,
)

_LOG = logging.getLogger("headwater.coordinator")


class PromptRunCoordinator(dg.QueuedRunCoordinator):
    """A `QueuedRunCoordinator` in which a run waits only if the queue or the limit requires it."""

    def __init__(self, run_dir: str, inst_data: ConfigurableClassData | None = None, **queue: Any) -> None:
        super().__init__(inst_data=inst_data, **queue)
        self._run_dir = Path(run_dir)
        self._admitted: set[str] = set()

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        """Returns the configuration of the queue, extended by the folder of the lock."""
        inherited: Any = super().config_type()
        return {**inherited, "run_dir": dg.Field(str, description="Folder of the platform's locks and sockets.")}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]) -> Self:
        """Builds the coordinator from its configuration in `dagster.yaml`."""
        return cls(inst_data=inst_data, **config_value)

    def submit_run(self, context: SubmitRunContext) -> dg.DagsterRun:
        """Launches the run immediately or queues it."""
        run = context.dagster_run
        if run.status != dg.DagsterRunStatus.NOT_STARTED or not self._may_skip_queue(run):
            return super().submit_run(context)
        with self._admission():
            if not self._has_free_slot():
                return super().submit_run(context)
            self._launch(run.run_id, context)
        launched = self._instance.get_run_by_id(run.run_id)
        assert launched is not None
        return launched

    def readmit(self, run: dg.DagsterRun) -> bool:
        """Returns whether the launch of a run may continue. If not, it returns the run to the queue.

        The daemon counts the active runs before it reads the queue. It does not count a run that starts here in
        between, so it could exceed the limit.
        """
        if run.run_id in self._admitted:
            return True
        limit = self._queue_config().max_concurrent_runs
        with self._admission():
            active = self._instance.get_runs_count(dg.RunsFilter(statuses=ACTIVE_RUN_STATUSES))
            if limit == -1 or active <= limit:
                return True
            self._instance.report_dagster_event(DagsterEvent.job_enqueue(run), run_id=run.run_id)
        return False

    def _launch(self, run_id: str, context: SubmitRunContext) -> None:
        self._admitted.add(run_id)
        try:
            self._instance.launch_run(run_id, context.workspace)
        except Exception:  # noqa: BLE001 - the launcher can raise anything
            # The run has failed, and its log contains the reason, as if the daemon had launched it.
            _LOG.exception("Run %s could not be launched.", run_id)
        finally:
            self._admitted.discard(run_id)

    def _may_skip_queue(self, run: dg.DagsterRun) -> bool:
        # Only the daemon evaluates limits per tag and per pool.
        limited = {str(limit["key"]) for limit in self._queue_config().tag_concurrency_limits}
        return run.run_op_concurrency is None and limited.isdisjoint(run.tags)

    def _has_free_slot(self) -> bool:
        # One query for both: a run moves from queued to active in one step, so one query cannot miss it.
        statuses = [dg.DagsterRunStatus.QUEUED, *ACTIVE_RUN_STATUSES]
        limit = self._queue_config().max_concurrent_runs
        waiting_or_active = self._instance.get_runs(
            dg.RunsFilter(statuses=statuses), limit=None if limit == -1 else max(limit, 1)
        )
        if any(run.status == dg.DagsterRunStatus.QUEUED for run in waiting_or_active):
            return False
        return limit == -1 or len(waiting_or_active) < limit

    def _queue_config(self) -> RunQueueConfig:
        config = self._instance.get_concurrency_config().run_queue_config
        assert config is not None
        return config

    @contextmanager
    def _admission(self) -> Iterator[None]:
        self._run_dir.mkdir(parents=True, exist_ok=True)
        with (self._run_dir / "admission.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
