"""Answers that go on: closed when their client has left; server-sent events are numbered and have heartbeats."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Protocol

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from api.kernel.models import Model

CHECK_SECONDS = 3.0
_CHECKS_A_HEARTBEAT = 5


class Source(Protocol):
    """What a stream is made from, and holds something until it is closed."""

    async def aclose(self) -> object:
        """Gives back what it holds."""


class Streamed(StreamingResponse):
    """A stream that is closed with its source once it ends or its client has left, even before the first byte.

    A generator that was never begun, or waits between two pieces, would otherwise be left to the garbage collector.
    """

    def __init__(self, content: AsyncGenerator[bytes, None], source: Source, **how: Any) -> None:
        super().__init__(content, **how)
        self._content = content
        self._source = source

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends what there is."""
        async with aclosing(self._source), aclosing(self._content):
            await super().__call__(scope, receive, send)


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One event. A client that reconnects sends the last `id` it saw as `Last-Event-ID`."""

    data: Model
    event: str
    id: str = ""

    def encode(self) -> bytes:
        """The wire form. JSON holds no raw line break, so the data is one line."""
        head = f"id: {self.id}\n" if self.id else ""
        return f"{head}event: {self.event}\ndata: {self.data.model_dump_json(by_alias=True)}\n\n".encode()


async def encoded(
    first: ServerEvent,
    events: AsyncGenerator[ServerEvent, None],
    failed: Callable[[BaseException], bytes],
    check: Callable[[], Awaitable[None]],
) -> AsyncGenerator[bytes, None]:
    """The byte stream of these events after a first one, with a comment line whenever nothing came for a while.

    `check` raises once the caller may no longer read: it is asked every few seconds, and before every event.

    A failure after the first byte can no longer be a status code: it becomes one last event, made by `failed`.
    """
    waiting: asyncio.Future[ServerEvent] | None = None
    try:
        quiet = 0
        yield first.encode()
        while True:
            waiting = waiting or asyncio.ensure_future(anext(events))
            done, _ = await asyncio.wait({waiting}, timeout=CHECK_SECONDS)
            await check()
            if not done:
                quiet += 1
                if quiet % _CHECKS_A_HEARTBEAT == 0:
                    yield b": still here\n\n"
                continue
            quiet = 0
            event, waiting = waiting, None
            yield event.result().encode()
    except StopAsyncIteration:
        return
    except Exception as error:  # noqa: BLE001 - the stream is the only place left to tell it
        yield failed(error)
    finally:
        if waiting is not None:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        await events.aclose()
