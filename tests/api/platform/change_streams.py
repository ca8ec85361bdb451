"""A stream of changes that stays open while a test does something."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.api_process import Caller

PATH = "changes:watch"


class Listener:
    """The events of an open stream, in their order. `ended` is set when the stream has ended by itself."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.ended = asyncio.Event()
        self.status = 0

    async def next(self, seconds: float = 30) -> dict[str, Any]:
        return await asyncio.wait_for(self.events.get(), seconds)

    async def until(self, id: str) -> list[dict[str, Any]]:
        """Returns the items that are told up to the one with this id."""
        found: list[dict[str, Any]] = []
        while True:
            event = await self.next()
            found += event["data"]["items"]
            if any(item["id"] == id for item in found):
                return found

    def read(self, body: bytes) -> None:
        for block in body.decode().split("\n\n"):
            fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
            if "data" in fields:
                data = json.loads(fields["data"])
                self.events.put_nowait({"id": fields.get("id"), "event": fields["event"], "data": data})


@asynccontextmanager
async def listening(caller: Caller, *, last_event_id: str = "", **query: str) -> AsyncIterator[Listener]:
    """Opens the stream, waits until it has begun or was refused, and leaves it at the end."""
    listener, left, began = Listener(), asyncio.Event(), asyncio.Event()
    asked: list[bool] = []

    async def receive() -> dict[str, Any]:
        if not asked:
            asked.append(True)
            return {"type": "http.request", "body": b"", "more_body": False}
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            listener.status = message["status"]
            return
        listener.read(message["body"])
        began.set()
        if not message.get("more_body"):
            listener.ended.set()

    scope = caller._scope(PATH, query)
    if last_event_id:
        scope["headers"].append((b"last-event-id", last_event_id.encode()))
    serving = asyncio.create_task(caller.app(scope, receive, send))
    try:
        await asyncio.wait_for(began.wait(), 60)
        yield listener
    finally:
        left.set()
        await asyncio.wait_for(serving, 60)
