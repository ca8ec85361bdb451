"""Time limits, retries with a budget, and circuit breakers for dependencies outside of this process.

The breaker of a dependency that fails repeatedly opens for some time. Calls then fail immediately instead of waiting,
and the dependency can recover. After that time, one call probes the dependency.
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
"""Maximum number of retries per call on average. More would overload a dependency during an outage."""

_SAVED_RETRIES = 10.0
_PAUSE_SECONDS = 0.05
T = TypeVar("T")
_log = logging.getLogger("headwater.dependencies")


class BreakerState(StrEnum):
    """State of a breaker. `CLOSED` lets calls pass, `OPEN` refuses them, `HALF_OPEN` lets one probe pass."""

    CLOSED = "CLOSED"
    OPEN = "OPEN"
    HALF_OPEN = "HALF_OPEN"


@dataclass(frozen=True, slots=True)
class DependencyState:
    """State of a dependency. Counts are since the start of the process."""

    name: str
    state: BreakerState
    calls: int
    failures: int
    refused: int
    retries: int
    retry_after_seconds: float


class RetryBudget:
    """A budget that limits retries to a share of all calls."""

    def __init__(self, share: float = RETRY_SHARE) -> None:
        self._share = share
        self._saved = 0.0

    def earn(self) -> None:
        """Counts a call."""
        self._saved = min(self._saved + self._share, _SAVED_RETRIES)

    def spend(self) -> bool:
        """Takes a retry from the budget. Returns whether there was one."""
        # In floating point, five fifths are slightly less than one.
        if self._saved < 1 - 1e-9:
            return False
        self._saved -= 1
        return True


class Dependency:
    """A system outside of this process that may be slow or unavailable. Use it from one event loop."""

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
        """Describes the dependency.

        Args:
            name: its name in messages and metrics.
            timeout_seconds: time limit of one attempt. Exceeding it counts as a failure.
            is_failure: returns whether an error is a failure of the dependency instead of a refused request.
            failures: number of consecutive failures that open the breaker.
            open_seconds: how long the breaker stays open.
            retry_share: retries per call on average.
            now: monotonic clock, in seconds.
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
        """Awaits the result of `make` and raises what it raises. An idempotent call may be attempted twice.

        Raises:
            Unavailable: the breaker is open. Nothing was sent.
            TimeoutError: the time limit passed. The dependency may have run the call.
        """
        self._budget.earn()
        limit = self._timeout_seconds if timeout_seconds is None else timeout_seconds
        try:
            return await self._attempt(make, limit)
        except Exception as error:
            # No retry after a timeout: the caller has waited long enough.
            retryable = idempotent and not isinstance(error, TimeoutError) and self._is_failure(error)
            if not (retryable and self.state is BreakerState.CLOSED and self._budget.spend()):
                raise
        self._retries += 1
        await asyncio.sleep(_PAUSE_SECONDS * (0.5 + random.random()))  # noqa: S311 - spreads retries, protects nothing
        return await self._attempt(make, limit)

    @property
    def state(self) -> BreakerState:
        """State of the breaker."""
        return BreakerState(self._breaker.current_state.replace("-", "_").upper())

    def snapshot(self) -> DependencyState:
        """Returns the state and the counts."""
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
                # This is no information about the dependency. The next call becomes the probe.
                self._cancelled(probe)
            elif isinstance(error, TimeoutError) or self._is_failure(error):
                self._failed(probe, error)
            else:
                self._succeeded(probe)
            raise
        self._succeeded(probe)
        return result

    def _enter(self) -> bool:
        """Lets a call pass or refuses it. Returns whether it is the probe."""
        state = self.state
        if state is BreakerState.CLOSED:
            return False
        if self._probing or (state is BreakerState.OPEN and self._remaining() > 0):
            self._refused += 1
            wait = max(1, math.ceil(self._remaining()))
            raise Unavailable(
                f"{self.name} failed several times, so calls are refused for a moment. Try again in {wait} s.",
                retry_after_seconds=wait,
            )
        self._breaker.half_open()
        self._probing = True
        return True

    def _remaining(self) -> float:
        return max(0.0, self._opened_at + self._open_seconds - self._now())

    def _succeeded(self, probe: bool) -> None:
        # The result of a call from before the breaker opened is outdated.
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
                _log.warning("%s failed several times, calls are refused: %s", self.name, type(error).__name__)

    def _cancelled(self, probe: bool) -> None:
        if probe:
            self._probing = False


class Dependencies:
    """The dependencies of one process."""

    def __init__(self, platform: object = None) -> None:
        self._by_name: dict[str, Dependency] = {}

    def add(self, dependency: Dependency) -> Dependency:
        """Adds a dependency. Replaces one with the same name."""
        self._by_name[dependency.name] = dependency
        return dependency

    def states(self) -> tuple[DependencyState, ...]:
        """Returns the states of all dependencies, ordered by name."""
        return tuple(self._by_name[name].snapshot() for name in sorted(self._by_name))
