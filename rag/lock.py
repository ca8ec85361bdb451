"""The writer lock of an index: a file lock that the operating system releases when the holding process ends."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.errors import WriteConflict


class WriterLock:
    """An exclusive lock between processes and threads. The thread that holds it can acquire it again.

    Args:
        path: the lock file; None if the store isn't a local folder. The lock then only excludes threads of this
            process; LanceDB's commit protocol and the check after each synchronization detect other conflicts.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._thread = threading.RLock()
        self._depth = 0
        self._file = -1

    @contextmanager
    def held(self, *, timeout_seconds: float = 300.0) -> Iterator[None]:
        """Holds the lock for the block.

        Raises:
            WriteConflict: another writer held the lock for longer than `timeout_seconds`.
        """
        if not self.acquire(timeout_seconds):
            raise WriteConflict(
                f"Another writer has held the index for {timeout_seconds:g} seconds. Retry after its run has ended."
            )
        try:
            yield
        finally:
            self.release()

    def acquire(self, timeout_seconds: float = 0.0) -> bool:
        """Acquires the lock. Returns false if another writer held it during the whole timeout."""
        deadline = time.monotonic() + timeout_seconds
        if not self._thread.acquire(timeout=timeout_seconds):
            return False
        if self._depth == 0 and self._path is not None and not self._lock_file(self._path, deadline):
            self._thread.release()
            return False
        self._depth += 1
        return True

    def release(self) -> None:
        """Releases one acquisition."""
        self._depth -= 1
        if self._depth == 0 and self._file >= 0:
            os.close(self._file)  # closing the only descriptor releases the lock
            self._file = -1
        self._thread.release()

    def _lock_file(self, path: Path, deadline: float) -> bool:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    os.close(descriptor)
                    return False
                time.sleep(0.02)
            else:
                self._file = descriptor
                return True
