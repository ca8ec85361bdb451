"""The outer layers: ids, headers, limits, and problems out of whatever escapes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.kernel.http.stack import Envelope, Limits
from core.errors import TooManyRequests


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse(await Request(scope, receive).body())(scope, receive, send)


async def broken(scope: Scope, receive: Receive, send: Send) -> None:
    raise RuntimeError("password=hunter2 in /secret/path")


async def busy(scope: Scope, receive: Receive, send: Send) -> None:
    raise TooManyRequests("Slow down.", retry_after_seconds=7)


def client(app: ASGIApp, *, limit: int = 100, seconds: float = 5, tls: bool = False) -> httpx.AsyncClient:
    stack = Envelope(Limits(app, max_body_bytes=limit, body_seconds=seconds), tls=tls)
    return httpx.AsyncClient(transport=httpx.ASGITransport(stack), base_url="http://test")


async def test_an_id_of_the_caller_is_kept_if_it_is_harmless() -> None:
    async with client(echo) as http:
        assert (await http.get("/", headers={"x-request-id": "abc-1.2_3"})).headers["x-request-id"] == "abc-1.2_3"
        for hostile in ("a b", "x" * 65, "<script>", "a\tb", ""):
            assert (await http.get("/", headers={"x-request-id": hostile})).headers["x-request-id"].startswith("req_")


async def test_what_broke_is_logged_and_told_without_a_trace(caplog: pytest.LogCaptureFixture) -> None:
    async with client(broken) as http:
        reply = await http.get("/x")
    assert (reply.status_code, reply.headers["content-type"]) == (500, "application/problem+json")
    assert "hunter2" not in reply.text
    assert "Traceback" not in reply.text
    assert reply.json()["request_id"] in reply.json()["detail"]
    assert reply.json()["request_id"] in caplog.text


async def test_our_errors_keep_their_status_and_advice() -> None:
    async with client(busy) as http:
        reply = await http.get("/")
    assert (reply.status_code, reply.headers["retry-after"], reply.json()["reason"]) == (429, "7", "TOO_MANY_REQUESTS")


async def test_headers_of_every_answer() -> None:
    async with client(echo, tls=True) as http:
        headers = (await http.get("/")).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["strict-transport-security"].startswith("max-age=")
    assert headers["cache-control"] == "no-store"


async def test_a_body_may_be_as_large_as_the_limit_and_no_larger() -> None:
    async with client(echo) as http:
        assert (await http.post("/", content=b"x" * 100)).status_code == 200
        assert (await http.post("/", content=b"x" * 101)).status_code == 413

        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(11):
                yield b"x" * 10

        assert (await http.post("/", content=chunks())).status_code == 413, "undeclared length counts, too"


async def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    sent: list[dict[str, object]] = []

    async def receive() -> dict[str, object]:
        await asyncio.sleep(60)
        return {}

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/",
        "headers": [(b"content-length", b"10")],
        "query_string": b"",
        "client": None,
    }
    stack = Envelope(Limits(echo, max_body_bytes=100, body_seconds=0.05), tls=False)
    await stack(scope, receive, send)  # type: ignore[arg-type]
    assert sent[0]["status"] == 408
    assert json.loads(bytes(sent[1]["body"]))["reason"] == "REQUEST_TIMEOUT"  # type: ignore[arg-type]


async def test_an_upload_has_its_own_limit() -> None:
    """The kind: a limit of small bodies that a path for large files inherits, or that it lifts for all paths."""
    sent: list[dict[str, object]] = []
    received: list[int] = []

    async def count(scope: Scope, receive: Receive, send: Send) -> None:
        size, incomplete = 0, True
        while incomplete:
            message = await receive()
            size, incomplete = size + len(message.get("body", b"")), message.get("more_body", False)
        received.append(size)
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def send(message: Message) -> None:
        sent.append(dict(message))

    def uploads(path: str) -> int | None:
        return 1000 if path.startswith("/files/") else None

    async def status(path: str, parts: int) -> object:
        left = [{"type": "http.request", "body": b"x" * 100, "more_body": n < parts - 1} for n in range(parts)]

        async def receive() -> Message:
            return left.pop(0)

        scope = {"type": "http", "method": "PUT", "path": path, "query_string": b"", "client": None}
        scope["headers"] = [(b"transfer-encoding", b"chunked")]
        sent.clear()
        stack = Envelope(Limits(count, max_body_bytes=150, max_upload_bytes=uploads), tls=False)
        await stack(scope, receive, send)
        return sent[0]["status"]

    assert [await status("/files/a", 10), await status("/files/a", 11)] == [204, 413]
    assert [await status("/other", 1), await status("/other", 2)] == [204, 413]
    assert received == [1000, 100]
