"""Who decides when a run starts: at once below the limit, by the queue otherwise, never one too many."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin

from core.settings import load_settings
from dagster_project import storage
from dagster_project.coordinator import PromptRunCoordinator
from dagster_project.instance import write_instance
from dagster_project.internals import DagsterEvent, DagsterEventType, LaunchRunContext, SubmitRunContext
from dagster_project.launcher import WarmRunLauncher

Status = dg.DagsterRunStatus


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    settings = load_settings({"HEADWATER_HOME": str(tmp_path), "HEADWATER_MAX_CONCURRENT_RUNS": "2"})
    write_instance(settings)
    monkeypatch.setenv("DAGSTER_HOME", str(settings.dagster_home))
    with dg.DagsterInstance.get() as instance:

        def launch_run(run_id: str, _workspace: Any) -> None:
            started = DagsterEvent(event_type_value=DagsterEventType.PIPELINE_STARTING.value, job_name="j")
            instance.report_dagster_event(started, run_id=run_id)

        monkeypatch.setattr(instance, "launch_run", launch_run)
        yield instance
    storage.close()


def new_run(
    instance: dg.DagsterInstance, *, pool: str | None = None, tags: dict[str, str] | None = None
) -> dg.DagsterRun:
    @dg.asset(pool=pool)
    def a() -> None: ...

    job = dg.Definitions(assets=[a]).resolve_implicit_global_asset_job_def()
    server = GrpcServerCodeLocationOrigin(host="127.0.0.1", port=1, location_name="flights")
    origin = RemoteJobOrigin(RemoteRepositoryOrigin(server, "__repository__"), job.name)
    return instance.create_run_for_job(job, tags=tags or {}, remote_job_origin=origin)


def submit(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Status:
    coordinator = instance.run_coordinator
    assert isinstance(coordinator, PromptRunCoordinator)
    return coordinator.submit_run(SubmitRunContext(run, None)).status  # type: ignore[arg-type]


def end(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    instance.report_run_failed(run)


def test_runs_below_the_limit_start_and_the_next_one_queues(instance: dg.DagsterInstance) -> None:
    runs = [new_run(instance) for _ in range(3)]
    assert [submit(instance, run) for run in runs] == [Status.STARTING, Status.STARTING, Status.QUEUED]
    end(instance, runs[0])
    assert submit(instance, new_run(instance)) == Status.QUEUED, "it must not overtake the run that waits"


def test_a_freed_slot_is_used_when_nothing_waits(instance: dg.DagsterInstance) -> None:
    runs = [new_run(instance) for _ in range(2)]
    for run in runs:
        submit(instance, run)
    end(instance, runs[0])
    assert submit(instance, new_run(instance)) == Status.STARTING


def test_submitting_twice_changes_nothing(instance: dg.DagsterInstance) -> None:
    run = new_run(instance)
    submit(instance, run)
    again = instance.get_run_by_id(run.run_id)
    assert again is not None
    assert submit(instance, again) == Status.STARTING


def test_runs_that_need_a_pool_are_the_daemons_to_weigh(instance: dg.DagsterInstance) -> None:
    assert submit(instance, new_run(instance, pool="gpu")) == Status.QUEUED


def test_runs_under_a_limit_per_tag_are_the_daemons_to_weigh(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = instance.get_concurrency_config()
    assert config.run_queue_config is not None
    limited = config.run_queue_config._replace(tag_concurrency_limits=[{"key": "team", "limit": 1}])
    monkeypatch.setattr(PromptRunCoordinator, "_queue_config", lambda _self: limited)
    assert submit(instance, new_run(instance)) == Status.STARTING
    assert submit(instance, new_run(instance, tags={"team": "sales"})) == Status.QUEUED


def test_threads_that_submit_at_once_never_exceed_the_limit(instance: dg.DagsterInstance) -> None:
    runs = [new_run(instance) for _ in range(8)]
    threads = [threading.Thread(target=submit, args=(instance, run)) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    statuses = [run.status for run in instance.get_runs()]
    assert statuses.count(Status.STARTING) == 2
    assert statuses.count(Status.QUEUED) == 6


def test_a_launch_that_fails_is_told_by_the_run(instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    run = new_run(instance)

    def launch_run(_run_id: str, _workspace: Any) -> None:
        instance.report_run_failed(run)
        raise OSError("no process could be started")

    monkeypatch.setattr(instance, "launch_run", launch_run)
    assert submit(instance, run) == Status.FAILURE


def test_the_daemon_that_counted_before_others_started_puts_its_run_back(instance: dg.DagsterInstance) -> None:
    for _ in range(2):
        submit(instance, new_run(instance))
    late = new_run(instance)
    submit(instance, late)
    instance.launch_run(late.run_id, None)  # type: ignore[arg-type] - what the daemon does with a stale count
    dequeued = instance.get_run_by_id(late.run_id)
    assert dequeued is not None
    assert dequeued.status == Status.STARTING
    assert isinstance(instance.run_launcher, WarmRunLauncher)
    instance.run_launcher.launch_run(LaunchRunContext(dequeued, None))
    assert instance.get_run_by_id(late.run_id).status == Status.QUEUED  # type: ignore[union-attr]
