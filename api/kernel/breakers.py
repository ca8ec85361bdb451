"""Protection from what we depend on and do not run in this process: time limits, retries with a budget, breakers.

A dependency that fails again and again is left alone for a while: who needs it is told at once instead of waiting,
and it is not flooded while it recovers. Then one call tries it out.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from core.errors import Unavailable

RETRY_SHARE = 0.2
"""Retries per call, at most: more would turn an outage of a dependency into a flood of it."""

_SAVED_RETRIES = 10.0
_PAUSE_SECONDS = 0.05
T = TypeVar("T")
_log = logging.getLogger("headwater.dependencies")


class BreakerState(StrEnum):
    """`CLOSED` lets calls pass, `OPEN` refuses them, `HALF_OPEN` tries one out."""

    CLOSED = "CLOSED"
    OPEN = "OPEN"
    HALF_OPEN = "HALF_OPEN"


@dataclass(frozen=True, slots=True)
class DependencyState:
    """What is known of a dependency: counts are since the start of the process."""

    name: str
    state: BreakerState
    calls: int
    failures: int
    refused: int
    retries: int
    retry_after_seconds: float


class RetryBudget:
    """Earns a part of a retry by each call, so that retries stay a share of all calls."""

    def __init__(self, share: float = RETRY_SHARE) -> None:
        self._share = share
        self._saved = 0.0

    def earn(self) -> None:
        """Counts a call."""
        self._saved = min(self._saved + self._share, _SAVED_RETRIES)

    def spend(self) -> bool:
        """Takes a retry, if there is one."""
        # Five fifths are a little less than one.
        if self._saved < 1 - 1e-9:
            return False
        self._saved -= 1
        return True


class Dependency:
    """Something outside that may be slow or away. To be used from one event loop."""

    def __init__(
        self,
        name: str,
        *,
        timeout_seconds: float,
        is_failure: Callable[[BaseException], bool],
        failures: int = 5,
        open_seconds: float = 10.0,
        retry_share: float = RETRY_SHARE,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """`is_failure` tells what speaks against the dependency from what it merely refused.

        Running into the time limit always does. After `failures` in a row it is left alone for `open_seconds`.
        """
        from pybreaker import CircuitBreaker

        self.name = name
        self._timeout_seconds = timeout_seconds
        self._is_failure = is_failure
        self._open_seconds = open_seconds
        self._now = now
        self._budget = RetryBudget(retry_share)
        self._breaker = CircuitBreaker(
            fail_max=failures, reset_timeout=open_seconds, name=name, throw_new_error_on_trip=False
        )
        self._opened_at = 0.0
        self._probing = False
        self._calls = self._failures = self._refused = self._retries = 0

    async def call(
        self, make: Callable[[], Awaitable[T]], *, idempotent: bool, timeout_seconds: float | None = None
    ) -> T:
        """Awaits what `make` makes, and passes on what it raises. An idempotent call may be made a second time.

        Raises:
            Unavailable: the breaker is open; nothing was sent.
            TimeoutError: the time limit passed; a call that is not idempotent may have happened.
        """
        self._budget.earn()
        limit = self._timeout_seconds if timeout_seconds is None else timeout_seconds
        try:
            return await self._attempt(make, limit)
        except Exception as error:
            # A second wait as long as the first helps nobody.
            again = idempotent and not isinstance(error, TimeoutError) and self._is_failure(error)
            if not (again and self.state is BreakerState.CLOSED and self._budget.spend()):
                raise
        self._retries += 1
        await asyncio.sleep(_PAUSE_SECONDS * (0.5 + random.random()))  # noqa: S311 - spreads retries, protects nothing
        return await self._attempt(make, limit)

    @property
    def state(self) -> BreakerState:
        """Whether calls pass now."""
        return BreakerState(self._breaker.current_state.replace("-", "_").upper())

    def snapshot(self) -> DependencyState:
        """What is known of it."""
        wait = self._remaining() if self.state is BreakerState.OPEN else 0.0
        return DependencyState(
            self.name, self.state, self._calls, self._failures, self._refused, self._retries, round(wait, 3)
        )

    async def _attempt(self, make: Callable[[], Awaitable[T]], seconds: float) -> T:
        probe = self._enter()
        self._calls += 1
        try:
            async with asyncio.timeout(seconds):
                result = await make()
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError):
                # Says nothing of the dependency. A probe that was given up leaves the next call to try.
                self._given_up(probe)
            elif isinstance(error, TimeoutError) or self._is_failure(error):
                self._failed(probe, error)
            else:
                self._succeeded(probe)
            raise
        self._succeeded(probe)
        return result

    def _enter(self) -> bool:
        """Lets a call pass, and tells whether it is the one that tries the dependency out."""
        state = self.state
        if state is BreakerState.CLOSED:
            return False
        if self._probing or (state is BreakerState.OPEN and self._remaining() > 0):
            self._refused += 1
            wait = max(1, math.ceil(self._remaining()))
            raise Unavailable(
                f"{self.name} has failed several times and is left alone for a moment. Try again in {wait} s.",
                retry_after_seconds=wait,
            )
        self._breaker.half_open()
        self._probing = True
        return True

    def _remaining(self) -> float:
        return max(0.0, self._opened_at + self._open_seconds - self._now())

    def _succeeded(self, probe: bool) -> None:
        # An answer to a call from before the breaker opened comes too late to say anything.
        if probe or self.state is BreakerState.CLOSED:
            self._probing = self._probing and not probe
            self._breaker.call(lambda: None)
            if probe:
                _log.info("%s answers again", self.name)

    def _failed(self, probe: bool, error: BaseException) -> None:
        self._failures += 1
        if not (probe or self.state is BreakerState.CLOSED):
            return
        self._probing = self._probing and not probe

        def fail() -> None:
            raise error

        try:
            self._breaker.call(fail)
        except BaseException as same:
            if same is not error:
                raise
        if self.state is BreakerState.OPEN:
            self._opened_at = self._now()
            if not probe:
                _log.warning("%s failed several times and is left alone: %s", self.name, type(error).__name__)

    def _given_up(self, probe: bool) -> None:
        if probe:
            self._probing = False


class Dependencies:
    """All dependencies of one process; a part of the platform."""

    def __init__(self, platform: object = None) -> None:
        self._known: dict[str, Dependency] = {}

    def add(self, dependency: Dependency) -> Dependency:
        """Shows a dependency among the others. A second one of the same name takes its place."""
        self._known[dependency.name] = dependency
        return dependency

    def states(self) -> tuple[DependencyState, ...]:
        """The state of each, by name."""
        return tuple(self._known[name].snapshot() for name in sorted(self._known))
