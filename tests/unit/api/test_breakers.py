"""Dependencies: when a breaker opens, who may try, what is sent again, and what a client of Dagster is told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from api.gateways.dagster.client import DagsterClient
from api.kernel.breakers import BreakerState, Dependencies, Dependency, RetryBudget
from core.errors import LaunchUnconfirmed, Unavailable


class Outside:
    """Something that fails as long as it is told to, and counts who asks."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error
        self.asked = 0

    async def __call__(self) -> str:
        self.asked += 1
        if self.error:
            raise self.error
        return "answer"


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def dependency(clock: Clock) -> Dependency:
    return Dependency(
        "Mail",
        timeout_seconds=0.05,
        is_failure=lambda error: isinstance(error, OSError),
        failures=3,
        open_seconds=10,
        now=clock,
    )


async def fail(dependency: Dependency, make: Callable[[], Awaitable[Any]], times: int) -> None:
    for _ in range(times):
        with pytest.raises((OSError, TimeoutError)):
            await dependency.call(make, idempotent=False)


async def test_it_opens_after_so_many_failures_in_a_row(dependency: Dependency) -> None:
    away, well = Outside(ConnectionError()), Outside()
    await fail(dependency, away, 2)
    assert await dependency.call(well, idempotent=False) == "answer"
    await fail(dependency, away, 2)
    assert dependency.state is BreakerState.CLOSED, "a success between resets the count"
    await fail(dependency, away, 1)
    assert dependency.state is BreakerState.OPEN


async def test_open_refuses_at_once_and_says_for_how_long(dependency: Dependency, clock: Clock) -> None:
    away = Outside(ConnectionError())
    await fail(dependency, away, 3)
    clock.seconds += 3.5
    with pytest.raises(Unavailable) as refused:
        await dependency.call(away, idempotent=True)
    assert refused.value.retry_after_seconds == 7
    assert away.asked == 3
    assert (dependency.snapshot().refused, dependency.snapshot().retry_after_seconds) == (1, 6.5)


async def test_one_call_tries_it_out_and_closes_it(dependency: Dependency, clock: Clock) -> None:
    await fail(dependency, Outside(ConnectionError()), 3)
    clock.seconds += 10
    release = asyncio.Event()

    async def probe() -> str:
        await release.wait()
        return "back"

    trying = asyncio.create_task(dependency.call(probe, idempotent=True, timeout_seconds=5))
    await asyncio.sleep(0)
    assert dependency.state is BreakerState.HALF_OPEN
    others = Outside()
    with pytest.raises(Unavailable):
        await dependency.call(others, idempotent=True)
    assert others.asked == 0, "only one may try"
    release.set()
    assert await trying == "back"
    assert dependency.state is BreakerState.CLOSED
    assert await dependency.call(others, idempotent=True) == "answer"


async def test_a_failed_trial_opens_it_for_another_while(dependency: Dependency, clock: Clock) -> None:
    away = Outside(ConnectionError())
    await fail(dependency, away, 3)
    clock.seconds += 10
    await fail(dependency, away, 1)
    assert dependency.state is BreakerState.OPEN
    clock.seconds += 9
    with pytest.raises(Unavailable):
        await dependency.call(Outside(), idempotent=True)
    clock.seconds += 1
    assert await dependency.call(Outside(), idempotent=True) == "answer"


async def test_a_trial_that_is_given_up_does_not_block_the_next(dependency: Dependency, clock: Clock) -> None:
    await fail(dependency, Outside(ConnectionError()), 3)
    clock.seconds += 10
    given_up = asyncio.create_task(dependency.call(lambda: asyncio.sleep(60), idempotent=True, timeout_seconds=90))
    await asyncio.sleep(0)
    given_up.cancel()
    with pytest.raises(asyncio.CancelledError):
        await given_up
    assert await dependency.call(Outside(), idempotent=True) == "answer"
    assert dependency.state is BreakerState.CLOSED


async def test_slow_is_as_bad_as_away(dependency: Dependency) -> None:
    await fail(dependency, lambda: asyncio.sleep(60), 3)
    assert dependency.state is BreakerState.OPEN


async def test_what_it_merely_refuses_does_not_speak_against_it(dependency: Dependency) -> None:
    for _ in range(9):
        with pytest.raises(ValueError, match="no such mailbox"):
            await dependency.call(Outside(ValueError("no such mailbox")), idempotent=True)
    assert dependency.state is BreakerState.CLOSED


async def test_an_answer_from_before_does_not_close_it(dependency: Dependency) -> None:
    release = asyncio.Event()
    early = asyncio.create_task(dependency.call(release.wait, idempotent=False, timeout_seconds=5))
    await asyncio.sleep(0)
    await fail(dependency, Outside(ConnectionError()), 3)
    release.set()
    assert await early
    assert dependency.state is BreakerState.OPEN


async def test_only_what_may_happen_twice_is_sent_twice(dependency: Dependency) -> None:
    for _ in range(5):
        await dependency.call(Outside(), idempotent=True)
    change = Outside(ConnectionError())
    await fail(dependency, change, 1)
    assert change.asked == 1
    read = Outside(ConnectionError())
    with pytest.raises(ConnectionError):
        await dependency.call(read, idempotent=True)
    assert read.asked == 2


async def test_retries_stay_a_fifth_of_the_calls() -> None:
    dependency = Dependency("Mail", timeout_seconds=1, is_failure=lambda error: True, failures=10_000)
    away = Outside(ConnectionError())
    for _ in range(50):
        with pytest.raises(ConnectionError):
            await dependency.call(away, idempotent=True)
    assert dependency.snapshot().retries == 10
    assert away.asked == 60


def test_an_unused_budget_does_not_grow_for_ever() -> None:
    budget = RetryBudget(0.2)
    for _ in range(10_000):
        budget.earn()
    assert sum(budget.spend() for _ in range(100)) == 10


async def test_all_dependencies_are_seen_by_name(dependency: Dependency) -> None:
    known = Dependencies()
    known.add(dependency)
    known.add(Dependency("Archive", timeout_seconds=1, is_failure=lambda error: True))
    await fail(dependency, Outside(ConnectionError()), 3)
    assert [(one.name, one.state.value, one.failures) for one in known.states()] == [
        ("Archive", "CLOSED", 0),
        ("Mail", "OPEN", 3),
    ]


class Webserver:
    """A Dagster whose answers a test decides."""

    def __init__(self, answer: Callable[[httpx.Request], httpx.Response]) -> None:
        self.asked = 0
        self._answer = answer
        self.client = DagsterClient("http://dagster.test")
        self.client._http = httpx.AsyncClient(transport=httpx.MockTransport(self.serve), base_url="http://dagster.test")

    def serve(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        return self._answer(request)


def refuse(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused", request=request)


def hang_up(request: httpx.Request) -> httpx.Response:
    raise httpx.ReadError("reset", request=request)


class TestDagster:
    async def test_an_unconfirmed_launch_is_never_sent_again(self) -> None:
        dagster = Webserver(hang_up)
        for sent in range(1, 5):
            with pytest.raises(LaunchUnconfirmed):
                await dagster.client.change("mutation { launch }")
            assert dagster.asked == sent

    async def test_a_launch_that_did_not_reach_it_was_not_done(self) -> None:
        dagster = Webserver(refuse)
        for _ in range(9):
            with pytest.raises(Unavailable) as refused:
                await dagster.client.change("mutation { launch }")
            assert not isinstance(refused.value, LaunchUnconfirmed)
        assert dagster.asked == 5, "then it is left alone, which also means that nothing was done"

    async def test_reads_are_refused_while_it_is_left_alone_and_answered_when_it_is_back(self) -> None:
        dagster = Webserver(refuse)
        for _ in range(9):
            with pytest.raises(Unavailable) as refused:
                await dagster.client.read("{ version }")
            assert refused.value.retry_after_seconds
        assert dagster.client.dependency.state is BreakerState.OPEN
        dagster._answer = lambda request: httpx.Response(200, json={"data": {"version": "1"}})
        await asyncio.sleep(1.05)
        assert await dagster.client.read("{ version }") == {"version": "1"}
        assert dagster.client.dependency.state is BreakerState.CLOSED

    async def test_an_error_it_answers_shows_that_it_is_there(self) -> None:
        dagster = Webserver(lambda request: httpx.Response(200, json={"errors": [{"message": "no such field"}]}))
        for _ in range(9):
            with pytest.raises(Unavailable, match="no such field"):
                await dagster.client.read("{ nonsense }")
        assert dagster.asked == 9
