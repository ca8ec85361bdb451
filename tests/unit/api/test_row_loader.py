"""Rows by id, loaded together: each request gets its own row, as it was no earlier than at the request."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from api.kernel.storage import store
from api.kernel.storage.reads import SharedReads
from api.kernel.storage.row_loader import RowLoader
from api.kernel.storage.store import Stored
from api.kernel.tables import RESOURCE
from api.kernel.workers import Pool
from core import clock
from core.db import Database
from core.errors import Unavailable
from tests.databases import with_tables
from tests.resources import plain_row


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = with_tables(f"sqlite:///{tmp_path}/test.db")
    with database.write() as connection:
        rows = [plain_row() | {"id": f"thg_{n}", "name": f"t{n}"} for n in range(300)]
        connection.execute(RESOURCE.insert(), rows)
    yield database
    database.close()


@pytest.fixture
def loader(database: Database) -> Iterator[RowLoader]:
    pool = Pool("tests", 2, 64)
    yield RowLoader(SharedReads(database, pool))
    pool.close()


async def load(loader: RowLoader, id: str) -> Stored | None:
    return await loader.row("bench.row", id, within=None)


async def test_names_and_ids_are_told_apart_by_kind(database: Database, loader: RowLoader) -> None:
    with database.write() as connection:
        other = plain_row() | {"kind": "bench.other", "id": "oth_1", "name": "t1"}
        elsewhere = plain_row() | {"id": "thg_elsewhere", "name": "t1", "scope_id": "org_other"}
        gone = plain_row() | {"id": "thg_gone", "name": "gone", "deleted_at": clock.now()}
        connection.execute(RESOURCE.insert(), [other, elsewhere, gone])
    local = plain_row()["scope_id"]
    asked = [
        *(("bench.row", "t1", local), ("bench.other", "t1", local), ("bench.row", "oth_1", local)),
        *(("bench.row", "t1", None), ("bench.row", "gone", local), ("bench.row", "thg_gone", local)),
        *(("bench.row", "thg_1", local), ("bench.row", "t1", "org_other"), ("bench.row", "t2", "org_other")),
    ]
    rows = await asyncio.gather(*(loader.row(kind, id, within=within) for kind, id, within in asked))
    assert [row and row.id for row in rows] == [
        "thg_1",
        "oth_1",
        None,
        None,
        None,
        "thg_gone",
        "thg_1",
        "thg_elsewhere",
        None,
    ]
    with database.read() as connection:
        assert rows == [store.find(connection, kind, id, within=within) for kind, id, within in asked]


async def test_those_who_ask_together_share_selects_and_get_their_own(database: Database, loader: RowLoader) -> None:
    statements: list[str] = []
    sa.event.listen(database.engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    rows = await asyncio.gather(*(load(loader, f"thg_{n}") for n in range(300)))
    assert [row.name if row else "" for row in rows] == [f"t{n}" for n in range(300)]
    assert len([text for text in statements if text.startswith("SELECT")]) <= 3


async def test_what_is_not_there_is_none_and_twice_the_same_is_twice_answered(loader: RowLoader) -> None:
    rows = await asyncio.gather(load(loader, "thg_1"), load(loader, "thg_none"), load(loader, "thg_1"))
    assert [row and row.id for row in rows] == ["thg_1", None, "thg_1"]


async def test_who_asks_after_a_commit_sees_it_though_others_were_asking_before(
    database: Database, loader: RowLoader
) -> None:
    def rename(n: int) -> None:
        with database.write() as connection:
            connection.execute(RESOURCE.update().where(RESOURCE.c.id == "thg_7").values(name=f"renamed{n}"))

    earlier: list[asyncio.Future[object]] = []
    for n in range(30):
        earlier += [asyncio.ensure_future(load(loader, "thg_7")) for _ in range(20)]
        await asyncio.sleep(0)
        await asyncio.to_thread(rename, n)
        row = await load(loader, "thg_7")
        assert row is not None
        assert row.name == f"renamed{n}"
    await asyncio.gather(*earlier)


async def test_one_who_gives_up_takes_nothing_from_the_others(loader: RowLoader) -> None:
    gone, stays = (asyncio.ensure_future(load(loader, "thg_3")) for _ in range(2))
    await asyncio.sleep(0)
    gone.cancel()
    row = await stays
    assert row is not None
    assert row.name == "t3"
    assert gone.cancelled()


async def test_a_database_that_is_gone_is_told_to_all_and_its_return_is_noticed(
    database: Database, loader: RowLoader, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = database.engine.connect

    def gone() -> sa.Connection:
        raise sa.exc.OperationalError("connect", {}, Exception("gone"))

    monkeypatch.setattr(database.engine, "connect", gone)
    found = await asyncio.gather(*(load(loader, f"thg_{n}") for n in range(5)), return_exceptions=True)
    assert all(isinstance(each, Unavailable) for each in found)
    monkeypatch.setattr(database.engine, "connect", connect)
    assert await load(loader, "thg_1")
