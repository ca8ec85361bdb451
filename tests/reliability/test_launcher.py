"""Real processes: runs start warm, respect the limit, can be stopped, and no death of a process leaves a lie."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from dagster_project.workers import WORKER_TAG, Worker
from dagster_project.zygote import wire
from tests.dagster_processes import DagsterProcesses, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PROJECT = """
import os, pathlib, signal, subprocess, sys, time
import dagster as dg
import answers

@dg.asset(key=["tiny", "bronze", "one"])
def one():
    print("to stdout")
    print("to stderr", file=sys.stderr)
    subprocess.run(["echo", "from a subprocess"], check=True)
    return dg.MaterializeResult(metadata={"pid": os.getpid(), "session": os.getsid(0)})

@dg.asset(key=["tiny", "bronze", "slow"])
def slow(context: dg.AssetExecutionContext):
    while not pathlib.Path(context.run.tags["ends_with"]).exists():
        time.sleep(0.02)
    import late
    return dg.MaterializeResult(metadata={"answer": answers.ANSWER})

@dg.asset(key=["tiny", "bronze", "stubborn"])
def stubborn(context: dg.AssetExecutionContext):
    child = subprocess.Popen(["sleep", "600"])
    context.log.info(f"child {child.pid}")
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        time.sleep(1)

@dg.asset(key=["tiny", "silver", "left"])
def left():
    return dg.MaterializeResult(metadata={"pid": os.getpid()})

@dg.asset(key=["tiny", "silver", "right"], deps=[left])
def right():
    return dg.MaterializeResult(metadata={"pid": os.getpid()})

parallel = dg.define_asset_job("parallel", selection=[left, right], executor_def=dg.multiprocess_executor)
defs = dg.Definitions(assets=[one, slow, stubborn, left, right], jobs=[parallel], executor=dg.in_process_executor)
"""
ONE, SLOW, STUBBORN = (["tiny", "bronze", name] for name in ("one", "slow", "stubborn"))
ACTIVE = {"STARTING", "STARTED", "CANCELING"}
NEVER = {"ends_with": "/nowhere"}
"""Tags of a slow run that ends only when it is stopped."""


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DagsterProcesses]:
    code = tmp_path_factory.mktemp("code")
    (code / "tinyproject.py").write_text(PROJECT)
    (code / "answers.py").write_text("ANSWER = 1\n")
    (code / "late.py").write_text("")
    home = tmp_path_factory.mktemp("home")
    with DagsterProcesses(home, {"flights": "tinyproject"}, code=code) as platform:
        platform.finish(platform.launch(ONE))
        yield platform


@pytest.fixture(autouse=True)
def _calm(platform: DagsterProcesses) -> Iterator[None]:
    """Each test starts with all processes up and no run in progress."""
    yield
    for name in ("zygote", "daemon"):
        if name not in platform.processes:
            platform.start(name)
    until(lambda: warm(platform), 120, "warm zygote")


def ends_with(file: Path) -> dict[str, str]:
    """Returns the tags of a slow run that ends when this file exists."""
    return {"ends_with": str(file)}


def warm(platform: DagsterProcesses) -> bool:
    try:
        with wire.connect(platform.settings.run_dir, 60) as connection:
            wire.send(connection, {"op": "status"})
            return not any(wire.receive(connection)["locations"].values())
    except wire.ZygoteUnavailable:
        return False


def worker_of(platform: DagsterProcesses, run_id: str) -> Worker:
    """The process of a run that has started its step."""
    until(lambda: platform.status(run_id) == "STARTED", 120, "start")
    until(lambda: WORKER_TAG in platform.tags(run_id), 60, "worker tag")
    worker = Worker.from_tag(platform.tags(run_id)[WORKER_TAG])
    assert worker is not None
    return worker


def metadata(platform: DagsterProcesses, run_id: str) -> dict[str, object]:
    query = """query($i:ID!){runOrError(runId:$i){... on Run{assetMaterializations{metadataEntries{label
        ... on IntMetadataEntry{intValue}}}}}}"""
    events = platform.graphql(query, i=run_id)["runOrError"]["assetMaterializations"]
    return {entry["label"]: entry.get("intValue") for event in events for entry in event["metadataEntries"]}


def messages(platform: DagsterProcesses, run_id: str) -> str:
    query = """query($i:ID!){logsForRun(runId:$i){... on EventConnection{events{... on MessageEvent{message}}}}}"""
    events = platform.graphql(query, i=run_id)["logsForRun"]["events"]
    return "\n".join(event.get("message", "") for event in events)


class TestLaunch:
    def test_the_run_has_a_process_and_a_session_of_its_own(self, platform: DagsterProcesses) -> None:
        run_id = platform.launch(ONE)
        assert platform.finish(run_id) == "SUCCESS"
        found = metadata(platform, run_id)
        worker = Worker.from_tag(platform.tags(run_id)[WORKER_TAG])
        assert worker is not None
        assert found["pid"] == found["session"] == worker.pid
        assert found["pid"] != platform.processes["zygote"].pid

    def test_output_of_python_and_of_subprocesses_is_captured(self, platform: DagsterProcesses) -> None:
        run_id = platform.launch(ONE)
        platform.finish(run_id)
        logs = platform.settings.dagster_home / "compute_logs" / run_id / "compute_logs"
        out, err = (next(logs.glob(f"*.{kind}")).read_text() for kind in ("out", "err"))
        assert "to stdout" in out
        assert "from a subprocess" in out
        assert "to stderr" in err

    def test_the_multiprocess_executor_works(self, platform: DagsterProcesses) -> None:
        selector = {
            "repositoryLocationName": "flights",
            "repositoryName": "__repository__",
            "jobName": "parallel",
        }
        query = "mutation($p:ExecutionParams!){launchRun(executionParams:$p){... on LaunchRunSuccess{run{runId}}}}"
        run_id = platform.graphql(query, p={"selector": selector})["launchRun"]["run"]["runId"]
        assert platform.finish(run_id, 120) == "SUCCESS"
        worker = Worker.from_tag(platform.tags(run_id)[WORKER_TAG])
        assert worker is not None
        assert metadata(platform, run_id)["pid"] != worker.pid


class TestLimit:
    def test_five_runs_under_a_limit_of_two(self, platform: DagsterProcesses, tmp_path: Path) -> None:
        end = tmp_path / "end"
        with ThreadPoolExecutor(5) as threads:
            ids = list(threads.map(lambda _: platform.launch(SLOW, tags=ends_with(end)), range(5)))
        counts: list[int] = []

        def statuses() -> list[str]:
            found = [run["status"] for run in platform.runs(*ids)]
            counts.append(sum(status in ACTIVE for status in found))
            return found

        until(lambda: sorted(statuses()) == [*["QUEUED"] * 3, *["STARTED"] * 2], 120, "two runs and three in the queue")
        end.touch()
        until(lambda: set(statuses()) == {"SUCCESS"}, 120, "the end of all five")
        assert max(counts) == 2

    def test_a_queued_run_can_be_cancelled(self, platform: DagsterProcesses, tmp_path: Path) -> None:
        end = tmp_path / "end"
        running = [platform.launch(SLOW, tags=ends_with(end)) for _ in range(2)]
        queued = platform.launch(ONE)
        assert platform.status(queued) == "QUEUED"
        platform.terminate(queued)
        assert platform.status(queued) == "CANCELED"
        end.touch()
        assert [platform.finish(run_id) for run_id in running] == ["SUCCESS", "SUCCESS"]


class TestTerminate:
    def test_a_running_run_stops(self, platform: DagsterProcesses) -> None:
        run_id = platform.launch(SLOW, tags=NEVER)
        worker = worker_of(platform, run_id)
        platform.terminate(run_id)
        assert platform.finish(run_id) == "CANCELED"
        until(lambda: not worker.alive(), 60, "end of the process")

    def test_a_run_that_ignores_the_request_is_killed_with_what_it_started(self, platform: DagsterProcesses) -> None:
        run_id = platform.launch(STUBBORN)
        worker = worker_of(platform, run_id)
        until(lambda: "child " in messages(platform, run_id), 60, "child of the run")
        child = int(messages(platform, run_id).split("child ")[1].split()[0])
        platform.terminate(run_id)
        assert platform.finish(run_id) == "CANCELED"
        until(lambda: not worker.alive() and not psutil.pid_exists(child), 60, "end of the run and its child")

    def test_without_a_zygote(self, platform: DagsterProcesses) -> None:
        run_id = platform.launch(STUBBORN)
        worker = worker_of(platform, run_id)
        platform.kill("zygote")
        assert worker.alive()
        platform.terminate(run_id)
        assert platform.finish(run_id) == "CANCELED"
        until(lambda: not worker.alive(), 60, "end of the process")


class TestDeath:
    def test_a_killed_worker_fails_its_run_at_once_and_frees_its_slot(self, platform: DagsterProcesses) -> None:
        run_id, other = (platform.launch(SLOW, tags=NEVER) for _ in range(2))
        workers = [worker_of(platform, run_id), worker_of(platform, other)]
        os.kill(workers[0].pid, signal.SIGKILL)
        assert platform.finish(run_id) == "FAILURE"
        assert "killed by SIGKILL" in messages(platform, run_id)
        next_run = platform.launch(ONE)
        assert platform.finish(next_run) == "SUCCESS"
        platform.terminate(other)
        platform.finish(other)

    def test_a_killed_zygote_leaves_its_runs_alone_and_new_ones_start_the_default_way(
        self, platform: DagsterProcesses, tmp_path: Path
    ) -> None:
        end = tmp_path / "end"
        run_id = platform.launch(SLOW, tags=ends_with(end))
        worker_of(platform, run_id)
        platform.kill("zygote")
        cold = platform.launch(ONE)
        assert platform.finish(cold, 60) == "SUCCESS"
        assert WORKER_TAG not in platform.tags(cold)
        assert f"Run {cold} starts with Dagster's default launcher: no zygote listens" in platform.log("webserver")
        end.touch()
        assert platform.finish(run_id) == "SUCCESS"
        platform.start("zygote")
        until(lambda: warm(platform), 120, "warm zygote")
        again = platform.launch(ONE)
        assert platform.finish(again) == "SUCCESS"
        assert WORKER_TAG in platform.tags(again)

    def test_a_killed_orphan_is_noticed_by_run_monitoring(self, platform: DagsterProcesses) -> None:
        run_id = platform.launch(SLOW, tags=NEVER)
        worker = worker_of(platform, run_id)
        platform.kill("zygote")
        os.kill(worker.pid, signal.SIGKILL)
        assert platform.finish(run_id, 120) == "FAILURE"
        assert "no longer exists" in messages(platform, run_id)

    def test_a_killed_worker_of_the_default_launcher_is_noticed(self, platform: DagsterProcesses) -> None:
        platform.kill("zygote")
        run_id = platform.launch(SLOW, tags=NEVER)
        until(lambda: "Started process for run" in messages(platform, run_id), 60, "start")
        pid = int(messages(platform, run_id).split("Started process for run (pid: ")[1].split(")")[0])
        os.kill(pid, signal.SIGKILL)
        assert platform.finish(run_id, 120) == "FAILURE"

    def test_runs_start_without_a_daemon_and_queued_ones_wait_for_its_return(
        self, platform: DagsterProcesses, tmp_path: Path
    ) -> None:
        platform.kill("daemon")
        end = tmp_path / "end"
        running = [platform.launch(SLOW, tags=ends_with(end)) for _ in range(2)]
        queued = platform.launch(ONE)
        end.touch()
        assert [platform.finish(run_id) for run_id in running] == ["SUCCESS", "SUCCESS"]
        assert platform.status(queued) == "QUEUED"
        platform.start("daemon")
        assert platform.finish(queued, 90) == "SUCCESS"


class TestCode:
    def test_an_edit_during_a_run_changes_the_next_run_and_not_this_one(
        self, platform: DagsterProcesses, tmp_path: Path
    ) -> None:
        zygote = platform.processes["zygote"].pid
        end = tmp_path / "end"
        run_id = platform.launch(SLOW, tags=ends_with(end))
        worker_of(platform, run_id)
        replaced = platform.log("zygote").count("code changed")
        (platform.code / "answers.py").write_text("ANSWER = 2\n")
        # A slow machine would hand the next run to the default launcher meanwhile, as it should.
        until(lambda: platform.log("zygote").count("code changed") > replaced, 60, "replacement")
        until(lambda: warm(platform), 120, "warm zygote")
        next_run = platform.launch(SLOW, tags=ends_with(tmp_path))
        assert platform.finish(next_run) == "SUCCESS"
        end.touch()
        assert platform.finish(run_id) == "SUCCESS"
        assert metadata(platform, run_id)["answer"] == 1
        assert metadata(platform, next_run)["answer"] == 2
        assert WORKER_TAG in platform.tags(next_run)
        assert platform.processes["zygote"].pid == zygote
        assert platform.processes["zygote"].poll() is None

    def test_children_are_still_watched_after_the_zygote_replaced_itself(self, platform: DagsterProcesses) -> None:
        run_id = platform.launch(SLOW, tags=NEVER)
        worker = worker_of(platform, run_id)
        replaced = platform.log("zygote").count("code changed")
        (platform.code / "answers.py").write_text("ANSWER = 3\n")
        until(lambda: platform.log("zygote").count("code changed") > replaced, 60, "replacement")
        until(lambda: warm(platform), 120, "warm zygote")
        os.kill(worker.pid, signal.SIGKILL)
        assert platform.finish(run_id) == "FAILURE"

    def test_broken_code_is_the_default_launchers_to_report_and_mending_it_is_enough(
        self, platform: DagsterProcesses
    ) -> None:
        good = (platform.code / "answers.py").read_text()
        (platform.code / "answers.py").write_text("ANSWER = (\n")
        try:
            until(lambda: not warm(platform), 120, "the zygote's discovery")
            broken = platform.launch(ONE)
            assert platform.finish(broken, 60) == "FAILURE"
            assert "tinyproject does not load: SyntaxError" in platform.log("webserver")
        finally:
            (platform.code / "answers.py").write_text(good)
        until(lambda: warm(platform), 120, "warm zygote")
        mended = platform.launch(ONE)
        assert platform.finish(mended) == "SUCCESS"
        assert WORKER_TAG in platform.tags(mended)


def test_stopping_the_zygote_ends_its_runs_truthfully(platform: DagsterProcesses) -> None:
    run_id = platform.launch(SLOW, tags=NEVER)
    worker = worker_of(platform, run_id)
    platform.stop("zygote")
    assert not worker.alive()
    assert platform.finish(run_id) == "FAILURE"


def test_the_socket_is_for_its_owner_alone(platform: DagsterProcesses) -> None:
    socket: Path = platform.settings.run_dir / "zygote.sock"
    assert socket.stat().st_mode & 0o077 == 0
