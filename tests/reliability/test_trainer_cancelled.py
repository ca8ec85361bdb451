"""A trainer and everything it started end with the run, however that ends."""

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
    """A run whose trainer is at work; the process ids of the trainer and of the helper it started."""
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


def gone(pids: list[int], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not any(psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie" for pid in pids):
            return True
        time.sleep(0.05)
    return False


def test_cancelling_the_run_ends_the_whole_group(tmp_path: Path, home: Path) -> None:
    program, pids = started(tmp_path, home)
    program.send_signal(signal.SIGINT)
    assert gone(pids, 8)
    assert program.wait(30) != 0


def test_a_trainer_that_ignores_the_signal_is_killed(tmp_path: Path, home: Path) -> None:
    program, pids = started(tmp_path, home, stubborn=True)
    program.send_signal(signal.SIGINT)
    assert gone(pids, 20)
    assert program.wait(30) != 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process of its parent's death")
def test_kill_9_of_the_run_ends_the_whole_group(tmp_path: Path, home: Path) -> None:
    program, pids = started(tmp_path, home)
    program.kill()
    program.wait()
    assert gone(pids, 15)


def test_helpers_left_behind_by_a_trainer_end_with_it() -> None:
    code = "import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']).pid)"
    command = [sys.executable, "-m", "resources.process_group", sys.executable, "-c", code]
    finished = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, timeout=60)
    assert gone([int(finished.stdout)], 5)


def test_the_exit_code_is_the_command_s() -> None:
    command = [sys.executable, "-m", "resources.process_group", sys.executable, "-c", "raise SystemExit(7)"]
    assert subprocess.run(command, check=False, cwd=ROOT, timeout=60).returncode == 7
