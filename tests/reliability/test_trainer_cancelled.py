"""A trainer and all its child processes end with the run, however the run ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
STUBBORN = """
import signal, subprocess, sys, time
from pathlib import Path
signal.signal(signal.SIGTERM, signal.SIG_IGN) if {stubborn} else None
helper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
Path({pids!r}).write_text(f"{{helper.pid}} {{__import__('os').getpid()}}")
time.sleep(600)
"""


def started(tmp_path: Path, home: Path, *, stubborn: bool = False) -> tuple[subprocess.Popen[bytes], list[int]]:
    """Starts a run with an active trainer. Returns the process ids of the trainer and of its child process."""
    pids = tmp_path / "pids"
    script = tmp_path / "endless.py"
    script.write_text(STUBBORN.format(pids=str(pids), stubborn=stubborn))
    environment = {**os.environ, "HEADWATER_HOME": str(home), "PYTHONPATH": str(ROOT)}
    program = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("device_program.py")), str(script)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while not (pids.exists() and pids.read_text()):
        assert program.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return program, [int(pid) for pid in pids.read_text().split()]


def gone(pids: list[int], seconds: float = 60) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not any(runs(pid) for pid in pids):
            return True
        time.sleep(0.05)
    return False


def runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_canceling_the_run_ends_the_whole_group(tmp_path: Path, home: Path) -> None:
    program, pids = started(tmp_path, home)
    program.send_signal(signal.SIGINT)
    assert gone(pids)
    assert program.wait(60) != 0


def test_a_trainer_that_ignores_the_signal_is_killed(tmp_path: Path, home: Path) -> None:
    program, pids = started(tmp_path, home, stubborn=True)
    program.send_signal(signal.SIGINT)
    assert gone(pids)
    assert program.wait(60) != 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process of its parent's death")
def test_kill_9_of_the_run_ends_the_whole_group(tmp_path: Path, home: Path) -> None:
    program, pids = started(tmp_path, home)
    program.kill()
    program.wait()
    assert gone(pids)


def test_children_of_a_finished_trainer_are_ended() -> None:
    code = "import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']).pid)"
    command = [sys.executable, "-m", "resources.process_group", sys.executable, "-c", code]
    finished = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, timeout=60)
    assert gone([int(finished.stdout)])


def test_the_exit_code_is_that_of_the_command() -> None:
    command = [sys.executable, "-m", "resources.process_group", sys.executable, "-c", "raise SystemExit(7)"]
    assert subprocess.run(command, check=False, cwd=ROOT, timeout=60).returncode == 7
