"""Rate limits: who is counted together, when one more passes, what a refusal says, and a store that is away."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from api.kernel.http.rate_limits import RateLimiter, SharedWindows, Windows, _limit
from api.kernel.http.stack import Envelope
from api.kernel.http.state import state_of
from core.callers import caller_network
from core.errors import InvalidArgument, TooManyRequests
from core.settings import Settings


class Clock:
    def __init__(self) -> None:
        self.seconds = 6000.0

    def __call__(self) -> float:
        return self.seconds


async def passed(limiter: RateLimiter, key: str, times: int) -> int:
    count = 0
    for _ in range(times):
        try:
            await limiter.check(key)
            count += 1
        except TooManyRequests:
            pass
    return count


async def test_so_many_pass_and_no_more() -> None:
    limiter = RateLimiter(Settings(rate_limit="5/minute"), Windows(Clock()))
    assert await passed(limiter, "a", 9) == 5
    assert await passed(limiter, "b", 9) == 5, "another principal has its own"


async def test_the_advised_wait_is_enough_and_not_too_long() -> None:
    clock = Clock()
    limiter = RateLimiter(Settings(rate_limit="10/minute"), Windows(clock))
    for start in (0.0, 20.0, 59.0):
        clock.seconds = 12_000 + start
        assert await passed(limiter, f"a{start}", 10) == 10
        with pytest.raises(TooManyRequests) as refused:
            await limiter.check(f"a{start}")
        wait = refused.value.retry_after_seconds
        assert wait is not None
        assert 1 <= wait <= 120
        clock.seconds += wait
        await limiter.check(f"a{start}")


async def test_the_window_slides_and_does_not_start_anew() -> None:
    clock = Clock()
    limiter = RateLimiter(Settings(rate_limit="60/minute"), Windows(clock))
    clock.seconds += 59
    assert await passed(limiter, "a", 60) == 60
    clock.seconds += 2
    assert await passed(limiter, "a", 60) <= 2, "a burst on both sides of a minute is still too much"
    clock.seconds += 120
    assert await passed(limiter, "a", 100) == 60


async def test_who_is_gone_is_forgotten() -> None:
    clock = Clock()
    windows = Windows(clock)
    limiter = RateLimiter(Settings(rate_limit="5/second"), windows)
    for number in range(1000):
        await limiter.check(f"caller {number}")
    clock.seconds += 10
    await limiter.check("new")
    assert len(windows._counts) == 1


async def test_no_limit_where_none_is_set() -> None:
    limiter = RateLimiter(Settings(rate_limit=""))
    assert await passed(limiter, "a", 500) == 500


@pytest.mark.parametrize(
    "settings",
    [
        {"rate_limit": "many"},
        {"rate_limit_anonymous": "0/minute"},
        {"rate_limit_url": "redis://user:hunter2@nowhere"},
        {"rate_limit_url": "memory://"},
        {"rate_limit_url": "nonsense://hunter2"},
    ],
)
def test_a_setting_that_cannot_be_used_is_refused_at_the_start(settings: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument) as refused:
        RateLimiter(Settings(**settings))
    assert "hunter2" not in refused.value.detail


def test_one_customer_of_ipv6_is_one_caller() -> None:
    assert caller_network("2001:db8::1") == caller_network("2001:db8::ffff:1") != caller_network("2001:db8:0:1::1")
    assert caller_network("::ffff:10.0.0.1") == caller_network("10.0.0.1") == "10.0.0.1"
    assert caller_network("not:an:address") == "not:an:address"


async def test_a_shared_store_counts_for_all_who_use_it() -> None:
    first = RateLimiter(Settings(rate_limit="5/hour", rate_limit_url="async+memory://"))
    second = RateLimiter(Settings(rate_limit="5/hour"), first._store)
    assert await passed(first, "a", 3) + await passed(second, "a", 9) == 5
    with pytest.raises(TooManyRequests) as refused:
        await second.check("a")
    assert refused.value.retry_after_seconds >= 1  # type: ignore[operator]


class Away:
    """A store that fails, or never answers."""

    def __init__(self, *, hangs: bool) -> None:
        self.hangs = hangs

    async def hit(self, item: Any, key: str) -> bool:
        if self.hangs:
            await asyncio.sleep(60)
        raise ConnectionError("no route to redis://:hunter2@host")


@pytest.mark.parametrize("blocks", [True, False])
async def test_requests_pass_while_the_store_is_away(blocks: bool, caplog: pytest.LogCaptureFixture) -> None:
    limiter = RateLimiter(Settings(rate_limit="1/hour"), SharedWindows(Away(hangs=blocks)))  # type: ignore[arg-type]
    assert await passed(limiter, "a", 3) == 3
    reported = [record for record in caplog.records if "rate limits" in record.getMessage()]
    assert len(reported) == 1, "told once a minute, not at each request"


async def test_the_refusal_names_the_limit_and_the_wait() -> None:
    limiter = RateLimiter(Settings(rate_limit_anonymous="2/minute"))

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await limiter.admit(state_of(scope))
        await PlainTextResponse("welcome")(scope, receive, send)

    transport = httpx.ASGITransport(Envelope(app, tls=False), client=("10.1.2.3", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        assert [(await http.get("/")).status_code for _ in range(3)] == [200, 200, 429]
        refused = await http.get("/")
    wait = refused.headers["retry-after"]
    assert 1 <= int(wait) <= 120
    assert refused.headers["ratelimit-policy"] == '"anonymous";q=2;w=60'
    assert refused.headers["ratelimit"] == f'"anonymous";r=0;t={wait}'
    assert refused.json()["reason"] == "TOO_MANY_REQUESTS"


def test_a_limit_reads_as_it_is_written() -> None:
    limit = _limit("principal", "100 per 10 seconds")
    assert limit is not None
    assert (limit.requests, limit.seconds) == (100, 10)
