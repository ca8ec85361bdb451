"""SCIM is loaded once, by the first request; whatever goes wrong with that request, the next one is served."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from starlette.responses import PlainTextResponse

from api.protocols.scim.mount import _OnDemand


async def served(mount: _OnDemand) -> list[Any]:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await mount({"type": "http"}, None, send)  # type: ignore[arg-type]
    return sent


async def test_a_load_that_failed_is_tried_again() -> None:
    mount, tries = _OnDemand(None), []  # type: ignore[arg-type]

    def load() -> Any:
        tries.append(1)
        if len(tries) == 1:
            raise OSError("the disk was away")
        return PlainTextResponse("here")

    mount._open = load  # type: ignore[method-assign]
    with pytest.raises(OSError, match="away"):
        await served(mount)
    answers = await asyncio.gather(served(mount), served(mount))
    assert [answer[1]["body"] for answer in answers] == [b"here", b"here"]
    assert len(tries) == 2


async def test_a_caller_who_leaves_does_not_end_what_others_wait_for() -> None:
    mount, loaded, tries = _OnDemand(None), threading.Event(), []  # type: ignore[arg-type]

    def load() -> Any:
        tries.append(1)
        loaded.wait(30)
        return PlainTextResponse("here")

    mount._open = load  # type: ignore[method-assign]
    first, second = asyncio.ensure_future(served(mount)), asyncio.ensure_future(served(mount))
    await asyncio.sleep(0.05)
    first.cancel()
    await asyncio.sleep(0.05)
    loaded.set()
    assert (await second)[1]["body"] == b"here"
    assert len(tries) == 1
