"""Turns of callers for a limited resource, so that no caller can exclude others by many requests."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from core.errors import TooManyRequests


class Turns:
    """A limit on concurrent work. Waiting principals take turns. Used on the event loop only."""

    def __init__(self, max_running: int, max_per_principal: int) -> None:
        """Sets the limits.

        Args:
            max_running: Maximum number of requests that run at the same time.
            max_per_principal: Maximum number of requests of one principal that run or wait.
        """
        self._free = max_running
        self._max_per_principal = max_per_principal
        self._held: Counter[str] = Counter()
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    @asynccontextmanager
    async def turn(self, principal_id: str) -> AsyncIterator[None]:
        """Waits for the principal's turn, and ends the turn afterwards.

        Raises:
            TooManyRequests: Too many requests of the principal run or wait already.
        """
        if self._held[principal_id] >= self._max_per_principal:
            raise TooManyRequests(
                f"{self._max_per_principal} of your statements run or wait already. Wait until one of them ends.",
                retry_after_seconds=1,
            )
        self._held[principal_id] += 1
        try:
            await self._begin(principal_id)
            try:
                yield
            finally:
                self._next()
        finally:
            self._held -= Counter((principal_id,))

    async def _begin(self, principal_id: str) -> None:
        if self._free:
            self._free -= 1
            return
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(principal_id, deque()).append(waiting)
        try:
            await waiting
        except asyncio.CancelledError:
            if waiting.done() and not waiting.cancelled():
                self._next()  # The turn was given, but is not used.
            raise

    def _next(self) -> None:
        while self._waiting:
            principal_id, queue = next(iter(self._waiting.items()))
            del self._waiting[principal_id]
            first = queue.popleft()
            if queue:
                self._waiting[principal_id] = queue  # After all other principals that wait.
            if not first.done():
                first.set_result(None)
                return
        self._free += 1
