"""Waiting for mails, and the tokens in them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from api.kernel.outbox import deliveries
from tests.api_process import Api
from tests.mail_server import Inbox

URL = "https://headwater.example.org"
Run = Callable[[int], Any]


async def until(holds: Callable[[], Awaitable[bool]], description: str, seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not await holds():
            await asyncio.sleep(0.05)


async def arrived(inbox: Inbox, count: int = 1) -> None:
    async def holds() -> bool:
        return len(inbox.mails) >= count

    await until(holds, "the mail")


async def handled(api: Api, consumer: str) -> None:
    """Waits until a sender has taken every event."""

    async def done() -> bool:
        with api.database.read() as connection:
            return deliveries.lag(connection)[consumer].events_behind == 0

    await until(done, f"the events of {consumer}")


def token_in(inbox: Inbox, number: int = -1, *, page: str) -> str:
    """Returns the token of the link, as a user would copy it."""
    text = inbox.mails[number].get_content()
    (link,) = [line for line in text.split() if line.startswith("https://")]
    assert link.startswith(f"{URL}{page}#")
    return str(link.removeprefix(f"{URL}{page}#"))
