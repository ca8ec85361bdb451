"""Who leaves a stream gives back at once what it held, whether it was begun or not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest

from api.kernel.kinds import export, watch
from tests.api.both_databases import on_both
from tests.api_process import Api
from tests.resources import fill_projects


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[AsyncGenerator[Any, None]]:
    """Every export and watch that was asked for. Held here, none of them is ever garbage."""
    streams: list[AsyncGenerator[Any, None]] = []

    def recording(open: Callable[..., AsyncGenerator[Any, None]]) -> Callable[..., AsyncGenerator[Any, None]]:
        def keep(*arguments: Any) -> AsyncGenerator[Any, None]:
            streams.append(open(*arguments))
            return streams[-1]

        return keep

    for module, name in ((export, "export"), (watch, "watch")):
        monkeypatch.setattr(module, name, recording(getattr(module, name)))
    return streams


@on_both
@pytest.mark.parametrize("pieces", [0, 1])
@pytest.mark.parametrize("method", ["export", "watch"])
async def test_it_is_closed_and_the_connection_is_back(
    api: Api, opened: list[AsyncGenerator[Any, None]], method: str, pieces: int
) -> None:
    fill_projects(api.database, 1200)
    await api.admin.leave(f"admin/projects:{method}", pieces=pieces)
    [stream] = opened
    assert stream.ag_frame is None, "closed, not left to the garbage collector"
    reads = api.app.platform.workers.read
    async with asyncio.timeout(60):  # others read now and then, too
        while reads.held or api.database.engine.pool.checkedout():  # type: ignore[attr-defined]
            await asyncio.sleep(0.01)
