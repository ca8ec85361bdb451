"""A caller of an API in the test's own process, and the answers that it gets."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any

import httpx

from api.kernel.application import Application
from tests import one_event


@dataclass
class Reply:
    """An answer, checked on arrival: whatever is an error must be a problem document."""

    response: httpx.Response

    def __post_init__(self) -> None:
        if self.status >= 400 and not self.response.request.url.path.startswith("/health"):
            assert self.response.headers["content-type"] == "application/problem+json", self.response.text
            body = self.json
            assert body["status"] == self.status
            assert body["request_id"] == self.response.headers["x-request-id"]
            if operation := self.response.headers.get("x-operation"):
                assert operation.startswith(f"{body['service']}_"), body
            for field in ("type", "title", "detail", "instance", "reason", "service", "metadata", "errors"):
                assert field in body
            assert body["service"], "a reader must know which service failed"

    @property
    def status(self) -> int:
        return self.response.status_code

    @property
    def json(self) -> Any:
        return self.response.json()

    @property
    def headers(self) -> httpx.Headers:
        return self.response.headers

    @property
    def reason(self) -> str:
        return str(self.json["reason"])


ANSWER_SECONDS = 120
"""A response that does not end by then, such as a stream that should have been refused, fails its test."""


class Caller:
    """Sends requests as one principal, or without a token."""

    def __init__(self, app: Application, token: str | None, *, client: str = "127.0.0.1") -> None:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        self.app = app
        self.token = token
        self.http = httpx.AsyncClient(
            transport=httpx.ASGITransport(app, client=(client, 1)), base_url="http://headwater.test", headers=headers
        )

    async def __call__(self, method: str, path: str, **options: Any) -> Reply:
        url = path if path.startswith("/") else f"/api/v1/{path}"
        async with asyncio.timeout(ANSWER_SECONDS):
            reply = Reply(await self.http.request(method, url, **options))
        if method not in ("GET", "HEAD") and reply.status < 400:
            one_event.require(self.app.platform.database, reply.headers.get("x-request-id", ""))
        return reply

    async def get(self, path: str, **options: Any) -> Reply:
        return await self("GET", path, **options)

    async def post(self, path: str, body: Any = None, **options: Any) -> Reply:
        return await self("POST", path, **(options | ({} if body is None else {"json": body})))

    async def events(self, path: str, **options: Any) -> list[dict[str, Any]]:
        """Reads a stream of server-sent events to its end."""
        reply = await self.get(path, **options)
        assert reply.status == 200, reply.response.text
        found = []
        for block in reply.response.text.split("\n\n"):
            fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
            if fields:
                found.append({"id": fields.get("id"), "event": fields["event"], "data": json.loads(fields["data"])})
        return found

    async def stream(self, path: str, count: int, *, last_event_id: str = "", **query: str) -> list[dict[str, Any]]:
        """The first events of a stream that has no end, which this caller then leaves."""
        found: list[dict[str, Any]] = []
        full = asyncio.Event()

        async def receive() -> dict[str, Any]:
            if received:
                await full.wait()
                return {"type": "http.disconnect"}
            received.append(True)
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                assert message["status"] == 200
                return
            for line in message["body"].decode().splitlines():
                name, _, value = line.partition(": ")
                if name == "id":
                    found.append({"id": value})
                elif name == "data":
                    found[-1]["data"] = json.loads(value)
            if len([one for one in found if "data" in one]) >= count:
                full.set()

        received: list[bool] = []
        scope = self._scope(path, query)
        if last_event_id:
            scope["headers"].append((b"last-event-id", last_event_id.encode()))
        await asyncio.wait_for(self.app(scope, receive, send), 60)
        return found

    async def leave(self, path: str, *, pieces: int) -> None:
        """Asks for a stream and leaves after so many pieces; none: before the answer begins."""
        gone = asyncio.Event()
        if not pieces:
            gone.set()
        received: list[Any] = []

        async def receive() -> dict[str, Any]:
            if not received:
                received.append(b"")
                return {"type": "http.request", "body": b"", "more_body": False}
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            received.append(message)
            if len([one for one in received if one and one["type"] == "http.response.body"]) >= pieces:
                gone.set()
                await asyncio.Event().wait()  # the client takes no more

        await asyncio.wait_for(self.app(self._scope(path, {}), receive, send), 60)

    async def begun(self, path: str, query: dict[str, str], *, seconds: float = 0.05) -> tuple[int, bytes]:
        """The status of a stream that has no end, and what it says at once: this caller then leaves."""
        gone, began, second_piece = asyncio.Event(), asyncio.Event(), asyncio.Event()
        status: list[int] = []
        pieces_sent: list[bytes] = []
        asked: list[bool] = []

        async def receive() -> dict[str, Any]:
            if not asked:
                asked.append(True)
                return {"type": "http.request", "body": b"", "more_body": False}
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                status.append(message["status"])
                return
            pieces_sent.append(message["body"])
            began.set()
            if len(pieces_sent) > 1 or not message.get("more_body"):
                second_piece.set()

        serving = asyncio.create_task(self.app(self._scope(path, query), receive, send))
        waiting = asyncio.create_task(second_piece.wait())
        # It begins whenever it does; what it then says beyond its first word it says at once.
        beginning = asyncio.create_task(began.wait())
        await asyncio.wait({serving, beginning}, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait({serving, waiting}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        beginning.cancel()
        waiting.cancel()
        gone.set()
        await asyncio.wait_for(serving, 60)
        return status[0], b"".join(pieces_sent)

    def _scope(self, path: str, query: dict[str, str]) -> Any:
        url = httpx.URL(path if path.startswith("/") else f"/api/v1/{path}", params=query)
        return {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": url.path,
            "raw_path": url.raw_path.partition(b"?")[0],
            "query_string": url.query,
            "root_path": "",
            "headers": [(b"host", b"headwater.test"), (b"authorization", f"Bearer {self.token}".encode())],
            "client": ("127.0.0.1", 1),
            "server": ("headwater.test", 80),
            "state": {},
        }
