"""Bounded thread pools. They keep disks, databases, and engines from blocking the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

from core.errors import Unavailable

P = ParamSpec("P")
T = TypeVar("T")


class Pool:
    """A fixed number of threads with a bounded queue."""

    def __init__(self, name: str, threads: int, waiting: int) -> None:
        self.name = name
        self.threads = threads
        self.limit = threads + waiting
        """Maximum number of calls that run or wait at the same time."""

        self.held = 0
        """Number of calls that run or wait now."""

        self.refused = 0
        """Number of calls that were refused since the start."""

        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=f"headwater-{name}")

    async def run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs the function in a thread. The function continues if the caller is cancelled.

        Raises:
            Unavailable: the queue is full.
        """
        self.enter()
        future = self.submit(partial(function, *args, **kwargs))
        future.add_done_callback(self._release)
        return await asyncio.shield(future)

    def enter(self) -> None:
        """Takes one slot, which the caller must return with `leave`.

        Raises:
            Unavailable: the queue is full.
        """
        if self.held >= self.limit:
            self.refused += 1
            raise Unavailable(f"The platform is busy ({self.name}); try again in a moment.", retry_after_seconds=1)
        self.held += 1

    def leave(self) -> None:
        """Returns one slot."""
        self.held -= 1

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
        """Starts the function as soon as a thread is free."""
        return asyncio.get_running_loop().run_in_executor(self._executor, partial(function, *args, **kwargs))

    def _release(self, future: asyncio.Future[T]) -> None:
        self.leave()
        if not future.cancelled():
            future.exception()  # a cancelled caller must not cause "exception was never retrieved"

    def close(self) -> None:
        """Waits for running calls and cancels those in the queue."""
        self._executor.shutdown(wait=True, cancel_futures=True)


class Workers:
    """The thread pools of one process."""

    def __init__(self, *, single_writer: bool) -> None:
        """Creates the pools.

        Args:
            single_writer: whether the database allows one writer at a time, as SQLite does. Writers then wait in the
                queue of one thread instead of on a file lock, and two threads read, because reads never block.
        """
        self.write = Pool("metadata writes", 1 if single_writer else 8, 256)
        self.read = Pool("metadata reads", 2 if single_writer else 8, 512)
        self.compute = Pool("engine work", 4, 64)
        self.queries = Pool("SQL queries", 2, 16)
        self.passwords = Pool("password checks", 2, 16)

    @property
    def pools(self) -> tuple[Pool, ...]:
        """All pools."""
        return (self.write, self.read, self.compute, self.queries, self.passwords)

    def close(self) -> None:
        """Stops all pools."""
        for pool in self.pools:
            pool.close()
