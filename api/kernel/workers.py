"""Bounded thread pools: the event loop never waits for a disk, a database or an engine."""

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
    """A few threads and a bounded number of callers that may wait for them."""

    def __init__(self, name: str, threads: int, waiting: int) -> None:
        self.name = name
        self.threads = threads
        self.limit = threads + waiting
        """How many calls may run and wait together."""

        self.held = 0
        """How many run and wait now."""

        self.refused = 0
        """How many were turned away since the start."""

        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=f"headwater-{name}")

    async def run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs the function in a thread. A caller that gives up does not stop it.

        Raises:
            Unavailable: too many callers wait already.
        """
        self.enter()
        future = self.submit(partial(function, *args, **kwargs))
        future.add_done_callback(self._release)
        return await asyncio.shield(future)

    def enter(self) -> None:
        """Counts one caller more, who has to `leave`.

        Raises:
            Unavailable: too many callers wait already.
        """
        if self.held >= self.limit:
            self.refused += 1
            raise Unavailable(f"The platform is busy ({self.name}); try again in a moment.", retry_after_seconds=1)
        self.held += 1

    def leave(self) -> None:
        """Counts one caller less."""
        self.held -= 1

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
        """Starts the function in a thread, or as soon as one is free."""
        return asyncio.get_running_loop().run_in_executor(self._executor, partial(function, *args, **kwargs))

    def _release(self, future: asyncio.Future[T]) -> None:
        self.leave()
        if not future.cancelled():
            future.exception()  # a caller that gave up must not leave "exception was never retrieved" behind

    def close(self) -> None:
        """Lets running calls finish and drops the waiting ones."""
        self._executor.shutdown(wait=True, cancel_futures=True)


class Workers:
    """The pools of one process."""

    def __init__(self, *, single_writer: bool) -> None:
        """`single_writer`: SQLite has one writer at a time, so its writers queue here and not on a file lock.

        Its reads are short and never wait, so more threads would only fight for the interpreter.
        """
        self.write = Pool("metadata writes", 1 if single_writer else 8, 256)
        self.read = Pool("metadata reads", 2 if single_writer else 8, 512)
        self.work = Pool("engine work", 4, 64)
        self.passwords = Pool("password checks", 2, 16)

    @property
    def pools(self) -> tuple[Pool, ...]:
        """Every pool."""
        return (self.write, self.read, self.work, self.passwords)

    def close(self) -> None:
        """Stops all pools."""
        for pool in self.pools:
            pool.close()
