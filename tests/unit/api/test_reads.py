"""Shared reads: who may share a snapshot, and that none spoils, delays or forgets another."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.storage.reads import SharedReads
from api.kernel.workers import Pool
from core.db import Database
from core.errors import NotFound, Unavailable

Pools = Callable[..., Pool]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    sqlite = request.param == "sqlite"
    database = Database(f"sqlite:///{tmp_path}/test.db" if sqlite else request.getfixturevalue("postgresql_url"))
    with database.write() as connection:
        connection.execute(sa.text("create table thing (number integer)"))
    yield database
    database.close()


@pytest.fixture
def pool(database: Database) -> Iterator[Pools]:
    """Makes pools; their threads end before the database is closed, as those of a platform do."""
    made: list[Pool] = []

    def make(threads: int = 2, waiting: int = 64) -> Pool:
        made.append(Pool("tests", threads, waiting))
        return made[-1]

    yield make
    for each in made:
        each.close()


def count(connection: Connection) -> int:
    return int(connection.execute(sa.text("select count(*) from thing")).scalar_one())


def add(database: Database) -> None:
    with database.write() as connection:
        connection.execute(sa.text("insert into thing values (1)"))


def held(
    opened: threading.Event,
    function: Callable[[Connection], Any] = count,
    *,
    begun: threading.Event | None = None,
) -> Callable[[Connection], Any]:
    """A read that signals that it has begun and ends after `opened`."""

    def read(connection: Connection) -> Any:
        if begun:
            begun.set()
        assert opened.wait(60)
        return function(connection)

    return read


async def test_those_who_wait_share_a_connection(database: Database, pool: Pools) -> None:
    reads, opened, begun = SharedReads(database, pool(threads=1)), threading.Event(), threading.Event()
    first = asyncio.ensure_future(reads.run(held(opened, id, begun=begun)))
    assert await asyncio.to_thread(begun.wait, 60)
    checkouts: list[int] = []
    sa.event.listen(database.engine, "checkout", lambda *_: checkouts.append(1))
    others = [asyncio.ensure_future(reads.run(id)) for _ in range(20)]
    await asyncio.sleep(0)
    opened.set()
    await first
    assert len({*await asyncio.gather(*others)}) == 1
    assert len(checkouts) == 1


async def test_a_read_sees_what_was_committed_before_it_was_asked_for(database: Database, pool: Pools) -> None:
    reads, opened, begun = SharedReads(database, pool(threads=1)), threading.Event(), threading.Event()

    def begins(connection: Connection) -> int:
        before = count(connection)
        begun.set()
        assert opened.wait(60)
        return before

    first = asyncio.ensure_future(reads.run(begins))
    assert await asyncio.to_thread(begun.wait, 60)
    add(database)
    second = asyncio.ensure_future(reads.run(count))
    await asyncio.sleep(0)
    opened.set()
    assert (await first, await second) == (0, 1)


async def test_a_slow_read_holds_up_none_that_another_thread_can_take(database: Database, pool: Pools) -> None:
    reads, opened, both = SharedReads(database, pool(threads=2)), threading.Event(), threading.Barrier(3)

    def meets(connection: Connection) -> None:
        both.wait(20)

    busy = [asyncio.ensure_future(reads.run(meets)) for _ in range(2)]
    await asyncio.sleep(0.05)
    slow = asyncio.ensure_future(reads.run(held(opened)))
    quick = [asyncio.ensure_future(reads.run(count)) for _ in range(10)]
    await asyncio.sleep(0)
    await asyncio.to_thread(both.wait, 20)
    await asyncio.gather(*busy)
    assert await asyncio.wait_for(asyncio.gather(*quick), 60) == [0] * 10
    assert not slow.done()
    opened.set()
    assert await slow == 0


async def test_a_failure_is_its_callers_alone(database: Database, pool: Pools) -> None:
    reads, opened = SharedReads(database, pool(threads=1)), threading.Event()

    def refused(connection: Connection) -> None:
        raise NotFound("There is none.")

    def spoils(connection: Connection) -> None:
        connection.execute(sa.text("select * from no_such_table"))

    asked = [held(opened), count, refused, count, spoils, count]
    found = [asyncio.ensure_future(reads.run(read)) for read in asked]
    await asyncio.sleep(0.05)
    opened.set()
    results = await asyncio.gather(*found, return_exceptions=True)
    assert [results[0], results[1], results[3], results[5]] == [0, 0, 0, 0]
    assert isinstance(results[2], NotFound)
    assert isinstance(results[4], Unavailable | sa.exc.ProgrammingError)


async def test_nobody_waits_for_one_who_gave_up_and_all_are_counted(database: Database, pool: Pools) -> None:
    threads = pool(threads=1, waiting=2)
    reads, opened, ran = SharedReads(database, threads), threading.Event(), []
    first = asyncio.ensure_future(reads.run(held(opened)))
    await asyncio.sleep(0.05)
    gone = asyncio.ensure_future(reads.run(ran.append))
    last = asyncio.ensure_future(reads.run(count))
    await asyncio.sleep(0)
    with pytest.raises(Unavailable, match="busy"):
        await reads.run(count)
    assert (threads.held, threads.refused) == (3, 1)
    gone.cancel()
    opened.set()
    assert (await first, await last) == (0, 0)
    assert ran == []
    assert threads.held == 0


async def test_a_database_that_is_gone_fails_each_and_returns(
    database: Database, pool: Pools, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads, connect = SharedReads(database, pool()), database.engine.connect

    def gone() -> Any:
        raise sa.exc.OperationalError("connect", {}, Exception("gone"))

    monkeypatch.setattr(database.engine, "connect", gone)
    found = await asyncio.gather(*(reads.run(count) for _ in range(5)), return_exceptions=True)
    assert all(isinstance(each, Unavailable) for each in found)
    monkeypatch.setattr(database.engine, "connect", connect)
    assert await reads.run(count) == 0


async def test_many_readers_beside_a_writer_lose_nothing(database: Database, pool: Pools) -> None:
    reads = SharedReads(database, pool(threads=2, waiting=1000))
    for n in range(20):
        seen = await asyncio.gather(*(reads.run(count) for _ in range(40)))
        assert set(seen) == {n}
        await asyncio.to_thread(add, database)
