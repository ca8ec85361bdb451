"""Queries in separate processes: a query that takes too long or needs too much memory ends only its own process.

DuckDB's memory limit doesn't count everything that a function allocates, and a running function can't be interrupted.
Therefore the API process doesn't run the statements of users. `lakehouse.query_worker` is the program of the process.
"""

from __future__ import annotations

import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from core import errors
from core.errors import DeadlineExceeded, HeadwaterError, InvalidArgument, Unavailable
from core.settings import Settings

if TYPE_CHECKING:
    import pyarrow as pa

    from lakehouse.branches import BranchPlan
    from lakehouse.restrictions import Restriction

_GRACE_SECONDS = 5.0
"""Time after the timeout, because the process ends the query itself if it can."""

_START_SECONDS = 60.0

_POLL_SECONDS = 0.1
"""Interval of the checks whether the caller is still connected."""

_KILLED = (-signal.SIGKILL, -signal.SIGTERM)
"""Exit statuses of a process that the operating system or an operator ended. Its limits cause other statuses."""


class QueryProcesses:
    """A pool of processes that run queries. Each starts when it's first needed. Thread-safe.

    Args:
        settings: settings of the platform whose tables are read.
        processes: number of queries that run at the same time. Further queries wait.
        timeout_seconds: time after which a query is ended.
        memory_bytes: memory limit of one process. A query that needs more is ended.
        result_bytes: size limit of a result.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        processes: int = 2,
        timeout_seconds: float = 50.0,
        memory_bytes: int = 3 * 1024**3,
        result_bytes: int = 64 * 1024**2,
    ) -> None:
        self._timeout_seconds = timeout_seconds
        limits = {"timeout_seconds": timeout_seconds, "memory_bytes": memory_bytes, "result_bytes": result_bytes}
        self._all = [_Process(settings.environment(), limits) for _ in range(processes)]
        self._idle: queue.LifoQueue[_Process] = queue.LifoQueue()
        for process in self._all:
            self._idle.put(process)

    def run(
        self,
        statement: str,
        versions: Mapping[str, int],
        limit: int,
        disconnected: Callable[[], bool] = lambda: False,
        *,
        plan: BranchPlan | None = None,
        restrictions: Mapping[str, Restriction] = {},
    ) -> tuple[pa.Table, bool]:
        """Runs a statement over exact versions. Returns the rows, and whether there are more than `limit`.

        Args:
            statement: as for `Query.sql`.
            versions: version of every table that the statement reads.
            limit: maximum number of returned rows.
            disconnected: returns whether the caller disconnected. The query is then ended.
            plan: the branch whose tables are read; `None` for the tables of the lakehouse.
            restrictions: restrictions of tables, by id.

        Raises:
            InvalidArgument: the statement isn't valid, or needs more memory than one query can have.
            DeadlineExceeded: the query took longer than the timeout.
            Unavailable: the process was killed, or the caller disconnected.
        """
        import pyarrow as pa

        process = self._idle.get()
        try:
            message = statement, dict(versions), limit, plan, dict(restrictions)
            answer = process.request(message, self._timeout_seconds + _GRACE_SECONDS, disconnected)
        finally:
            self._idle.put(process)
        if isinstance(answer, RemoteError):
            raise answer.error()
        content, truncated = answer
        return pa.ipc.open_stream(content).read_all(), truncated

    def close(self) -> None:
        """Ends the processes."""
        for process in self._all:
            process.end()


class RemoteError:
    """An error in the form in which the processes exchange it."""

    def __init__(self, error: HeadwaterError) -> None:
        self.name = type(error).__name__
        self.detail = error.detail
        self.errors = error.errors
        self.metadata = error.metadata

    def error(self) -> HeadwaterError:
        """Returns the error that was raised."""
        error_class: type[HeadwaterError] = getattr(errors, self.name, HeadwaterError)
        return error_class(self.detail, errors=self.errors, metadata=self.metadata)


class _Process:
    """One process, which is started again after it ended. One thread at a time uses it."""

    def __init__(self, environment: Mapping[str, str], limits: Mapping[str, float]) -> None:
        self._environment = dict(os.environ) | dict(environment)
        self._arguments = [f"{name}={value}" for name, value in limits.items()]
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None

    def request(self, message: Any, timeout_seconds: float, disconnected: Callable[[], bool]) -> Any:
        """Sends a request and returns the response. Ends the process after the timeout or if the caller disconnects."""
        for _ in range(2):
            connection = self._started()
            try:
                connection.send(message)
                deadline = time.monotonic() + timeout_seconds
                while (remaining := deadline - time.monotonic()) > 0 and not disconnected():
                    if connection.poll(min(remaining, _POLL_SECONDS)):
                        return connection.recv()
            except (EOFError, OSError) as error:
                status = self.end(wait_seconds=_GRACE_SECONDS)
                if status == 0:  # the process ended because it was idle, or because of its size
                    continue
                if status in _KILLED:
                    raise Unavailable(
                        "The process of the query was killed by an operator, or because the machine ran out of memory. "
                        "Run the query again.",
                        retry_after_seconds=1,
                    ) from error
                raise memory_exceeded() from error
            self.end()
            if disconnected():
                raise Unavailable("The query was ended because the caller disconnected.")
            raise DeadlineExceeded(
                f"The query took longer than {timeout_seconds - _GRACE_SECONDS:g} seconds and was ended. Filter "
                "earlier, aggregate, or make it an asset that a run computes."
            )
        raise Unavailable("The process for queries ended twice before it started. Try again.", retry_after_seconds=1)

    def end(self, *, wait_seconds: float = 0.0) -> int | None:
        """Ends the process. Returns its exit status if it ends on its own within `wait_seconds`."""
        process, self._process = self._process, None
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if process is None:
            return None
        with suppress(subprocess.TimeoutExpired):
            return process.wait(wait_seconds)
        process.kill()
        process.wait()
        return None

    def _started(self) -> Connection:
        if self._connection is not None and self._process is not None and self._process.poll() is None:
            return self._connection
        self.end()
        parent_end, child_end = socket.socketpair()
        with child_end:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "lakehouse.query_worker", str(child_end.fileno()), *self._arguments],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                pass_fds=[child_end.fileno()],
            )
        # Waits for the process whenever it ends, so that it doesn't stay as a zombie.
        threading.Thread(target=self._process.wait, name="query-process-end", daemon=True).start()
        self._connection = Connection(parent_end.detach())
        if not self._connection.poll(_START_SECONDS):
            self.end()
            raise Unavailable("The process for queries did not start. Try again in a moment.", retry_after_seconds=5)
        with suppress(EOFError):
            self._connection.recv()
        return self._connection


def memory_exceeded() -> InvalidArgument:
    """Returns the error for a query that needs too much memory."""
    return InvalidArgument(
        "The query was ended because it needs more memory than one query can have. Filter earlier, aggregate, or make "
        "it an asset that a run computes."
    )
