"""Starts a run at once when a slot is free, and queues it otherwise.

Dagster's queue lets every run wait for the daemon's next look at it. Here the process that submits a run launches it
itself if nothing waits and the limit is not reached; the daemon works off the queue as ever, and being an ordinary
`QueuedRunCoordinator` this one is recognised by it. A lock on the run folder makes "count, then start" one step.
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
    """A `QueuedRunCoordinator` that does not make a run wait when it need not."""

    def __init__(self, run_dir: str, inst_data: ConfigurableClassData | None = None, **queue: Any) -> None:
        super().__init__(inst_data=inst_data, **queue)
        self._run_dir = Path(run_dir)
        self._admitted: set[str] = set()

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        """The queue's own configuration and the folder of the lock."""
        inherited: Any = super().config_type()
        return {**inherited, "run_dir": dg.Field(str, description="Folder of the platform's locks and sockets.")}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]) -> Self:
        """Builds the coordinator `dagster.yaml` asks for."""
        return cls(inst_data=inst_data, **config_value)

    def submit_run(self, context: SubmitRunContext) -> dg.DagsterRun:
        """Launches the run now, or leaves it to the queue."""
        run = context.dagster_run
        if run.status != dg.DagsterRunStatus.NOT_STARTED or not self._may_skip_queue(run):
            return super().submit_run(context)
        with self._admission():
            if not self._slot_free():
                return super().submit_run(context)
            self._launch(run.run_id, context)
        launched = self._instance.get_run_by_id(run.run_id)
        assert launched is not None
        return launched

    def readmit(self, run: dg.DagsterRun) -> bool:
        """Whether a run that is being launched may go on; if not, it is back in the queue.

        The daemon counts the active runs before it reads the queue, so a run started here in between is one it did
        not see, and it would launch one too many.
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
        except Exception:  # noqa: BLE001 - whatever the launcher raised
            # The run has failed and its log says why: what the submitter would find had the daemon launched it.
            _LOG.exception("Run %s could not be launched.", run_id)
        finally:
            self._admitted.discard(run_id)

    def _may_skip_queue(self, run: dg.DagsterRun) -> bool:
        """Limits per tag and per pool are the daemon's to weigh."""
        limited = {str(limit["key"]) for limit in self._queue_config().tag_concurrency_limits}
        return run.run_op_concurrency is None and limited.isdisjoint(run.tags)

    def _slot_free(self) -> bool:
        # One query for both: a run moves from queued to active in one step, so it cannot be missed in between.
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
