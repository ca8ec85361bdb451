"""Rate limits: each principal has its own, and so has each address from which nobody has logged in.

The count is a sliding window: what was counted in the window before weighs as much as of it still lies within the
last window. A process counts in memory of its own; several share a store with `rate_limit_url`.
"""

from __future__ import annotations

import ipaddress
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from core.errors import InvalidArgument, TooManyRequests

if TYPE_CHECKING:
    from limits import RateLimitItem
    from limits.aio.strategies import SlidingWindowCounterRateLimiter

    from api.kernel.http.state import RequestState
    from api.kernel.platform import Platform
    from core.settings import Settings

STORE_SECONDS = 0.25
"""How long a shared store may take; after that the request passes uncounted."""

_REMEMBERED = 100_000
_log = logging.getLogger("headwater.api")


@dataclass(frozen=True, slots=True)
class Limit:
    """So many requests in so many seconds."""

    policy: str
    requests: int
    seconds: int
    item: RateLimitItem


class _Store(Protocol):
    async def hit(self, limit: Limit, key: str) -> float | None:
        """Counts a request. Answers None if it may pass, else the seconds after which one may."""


class Windows:
    """Counts of one process."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._counts: dict[str, list[int]] = {}
        self._swept_at = now()

    async def hit(self, limit: Limit, key: str) -> float | None:
        """Counts a request. Answers None if it may pass, else the seconds after which one may."""
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
        """Forgets who has not come for two windows; whoever floods us with names makes it forget all."""
        if len(self._counts) >= _REMEMBERED:
            self._counts.clear()
        elif now - self._swept_at > 2 * seconds:
            self._swept_at = now
            oldest = now // seconds - 1
            self._counts = {key: count for key, count in self._counts.items() if count[0] >= oldest}


class SharedWindows:
    """Counts of several processes in one store. Without its answer, requests pass: a limit is no safety device."""

    def __init__(self, limiter: SlidingWindowCounterRateLimiter) -> None:
        self._limiter = limiter
        self._told_at = float("-inf")

    async def hit(self, limit: Limit, key: str) -> float | None:
        """Counts a request. Answers None if it may pass, else the seconds after which one may."""
        import asyncio

        try:
            async with asyncio.timeout(STORE_SECONDS):
                if await self._limiter.hit(limit.item, key):
                    return None
                stats = await self._limiter.get_window_stats(limit.item, key)
                return max(1.0, stats.reset_time - time.time())
        except Exception:  # noqa: BLE001 - each kind of store fails in its own way
            if time.monotonic() - self._told_at > 60:
                self._told_at = time.monotonic()
                _log.warning("the store of the rate limits does not answer; requests pass uncounted", exc_info=True)
            return None


class RateLimiter:
    """Refuses who asks too often."""

    def __init__(self, settings: Settings, store: _Store | None = None) -> None:
        """Raises `InvalidArgument` if a limit cannot be read or its store's library is missing."""
        self._principal = _limit("principal", settings.rate_limit)
        self._anonymous = _limit("anonymous", settings.rate_limit_anonymous)
        self._store = store or _store(settings.rate_limit_url)

    async def check(self, principal_key: str) -> None:
        """Counts a request of a principal.

        Raises:
            TooManyRequests: it has used its share up.
        """
        await self._count(self._principal, principal_key, None)

    async def admit(self, state: RequestState) -> None:
        """Counts a request for whoever sent it: the principal, or the address while nobody is known.

        Raises:
            TooManyRequests: it has used its share up. The answer's headers say what the limit is.
        """
        principal = state.principal
        if principal is None:
            await self._count(self._anonymous, f"address/{network_of(state.client)}", state)
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
    """The limiter of this process."""
    return RateLimiter(platform.settings)


def network_of(address: str) -> str:
    """What counts as one caller: an IPv4 address, or an IPv6 network of 64 bits, which one customer gets whole."""
    if ":" not in address:
        return address
    try:
        parsed = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((parsed, 64), strict=False))


def _wait(limit: Limit, elapsed: float, current: int, previous: int) -> float:
    """Seconds until the window lets one more pass."""
    remaining = limit.seconds - elapsed
    room = limit.requests - 1
    if current <= room:
        # The window before fades: wait until what is left of it fits beside this one.
        return max(0.0, limit.seconds * (1 - (room - current) / previous) - elapsed)
    # Nothing more in this window; in the next one this one fades.
    return remaining + limit.seconds * (1 - room / current)


def _limit(policy: str, text: str) -> Limit | None:
    if not text:
        return None
    from limits import parse

    try:
        item = parse(text)
    except ValueError as error:
        raise InvalidArgument(f"The rate limit {text!r} cannot be read; write it like 100/second.") from error
    if item.amount < 1:
        raise InvalidArgument(f"The rate limit {text!r} lets nobody pass; leave it empty for no limit.")
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
        # The address stays out: it may hold a password.
        raise InvalidArgument(
            f"A store of kind {scheme!r} cannot be used for rate limits: {type(error).__name__}."
        ) from error
