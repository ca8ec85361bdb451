"""The view of the asset graph while Dagster is slow to answer."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from api.gateways.dagster import parsing, queries, readmodel
from api.gateways.dagster.readmodel import ReadModel
from core.errors import Unavailable
from core.ports import GraphView
from tests.orchestration import FakeOrchestrator


class SlowDagster:
    """Names two assets at once, and tells their states when released."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.released = asyncio.Event()

    async def read(self, query: str, **_: Any) -> Any:
        if query == queries.STATES:
            self.asked.set()
            await self.released.wait()
        return {"locationStatusesOrError": {}}


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> FakeOrchestrator:
    fake = FakeOrchestrator()
    view = GraphView(fake.nodes, {}, {}, {}, {}, {}, datetime.now(UTC))
    monkeypatch.setattr(readmodel, "_with_graph", lambda before, answer: view)
    monkeypatch.setattr(parsing, "states", lambda answer: fake.states)
    return fake


async def test_no_asset_is_shown_before_its_state_is_known(known: FakeOrchestrator) -> None:
    dagster = SlowDagster()
    model = ReadModel(dagster)  # type: ignore[arg-type] - it only reads
    reading = asyncio.create_task(model.refresh(graph=True))
    await dagster.asked.wait()
    with pytest.raises(Unavailable):
        model.view()
    dagster.released.set()
    await reading
    assert model.view().nodes.keys() == known.nodes.keys()
    assert model.view().states == known.states
