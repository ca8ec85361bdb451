"""A run's process is known by its id and its start."""

from __future__ import annotations

import os
import signal
import subprocess
import time

from dagster_project.workers import Worker, end_group
from tests.dagster_processes import until


def sleeper(program: str = "sleep 60") -> subprocess.Popen[bytes]:
    return subprocess.Popen(["sh", "-c", program], start_new_session=True)


def test_the_tag_leads_back_to_the_process() -> None:
    worker = Worker.current()
    again = Worker.from_tag(worker.tag)
    assert again is not None
    assert again.pid == os.getpid()
    assert again.alive()
    assert Worker.from_tag("nonsense") is None


def test_another_process_with_the_same_id_is_not_it() -> None:
    assert not Worker(os.getpid(), Worker.current().started - 60).alive()
    assert not Worker.started_before(os.getpid(), time.time() - 3600).alive()
    assert Worker.started_before(os.getpid(), time.time()).alive()


def test_a_dead_process_that_nobody_collected_is_dead() -> None:
    process = sleeper()
    worker = Worker.started_before(process.pid, time.time())
    assert worker.alive()
    process.kill()
    until(lambda: not worker.alive(), 60, "the end of the process")
    assert not worker.interrupt()
    assert not worker.kill()
    process.wait()


def test_kill_takes_the_whole_group() -> None:
    process = sleeper("sleep 60 & echo $!; wait")
    worker = Worker.started_before(process.pid, time.time())
    assert worker.kill()
    assert process.wait() == -signal.SIGKILL


def test_what_a_dead_leader_left_behind_ends() -> None:
    process = subprocess.Popen(
        ["sh", "-c", "sleep 60 & echo $!"], start_new_session=True, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    child = int(process.stdout.readline())
    process.wait()
    assert os.getpgid(child) == process.pid
    end_group(process.pid)
    until(lambda: not Worker.started_before(child, time.time()).alive(), 60, "the end of the child")
    process.stdout.close()
