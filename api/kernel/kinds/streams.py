"""Streaming responses. They are closed when the client disconnects. Server-sent events have ids and heartbeats."""

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
_CHECKS_PER_HEARTBEAT = 5


class Source(Protocol):
    """The source of a stream, which holds resources until it is closed."""

    async def aclose(self) -> object:
        """Releases the resources."""


class Streamed(StreamingResponse):
    """A stream that is closed with its source when it ends or its client disconnects, even before the first byte.

    Otherwise the garbage collector would close a generator that never started or that waits between two items.
    """

    def __init__(self, content: AsyncGenerator[bytes, None], source: Source, **options: Any) -> None:
        super().__init__(content, **options)
        self._content = content
        self._source = source

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the stream."""
        async with aclosing(self._source), aclosing(self._content):
            await super().__call__(scope, receive, send)


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One server-sent event. A client that reconnects sends the last `id` it received as `Last-Event-ID`."""

    data: Model
    event: str
    id: str = ""

    def encode(self) -> bytes:
        """Returns the wire format. JSON contains no raw line break, so the data is one line."""
        head = f"id: {self.id}\n" if self.id else ""
        return f"{head}event: {self.event}\ndata: {self.data.model_dump_json(by_alias=True)}\n\n".encode()


async def encoded(
    first: ServerEvent,
    events: AsyncGenerator[ServerEvent, None],
    failed: Callable[[BaseException], bytes],
    check: Callable[[], Awaitable[None]],
) -> AsyncGenerator[bytes, None]:
    """Yields the wire format of these events, with a comment line as a heartbeat when there is no event for a while.

    Args:
        first: the first event.
        events: the further events.
        failed: returns the wire format of the last event if the stream fails. The status code is already sent then.
        check: raises if the caller may no longer read. It runs every few seconds and before every event.
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
                if quiet % _CHECKS_PER_HEARTBEAT == 0:
                    yield b": still here\n\n"
                continue
            quiet = 0
            event, waiting = waiting, None
            yield event.result().encode()
    except StopAsyncIteration:
        return
    except Exception as error:  # noqa: BLE001 - only the stream itself can still report it
        yield failed(error)
    finally:
        if waiting is not None:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        await events.aclose()
