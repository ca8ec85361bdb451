"""Rate limits per principal and, for requests without authentication, per address.

The counts are sliding windows: the count of the previous window is weighted by its overlap with the last window length.
Each process counts in memory, or all processes share a store if `rate_limit_url` is set.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from core.callers import caller_network
from core.errors import InvalidArgument, TooManyRequests

if TYPE_CHECKING:
    from limits import RateLimitItem
    from limits.aio.strategies import SlidingWindowCounterRateLimiter

    from api.kernel.http.state import RequestState
    from api.kernel.platform import Platform
    from core.settings import Settings

STORE_SECONDS = 0.25
"""Time limit for the shared store. After it, the request passes without being counted."""

_MAX_KEYS = 100_000
_log = logging.getLogger("headwater.api")


@dataclass(frozen=True, slots=True)
class Limit:
    """A maximum number of requests in a number of seconds."""

    policy: str
    requests: int
    seconds: int
    item: RateLimitItem


class _Store(Protocol):
    async def hit(self, limit: Limit, key: str) -> float | None:
        """Counts a request. Returns None if it may pass, or else the number of seconds to wait."""


class Windows:
    """The counts of one process."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._counts: dict[str, list[int]] = {}
        self._swept_at = now()

    async def hit(self, limit: Limit, key: str) -> float | None:
        """Counts a request. Returns None if it may pass, or else the number of seconds to wait."""
        now = self._now()
        window, elapsed = divmod(now, limit.seconds)
        count = self._counts.get(key)
        if count is None:
            self._sweep(now, limit.seconds)
            count = self._counts[key] = [int(window), 0, 0]
        elif count[0] != window:
            count[:] = [int(window), 0, count[1] if count[0] == window - 1 else 0]
        current, previous = count[1], count[2]
        if previous * (1 - elapsed / limit.seconds) + current + 1 > limit.requests:
            return _wait(limit, elapsed, current, previous)
        count[1] += 1
        return None

    def _sweep(self, now: float, seconds: int) -> None:
        """Removes counts that are older than two windows, or all of them if there are too many keys."""
        if len(self._counts) >= _MAX_KEYS:
            self._counts.clear()
        elif now - self._swept_at > 2 * seconds:
            self._swept_at = now
            oldest = now // seconds - 1
            self._counts = {key: count for key, count in self._counts.items() if count[0] >= oldest}


class SharedWindows:
    """The counts of several processes in a shared store. If the store does not respond, requests pass."""

    def __init__(self, limiter: SlidingWindowCounterRateLimiter) -> None:
        self._limiter = limiter
        self._warned_at = float("-inf")

    async def hit(self, limit: Limit, key: str) -> float | None:
        """Counts a request. Returns None if it may pass, or else the number of seconds to wait."""
        import asyncio

        try:
            async with asyncio.timeout(STORE_SECONDS):
                if await self._limiter.hit(limit.item, key):
                    return None
                stats = await self._limiter.get_window_stats(limit.item, key)
                return max(1.0, stats.reset_time - time.time())
        except Exception:  # noqa: BLE001 - each kind of store has other errors
            if time.monotonic() - self._warned_at > 60:
                self._warned_at = time.monotonic()
                _log.warning("the store of the rate limits does not respond; requests are not counted", exc_info=True)
            return None


class RateLimiter:
    """A check of the rate limits."""

    def __init__(self, settings: Settings, store: _Store | None = None) -> None:
        """Raises `InvalidArgument` if a limit is malformed or the library of its store is missing."""
        self._principal = _limit("principal", settings.rate_limit)
        self._anonymous = _limit("anonymous", settings.rate_limit_anonymous)
        self._store = store or _store(settings.rate_limit_url)

    async def check(self, principal_key: str) -> None:
        """Counts a request of a principal.

        Raises:
            TooManyRequests: the limit is reached.
        """
        await self._count(self._principal, principal_key, None)

    async def admit(self, state: RequestState) -> None:
        """Counts a request of its principal or, without authentication, of its address.

        Raises:
            TooManyRequests: the limit is reached. The headers of the response contain the limit.
        """
        principal = state.principal
        if principal is None:
            await self._count(self._anonymous, f"address/{caller_network(state.client)}", state)
        elif self._principal is not None:
            organization = getattr(principal, "organization_id", "")
            await self._count(self._principal, f"principal/{organization}/{principal.id}", state)

    async def _count(self, limit: Limit | None, key: str, state: RequestState | None) -> None:
        if limit is None:
            return
        wait = await self._store.hit(limit, key)
        if wait is None:
            return
        seconds = max(1, math.ceil(wait))
        if state is not None:
            state.headers = (
                ("ratelimit-policy", f'"{limit.policy}";q={limit.requests};w={limit.seconds}'),
                ("ratelimit", f'"{limit.policy}";r=0;t={seconds}'),
            )
        raise TooManyRequests(
            f"More than {limit.requests:,} requests in {limit.seconds} seconds. Try again in {seconds} seconds.",
            retry_after_seconds=seconds,
        )


def open_rate_limiter(platform: Platform) -> RateLimiter:
    """Returns the rate limiter of this process."""
    return RateLimiter(platform.settings)


def _wait(limit: Limit, elapsed: float, current: int, previous: int) -> float:
    """Returns the number of seconds until one more request may pass."""
    remaining = limit.seconds - elapsed
    allowed = limit.requests - 1
    if current <= allowed:
        # The weight of the previous window decreases until its share and the current count are within the limit.
        return max(0.0, limit.seconds * (1 - (allowed - current) / previous) - elapsed)
    # The current window is full. In the next one, its weight decreases.
    return remaining + limit.seconds * (1 - allowed / current)


def _limit(policy: str, text: str) -> Limit | None:
    if not text:
        return None
    from limits import parse

    try:
        item = parse(text)
    except ValueError as error:
        raise InvalidArgument(f"The rate limit {text!r} is malformed. Write it like 100/second.") from error
    if item.amount < 1:
        raise InvalidArgument(f"The rate limit {text!r} allows no request. Leave it empty for no limit.")
    return Limit(policy, item.amount, item.get_expiry(), item)


def _store(url: str) -> _Store:
    if not url:
        return Windows()
    from limits.aio.storage import Storage
    from limits.aio.strategies import SlidingWindowCounterRateLimiter
    from limits.errors import ConfigurationError
    from limits.storage import storage_from_string

    scheme = url.partition(":")[0]
    try:
        storage = storage_from_string(url)
        if not isinstance(storage, Storage):
            raise InvalidArgument(f"The rate limits need an asynchronous store: async+{scheme} instead of {scheme}.")
        return SharedWindows(SlidingWindowCounterRateLimiter(storage))
    except (ConfigurationError, NotImplementedError) as error:
        # Without the URL, which may contain a password.
        raise InvalidArgument(
            f"A store of kind {scheme!r} cannot be used for rate limits: {type(error).__name__}."
        ) from error
