from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from core.errors import WriteConflict
from rag.lock import WriterLock

_HOLD = (
    "import sys, time; from pathlib import Path; from rag.lock import WriterLock; "
    "WriterLock(Path(sys.argv[1])).acquire(); print('held', flush=True); time.sleep(60)"
)


def test_the_holder_can_acquire_it_again_and_others_cannot(tmp_path: Path) -> None:
    lock, other = WriterLock(tmp_path / "lock"), WriterLock(tmp_path / "lock")
    with lock.held(), lock.held():
        assert not other.acquire()
        with pytest.raises(WriteConflict, match="Another writer"), other.held(timeout_seconds=0.05):
            raise AssertionError("two writers held the lock")
    assert other.acquire()
    other.release()


@pytest.mark.parametrize("path", ["lock", None])
def test_threads_exclude_each_other(tmp_path: Path, path: str | None) -> None:
    lock = WriterLock(tmp_path / path if path else None)
    acquired: list[bool] = []
    with lock.held():
        thread = threading.Thread(target=lambda: acquired.append(lock.acquire()))
        thread.start()
        thread.join()
    assert acquired == [False]


def test_the_lock_of_a_killed_process_is_released(tmp_path: Path) -> None:
    lock = WriterLock(tmp_path / "lock")
    command = [sys.executable, "-c", _HOLD, str(tmp_path / "lock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert not lock.acquire()
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
    assert lock.acquire(timeout_seconds=5)
    lock.release()
