"""Server-sent events: numbered for resuming, with heartbeats so that proxies keep the connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from api.kernel.models import Model

CHECK_SECONDS = 3.0
_CHECKS_A_HEARTBEAT = 5


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
) -> AsyncIterator[bytes]:
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
