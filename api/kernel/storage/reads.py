"""Reads of the metadata database. Reads that wait at the same time share a thread, a connection, and a snapshot.

Checking out a connection, beginning and ending a transaction, and switching threads cost more than most reads. Under
load, the reads that wait share these costs.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.workers import Pool
from core.db import Database

T = TypeVar("T")
_log = logging.getLogger("headwater.api")


class _Read(NamedTuple):
    number: int
    function: Callable[[Connection], Any]
    future: asyncio.Future[Any]


class SharedReads:
    """A queue of reads for the threads of a pool. A read sees everything that was committed before it was queued.

    Reads of one snapshot run one after the other. Other threads take the reads that wait behind a slow one.
    """

    def __init__(self, database: Database, pool: Pool) -> None:
        self._database = database
        self._pool = pool
        self._lock = threading.Lock()
        self._waiting: deque[_Read] = deque()
        self._arrived = 0
        self._serving = 0
        self._done: list[tuple[asyncio.Future[Any], Any, Exception | None]] = []

    async def run(self, function: Callable[[Connection], T]) -> T:
        """Calls the function with a connection, which it must only read from, and returns its result.

        Raises:
            Unavailable: the queue is full, or the database does not respond.
        """
        self._pool.enter()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        with self._lock:
            self._arrived += 1
            self._waiting.append(_Read(self._arrived, function, future))
            starts = self._serving < self._pool.threads
            self._serving += starts
        if starts:
            self._pool.submit(self._serve, loop)
        return await future

    def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        """Runs reads until the queue is empty. Runs in a thread."""
        while read := self._next(None):
            # Only reads that were queued before the snapshot begins may share it: later ones may follow a commit.
            newest = self._arrived
            try:
                with self._database.read() as connection:
                    while read:
                        self._answer(read, connection, loop)
                        read = self._next(newest)
            except Exception as error:  # noqa: BLE001 - the caller handles it
                if read is None:
                    _log.warning("a connection to the metadata database could not be returned: %s", error)
                else:
                    self._settle(loop, read.future, None, error)

    def _next(self, newest: int | None) -> _Read | None:
        with self._lock:
            if self._waiting and (newest is None or self._waiting[0].number <= newest):
                return self._waiting.popleft()
            if newest is None:
                self._serving -= 1
            return None

    def _answer(self, read: _Read, connection: Connection, loop: asyncio.AbstractEventLoop) -> None:
        result, failure = None, None
        if not read.future.cancelled():
            try:
                result = read.function(connection)
            except sa.exc.SQLAlchemyError:
                raise  # the transaction may have failed: the other reads get a new snapshot
            except Exception as error:  # noqa: BLE001 - the caller handles it
                failure = error
        self._settle(loop, read.future, result, failure)

    def _settle(
        self, loop: asyncio.AbstractEventLoop, future: asyncio.Future[Any], result: Any, failure: Exception | None
    ) -> None:
        with self._lock:
            self._done.append((future, result, failure))
            first = len(self._done) == 1
        if first:
            loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        """Sets the results of finished reads. Runs on the event loop."""
        with self._lock:
            done, self._done = self._done, []
        for future, result, failure in done:
            self._pool.leave()
            if future.cancelled():
                continue
            if failure is None:
                future.set_result(result)
            else:
                future.set_exception(failure)
