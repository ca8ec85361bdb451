"""Tables that grow from a connection: from a cursor on or by key, with ties, other columns, and kills."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as sa

from tests.api.connections.conftest import Project
from tests.api.connections.connected_tables import ASSET, ORDERS, execute, failure, run, tables
from tests.api_process import Api
from tests.remote_postgresql import RemotePostgreSql

QUERY = "SELECT *, at::date AS day FROM public.events"
BY_CURSOR = {"query": QUERY, "mode": "incremental", "cursor": "n"}
BY_KEY = {"mode": "by_key", "key": ["id"]}


@pytest.fixture
async def shop(project: Project, remote: RemotePostgreSql) -> RemotePostgreSql:
    """A connection to a database with events."""
    execute(remote, *ORDERS, "CREATE TABLE public.events (id int, n int, at timestamptz, price numeric(12, 4))")
    execute(remote, "GRANT ALL ON public.events TO PUBLIC")
    await project.connection("shop", remote)
    return remote


def insert(shop: RemotePostgreSql, *events: tuple[int, int | str]) -> None:
    """Inserts events, each with an id and with a number from which its time and price follow."""
    for id, n in events:
        at = f"'2026-01-01Z'::timestamptz + {n} * interval '12 hours'"
        execute(shop, f"INSERT INTO public.events VALUES ({id}, {n}, {at}, {n} + 0.5)")


def ids(api: Api, column: str = "id") -> list[Any]:
    return tables(api).snapshot(ASSET).to_arrow().sort_by("id").column(column).to_pylist()


@pytest.mark.parametrize("cursor", ["n", "at", "price", "day"])
async def test_ties_at_the_highest_value_are_neither_lost_nor_doubled(
    api: Api, shop: RemotePostgreSql, runs: dg.DagsterInstance, cursor: str
) -> None:
    source = BY_CURSOR | {"cursor": cursor}
    insert(shop, (1, 1), (2, 2))
    assert (await run(runs, **source)).success
    insert(shop, (3, 2), (4, 3))
    result = await run(runs, **source)
    assert result.success, failure(result)
    assert ids(api) == [1, 2, 3, 4]
    version = tables(api).snapshot(ASSET).data_version
    assert (await run(runs, **source)).success
    assert (ids(api), tables(api).snapshot(ASSET).data_version) == ([1, 2, 3, 4], version)


async def test_an_overlap_finds_rows_that_were_committed_late(
    api: Api, shop: RemotePostgreSql, runs: dg.DagsterInstance
) -> None:
    source = BY_CURSOR | {"cursor": "at", "overlap": 24 * 3600}
    insert(shop, (1, 1), (2, 10))
    assert (await run(runs, **source)).success
    insert(shop, (3, 8), (4, 7))
    assert (await run(runs, **source)).success
    assert ids(api) == [1, 2, 3]


async def test_a_null_in_the_cursor_is_refused(api: Api, shop: RemotePostgreSql, runs: dg.DagsterInstance) -> None:
    insert(shop, (1, 1))
    assert (await run(runs, **BY_CURSOR)).success
    insert(shop, (2, "NULL"))
    assert "n is null in some rows" in failure(await run(runs, **BY_CURSOR))
    without = BY_CURSOR | {"query": f"{QUERY} WHERE n IS NOT NULL"}
    assert (await run(runs, **without)).success
    assert ids(api) == [1]


async def test_columns_are_added_and_widened_and_another_type_is_refused(
    api: Api, shop: RemotePostgreSql, runs: dg.DagsterInstance
) -> None:
    insert(shop, (0, 0), (1, 1))
    assert (await run(runs, **BY_CURSOR)).success
    execute(shop, "ALTER TABLE public.events ADD COLUMN note text DEFAULT 'new', ALTER COLUMN n TYPE bigint")
    execute(shop, "INSERT INTO public.events VALUES (2, 5000000000, NULL, NULL)")
    result = await run(runs, **BY_CURSOR)
    assert result.success, failure(result)
    assert (ids(api, "n"), ids(api, "note")) == ([0, 1, 5000000000], [None, "new", "new"])
    execute(shop, "ALTER TABLE public.events DROP COLUMN price")
    assert (await run(runs, **BY_CURSOR)).success
    execute(shop, "ALTER TABLE public.events ALTER COLUMN id TYPE text")
    assert "id is declared as string but is int32" in failure(await run(runs, **BY_CURSOR))
    assert ids(api) == [0, 1, 2]


async def test_another_query_loads_all_rows_again(api: Api, shop: RemotePostgreSql, runs: dg.DagsterInstance) -> None:
    insert(shop, (1, 1), (2, 2))
    assert (await run(runs, **BY_CURSOR)).success
    result = await run(runs, **BY_CURSOR | {"query": "SELECT id, n FROM public.events"})
    assert result.success, failure(result)
    assert tables(api).snapshot(ASSET).schema.names == ["id", "n"]
    assert ids(api) == [1, 2]


async def test_other_texts_keep_rows_that_the_database_no_longer_has(
    api: Api, shop: RemotePostgreSql, runs: dg.DagsterInstance
) -> None:
    insert(shop, (1, 1), (2, 2))
    assert (await run(runs, **BY_CURSOR)).success
    execute(shop, "DELETE FROM public.events WHERE id = 1")
    assert (await run(runs, {"id": "Another text."}, **BY_CURSOR)).success
    assert ids(api) == [1, 2]


@pytest.mark.parametrize("deletes", ["ignore", "detect"])
async def test_rows_are_updated_by_key_and_deleted_only_if_that_is_declared(
    api: Api, shop: RemotePostgreSql, runs: dg.DagsterInstance, deletes: str
) -> None:
    source = BY_KEY | {"deletes": deletes}
    assert (await run(runs, **source)).success
    execute(
        shop,
        "UPDATE public.orders SET amount = 7 WHERE id = 1",
        "DELETE FROM public.orders WHERE id = 2",
        "INSERT INTO public.orders VALUES (4, 1, NULL)",
    )
    result = await run(runs, **source)
    assert result.success, failure(result)
    assert ids(api) == ([1, 3, 4] if deletes == "detect" else [1, 2, 3, 4])
    assert str(ids(api, "amount")[0]) == "7.00"


async def test_only_rows_from_the_cursor_on_are_updated_by_key(
    api: Api, shop: RemotePostgreSql, runs: dg.DagsterInstance
) -> None:
    source = BY_KEY | {"query": QUERY, "cursor": "n"}
    insert(shop, (1, 1), (2, 2))
    assert (await run(runs, **source)).success
    execute(shop, "UPDATE public.events SET price = 0", "UPDATE public.events SET n = 3 WHERE id = 1")
    execute(shop, "UPDATE public.events SET n = 1 WHERE id = 2")
    assert (await run(runs, **source)).success
    assert [str(price) for price in ids(api, "price")] == ["0.0000", "2.5000"]
    insert(shop, (1, 4))
    assert "same key" in failure(await run(runs, **source | {"query": f"{QUERY} WHERE id = 1"}))


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("moment", ["reading", "committed"])
async def test_a_run_that_is_killed_loses_and_doubles_nothing(
    api: Api, shop: RemotePostgreSql, runs: dg.DagsterInstance, moment: str
) -> None:
    gated = f"{QUERY} WHERE n < 5 OR pg_advisory_xact_lock_shared(7) IS NOT NULL"
    execute(shop, f"CREATE VIEW public.gated AS {gated}", "GRANT SELECT ON public.gated TO PUBLIC")
    source = {"table": "public.gated", "mode": "incremental", "cursor": "n"}
    insert(shop, *((n, n) for n in range(5)))
    assert (await run(runs, **source)).success
    insert(shop, *((n, n) for n in range(5, 9)))
    program = [sys.executable, "-m", "tests.api.connections.killed_run", json.dumps(source), moment]
    engine = sa.create_engine(shop.url, poolclass=sa.pool.NullPool)
    copying = sa.text("SELECT count(*) FROM pg_stat_activity WHERE usename = :user AND query LIKE 'COPY%'")
    with engine.connect() as observer, engine.connect() as lock:
        if moment == "reading":
            lock.exec_driver_sql("SELECT pg_advisory_xact_lock(7)")
        process = subprocess.Popen(program, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while moment == "reading" and not observer.scalar(copying, {"user": shop.user}):
            assert process.poll() is None
            observer.rollback()
        if moment == "reading":
            process.kill()
        assert process.wait() == -signal.SIGKILL
        lock.rollback()
        while observer.scalar(copying, {"user": shop.user}):
            observer.rollback()
    assert ids(api) == (list(range(5)) if moment == "reading" else list(range(9)))
    insert(shop, (9, 8))
    result = await run(runs, **source)
    assert result.success, failure(result)
    assert ids(api) == list(range(10))
