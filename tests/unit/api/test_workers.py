"""Thread pools: bounded, and honest when they are full."""

from __future__ import annotations

import asyncio
import threading

import pytest

from api.kernel.workers import Pool
from core.errors import Conflict, Unavailable


async def test_results_and_errors_come_back() -> None:
    pool = Pool("test", 1, 1)
    assert await pool.run(lambda a, b: a + b, 1, b=2) == 3

    def fail() -> None:
        raise Conflict("taken")

    with pytest.raises(Conflict, match="taken"):
        await pool.run(fail)
    pool.close()


async def test_more_callers_than_may_wait_are_refused_and_let_in_again_later() -> None:
    pool, gate = Pool("test", 1, 1), threading.Event()
    held = [asyncio.create_task(pool.run(gate.wait)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable, match="busy"):
        await pool.run(gate.wait)
    gate.set()
    await asyncio.gather(*held)
    assert await pool.run(lambda: 1) == 1
    pool.close()


async def test_a_caller_that_gives_up_still_holds_its_place_until_the_work_ends() -> None:
    pool, gate = Pool("test", 1, 0), threading.Event()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await pool.run(gate.wait)
    with pytest.raises(Unavailable):
        await pool.run(gate.wait)
    gate.set()
    async with asyncio.timeout(60):
        while pool.held:
            await asyncio.sleep(0.01)
    assert await pool.run(lambda: 1) == 1
    pool.close()
