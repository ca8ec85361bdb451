"""The access log: one line per request, whatever becomes of it, and no place for a secret."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.kernel.http.access_log import LOGGER, AccessLog, sanitized, write_to
from api.kernel.http.stack import Envelope, Observer
from api.kernel.http.state import RequestState


class Lines:
    """What was written, as objects."""

    def __init__(self) -> None:
        self.stream = io.StringIO()

    def __call__(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]


@pytest.fixture
def lines() -> Iterator[Lines]:
    log = logging.getLogger(LOGGER)
    before = (log.level, log.propagate)
    written = Lines()
    handler = write_to(written.stream)
    log.setLevel(logging.INFO)
    yield written
    log.removeHandler(handler)
    log.setLevel(before[0])
    log.propagate = before[1]


async def ask(app: ASGIApp, path: str, *observers: Observer, **options: Any) -> httpx.Response:
    stack = Envelope(app, tls=False, observers=observers or [AccessLog()])
    transport = httpx.ASGITransport(stack, client=("10.9.8.7", 1), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        return await http.request("GET", path, **options)


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("hello")(scope, receive, send)


async def test_a_line_says_who_asked_for_what_and_what_became_of_it(lines: Lines) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    await ask(hello, "/x", headers={"x-request-id": "mine", "traceparent": f"00-{trace}-00f067aa0ba902b7-01"})
    (line,) = lines()
    assert line.pop("time").endswith("+00:00")
    assert 0 <= line.pop("duration_ms") < 5000
    assert line == {
        "request_id": "mine",
        "trace_id": trace,
        "method": "GET",
        "route": "",
        "status": 200,
        "bytes": 5,
        "principal": "",
        "client": "10.9.8.7",
        "path": "/x",
    }


async def test_no_header_and_no_query_is_written(lines: Lines) -> None:
    await ask(hello, "/x?token=hunter2", headers={"authorization": "Bearer hunter2", "cookie": "a=hunter2"})
    assert len(lines()) == 1
    assert "hunter2" not in lines.stream.getvalue()


def test_an_unknown_path_is_short_and_harmless() -> None:
    hostile = sanitized('/a\n{"forged": 1}\x1b[31m<script>\u00e9')
    assert hostile == "/a???forged?:?1???31m?script??"
    assert len(sanitized("/" + "x" * 10_000)) == 200
    assert sanitized("/api/v1/rag/indexes/a-b_c.d~e:search") == "/api/v1/rag/indexes/a-b_c.d~e:search"


async def test_what_breaks_has_its_line_too(lines: Lines) -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError("hunter2")

    async def torn(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise RuntimeError("hunter2")

    await ask(broken, "/broken")
    await ask(torn, "/torn")
    assert [(line["status"], line.get("aborted", False)) for line in lines()] == [(500, False), (200, True)]
    assert "hunter2" not in lines.stream.getvalue()


async def test_a_websocket_has_one_line_when_it_ends(lines: Lines) -> None:
    async def chat(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "four"})
        await send({"type": "websocket.close", "code": 1000})

    async def closed(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.close", "code": 4401, "reason": "UNAUTHENTICATED"})

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        return None

    for app in (chat, closed):
        scope = {"type": "websocket", "path": "/chat", "headers": [], "client": None}
        await Envelope(app, tls=False, observers=[AccessLog()])(scope, receive, send)
    assert [(line["method"], line["status"], line["bytes"]) for line in lines()] == [
        ("WEBSOCKET", 101, 4),
        ("WEBSOCKET", 403, 0),
    ]


async def test_a_failing_observer_costs_nobody_an_answer(lines: Lines, caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        def began(self, scope: Scope, state: RequestState) -> None:
            raise RuntimeError("began")

        def ended(self, scope: Scope, state: RequestState, served: object) -> None:
            raise RuntimeError("ended")

    reply = await ask(hello, "/x", Broken(), AccessLog())
    assert (reply.status_code, reply.text) == (200, "hello")
    assert len(lines()) == 1
    assert "an observer of a request failed" in caplog.text


async def test_a_less_verbose_log_has_no_lines(lines: Lines) -> None:
    logging.getLogger(LOGGER).setLevel(logging.WARNING)
    await ask(hello, "/x")
    assert lines() == []
