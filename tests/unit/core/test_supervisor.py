"""Tests of the supervisor with real child processes."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from core.errors import Conflict
from core.supervisor import Program, Supervisor, read_state, stop_running

SUPERVISE = """
import sys
from pathlib import Path
from core.supervisor import Program, Supervisor

home = Path(sys.argv[1])

def sleeper(name, after=()):
    code = "import pathlib, sys, time; pathlib.Path(sys.argv[1]).touch(); time.sleep(600)"
    mark = home / name
    command = [sys.executable, "-c", code, str(mark)]
    return Program(name=name, command=command, environment={}, ready=mark.exists, after=after)

Supervisor(home / "run", home / "logs", [sleeper("second", after=["first"]), sleeper("first")]).run()
"""


def eventually(condition: Callable[[], Any], seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if result := condition():
            return result
        time.sleep(0.05)
    raise AssertionError("the condition did not become true in time")


def ready_state(home: Path) -> dict[str, Any] | None:
    state = read_state(home / "run")
    return state if state and state["state"] == "READY" else None


def pid_of(home: Path, name: str) -> int | None:
    state = read_state(home / "run") or {"processes": []}
    return next((p["pid"] for p in state["processes"] if p["name"] == name and p["state"] == "READY"), None)


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", SUPERVISE, str(tmp_path)])
    try:
        eventually(lambda: ready_state(tmp_path))
        yield process
    finally:
        process.terminate()
        process.wait(60)


def test_a_killed_child_is_restarted_and_the_others_keep_running(
    tmp_path: Path, platform: subprocess.Popen[bytes]
) -> None:
    first, second = pid_of(tmp_path, "first"), pid_of(tmp_path, "second")
    assert first
    os.kill(first, signal.SIGKILL)
    restarted = eventually(lambda: (pid := pid_of(tmp_path, "first")) != first and pid)
    assert psutil.pid_exists(restarted)
    assert pid_of(tmp_path, "second") == second


def test_stop_ends_every_child_and_removes_the_state(tmp_path: Path, platform: subprocess.Popen[bytes]) -> None:
    children = [process["pid"] for process in ready_state(tmp_path)["processes"]]  # type: ignore[index]
    reaper = threading.Thread(target=platform.wait)
    reaper.start()
    assert stop_running(tmp_path / "run") is True
    reaper.join()
    assert [pid for pid in children if psutil.pid_exists(pid)] == []
    assert read_state(tmp_path / "run") is None
    assert stop_running(tmp_path / "run") is False


def test_children_do_not_outlive_a_killed_supervisor(tmp_path: Path, platform: subprocess.Popen[bytes]) -> None:
    children = [process["pid"] for process in ready_state(tmp_path)["processes"]]  # type: ignore[index]
    platform.kill()
    platform.wait()
    eventually(lambda: not [pid for pid in children if psutil.pid_exists(pid)])
    assert read_state(tmp_path / "run") is None, (
        "a state file without a supervisor must not look like a running platform"
    )


def test_one_home_has_one_supervisor(tmp_path: Path, platform: subprocess.Popen[bytes]) -> None:
    with pytest.raises(Conflict, match="headwater down"):
        Supervisor(tmp_path / "run", tmp_path / "logs", []).run()


def test_a_program_starts_after_its_dependencies(tmp_path: Path, platform: subprocess.Popen[bytes]) -> None:
    started = {name: psutil.Process(pid_of(tmp_path, name) or 0).create_time() for name in ("first", "second")}
    assert started["first"] < started["second"]


def test_a_program_that_keeps_failing_is_restarted_with_growing_delays(tmp_path: Path) -> None:
    failing = Program(name="failing", command=[sys.executable, "-c", "raise SystemExit(3)"], environment={}, ready=bool)
    supervisor = Supervisor(tmp_path / "run", tmp_path / "logs", [failing])
    started = time.monotonic()
    supervisor.on_tick = lambda s: s.stop() if s.describe()["processes"][0]["restarts"] >= 3 else None
    supervisor.run()
    assert time.monotonic() - started > 1.2, "the three starts are separated by delays of 0.2 s and 1 s"
    assert "exited with 3" in (tmp_path / "logs" / "failing.log").read_text()


def test_ready_means_that_the_programs_work_together(tmp_path: Path) -> None:
    """It is asked until it is true, and again after a restart. An earlier "ready" is a command that fails."""
    sleeper = Program(
        name="one", command=[sys.executable, "-c", "import time; time.sleep(600)"], environment={}, ready=lambda: True
    )
    answers = iter([False, False, True, False, True])
    supervisor = Supervisor(tmp_path / "run", tmp_path / "logs", [sleeper], serves=lambda: next(answers))
    seen: list[bool] = []

    def on_tick(running: Supervisor) -> None:
        (process,) = running.describe()["processes"]
        seen.append(running.ready)
        if seen == [False, False, False, True, True]:
            os.kill(process["pid"], signal.SIGKILL)
            eventually(lambda: psutil.Process(process["pid"]).status() == psutil.STATUS_ZOMBIE)
        if seen.count(True) > 2:
            running.stop()

    supervisor.on_tick = on_tick
    supervisor.run()
    after = seen[5:]
    assert seen[:5] == [False, False, False, True, True]
    assert after == [*[False] * (len(after) - 1), True], "it is not ready again before the programs are asked again"
    assert list(answers) == []
