"""Statements of many callers, of callers who leave, and in processes that are killed.

Kind of fault: a statement of a caller who no longer waits holds a process that others wait for, or one principal's
requests hold all processes.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from typing import Any

import httpx
import psutil
import pyarrow as pa
import pytest

from api.services.ai_catalog.logic.turns import Turns
from core.errors import TooManyRequests
from lakehouse.tables import Tables
from tests.api.admin.tenants import made, user
from tests.api_process import Api, Caller
from tests.lakehouse_tables import make_tables

ENDLESS = "SELECT max(a.range * b.range) FROM range(10000000) AS a, range(10000000) AS b"
ROWS = "SELECT sum(range)::BIGINT AS total FROM range(1000000)"


@pytest.fixture
def query_processes() -> None:
    """The API has its processes, which these tests are about."""


@pytest.fixture
def tables(api: Api) -> Tables:
    return make_tables(api.app.platform.settings, api.database)


def processes() -> list[psutil.Process]:
    """The processes of statements of this test, zombies included."""
    found = []
    for child in psutil.Process(os.getpid()).children():
        try:
            if child.status() == psutil.STATUS_ZOMBIE or "lakehouse.query_worker" in child.cmdline():
                found.append(child)
        except psutil.NoSuchProcess:
            continue
    return found


async def until(holds: Any) -> None:
    while not holds():
        await asyncio.sleep(0.05)


async def left(caller: Caller, sql: str, gone: asyncio.Event) -> list[dict[str, Any]]:
    """Asks for a statement and goes away when told; returns what was answered."""
    url = httpx.URL("/api/v1/ai-catalog/queries:run")
    sent: list[dict[str, Any]] = []
    asked: list[bool] = []

    async def receive() -> dict[str, Any]:
        if not asked:
            asked.append(True)
            return {"type": "http.request", "body": json.dumps({"sql": sql}).encode(), "more_body": False}
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = caller._scope("ai-catalog/queries:run", {}) | {"method": "POST", "raw_path": url.raw_path}
    scope["headers"] = [*scope["headers"], (b"content-type", b"application/json")]
    await caller.app(scope, receive, send)
    return sent


async def test_who_leaves_ends_the_statement_also_one_that_waits(api: Api, tables: Tables) -> None:
    pool, gone = api.app.platform.workers.queries, asyncio.Event()
    leaving = [asyncio.create_task(left(api.viewer, ENDLESS, gone)) for _ in range(3)]
    await until(lambda: pool.held == 3 and len(processes()) == 2)
    running = {process.pid for process in processes()}
    gone.set()
    await asyncio.gather(*leaving)
    await until(lambda: pool.held == 0 and not running & {process.pid for process in processes()})
    reply = await api.viewer.post("ai-catalog/queries:run", {"sql": ROWS})
    assert reply.json["rows"] == [[499999500000]], "the next one runs"


async def test_many_callers_share_two_processes(api: Api, tables: Tables) -> None:
    names = ("ana", "bo", "cy", "di")
    callers = []
    for name in names:
        await user(api, name)
        callers.append(api.caller(name))
    most: list[int] = []

    async def ask(caller: Caller) -> Any:
        reply = await caller.post("ai-catalog/queries:run", {"sql": ROWS})
        most.append(len(processes()))
        return reply

    replies = await asyncio.gather(*(ask(caller) for caller in callers for _ in range(5)))
    assert max(most) <= 2
    assert {reply.status for reply in replies} <= {200, 503}
    assert all(reply.headers["retry-after"] for reply in replies if reply.status == 503)
    done = [reply for reply in replies if reply.status == 200]
    assert len(done) >= 18, "two run and sixteen wait"
    assert all(reply.json["rows"] == [[499999500000]] for reply in done)
    pool, gone = api.app.platform.workers.queries, asyncio.Event()
    leaving = [asyncio.create_task(left(callers[0], ENDLESS, gone)) for _ in range(8)]
    await until(lambda: pool.held == 8)
    refused = await ask(callers[0])
    assert (refused.status, refused.reason) == (429, "TOO_MANY_REQUESTS")
    assert refused.headers["retry-after"]
    gone.set()
    await asyncio.gather(*leaving)
    await until(lambda: pool.held == 0)


async def test_a_killed_process_is_told_as_such_and_leaves_no_zombie(api: Api, tables: Tables) -> None:
    asking = asyncio.create_task(api.viewer.post("ai-catalog/queries:run", {"sql": ENDLESS}))
    await until(lambda: len(processes()) == 1)
    (process,) = processes()
    await until(lambda: process.cpu_times().user > 2)
    os.kill(process.pid, signal.SIGKILL)
    reply = await asking
    assert (reply.status, reply.reason) == (503, "UNAVAILABLE")
    assert "was killed" in reply.json["detail"]
    assert reply.headers["retry-after"]
    await made(api.viewer.post("ai-catalog/queries:run", {"sql": ROWS}))
    (idle,) = processes()
    os.kill(idle.pid, signal.SIGKILL)  # it inherits which other signals are ignored
    await until(lambda: processes() == [])


async def test_waiting_principals_take_turns() -> None:
    turns, order = Turns(1, 3), []
    hold = asyncio.Event()

    async def take_turn(name: str) -> None:
        async with turns.turn(name[0]):
            await hold.wait()
            order.append(name)

    async def all_of(*names: str) -> list[asyncio.Task[None]]:
        tasks = []
        for name in names:
            tasks.append(asyncio.create_task(take_turn(name)))
            await asyncio.sleep(0)
        return tasks

    tasks = await all_of("a1", "a2", "a3", "b1", "b2", "c1")
    with pytest.raises(TooManyRequests):
        await take_turn("a4")
    tasks[2].cancel()
    await asyncio.sleep(0)
    hold.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert order == ["a1", "a2", "b1", "c1", "b2"]
    await take_turn("a5")


VALUES = (
    "SELECT 9223372036854775807::BIGINT AS i64, 18446744073709551615::UBIGINT AS u64, "
    "12345678901234567.89::DECIMAL(38,2) AS d, TIMESTAMP '2024-01-02 03:04:05.678901' AS plain,"
    " TIMESTAMPTZ '2024-01-02 03:04:05+02' AS zoned,"
    " DATE '0001-01-01' AS day, 'NaN'::DOUBLE AS nan, 'inf'::DOUBLE AS inf, '\\x00\\xff'::BLOB AS bytes,"
    " [1, NULL] AS list, {'a': 1, 'b': [TRUE]} AS struct, MAP {'k': 1} AS map, NULL::INTEGER AS missing"
)


async def test_json_and_arrow_say_the_same_of_every_type(api: Api, tables: Tables) -> None:
    answer = await made(api.viewer.post("ai-catalog/queries:run", {"sql": VALUES}))
    reply = await api.viewer.post(
        "ai-catalog/queries:run", {"sql": VALUES}, headers={"accept": "application/vnd.apache.arrow.stream"}
    )
    (arrow,) = pa.ipc.open_stream(reply.response.content).read_all().to_pylist()
    values = dict(zip((column["name"] for column in answer["columns"]), answer["rows"][0], strict=True))
    assert (values["i64"], values["u64"]) == (arrow["i64"], arrow["u64"]) == (2**63 - 1, 2**64 - 1)
    assert str(arrow["d"]) == str(values["d"]) == "12345678901234567.89"
    assert values["plain"] == arrow["plain"].isoformat()
    assert values["zoned"].replace("Z", "+00:00") == arrow["zoned"].isoformat() == "2024-01-02T01:04:05+00:00"
    assert values["day"] == arrow["day"].isoformat()
    assert (values["nan"], values["inf"]) == (None, None), "JSON has neither"
    assert values["bytes_encoding"] == "base64url"
    assert values["list"] == arrow["list"] == [1, None]
    assert values["struct"] == arrow["struct"]
    assert values["map"] in (dict(arrow["map"]), [list(pair) for pair in arrow["map"]], [{"key": "k", "value": 1}])
    assert values["missing"] is arrow["missing"] is None
