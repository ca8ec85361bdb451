"""The view of the asset graph while Dagster is slow to answer."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from api.gateways.dagster import parsing, queries, readmodel
from api.gateways.dagster.readmodel import ReadModel
from core.errors import Unavailable
from core.ports import AssetState, GraphView, Staleness
from tests.orchestration import FakeOrchestrator, made


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


class OneByOne:
    """Answers each question about states when the test says so, in whatever order."""

    def __init__(self) -> None:
        self.waiting: list[asyncio.Future[Any]] = []

    async def read(self, query: str, **_: Any) -> Any:
        if query != queries.STATES:
            return {"locationStatusesOrError": {}}
        self.waiting.append(asyncio.get_running_loop().create_future())
        return await self.waiting[-1]


async def test_a_look_that_began_earlier_does_not_undo_a_later_one(
    known: FakeOrchestrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kind: two looks at once, of which the older answers last. What it says is older, whenever it arrives."""
    monkeypatch.setattr(parsing, "states", lambda answer: answer)
    dagster, id, other = OneByOne(), "flights.bronze.flights", "flights.silver.flights"
    model = ReadModel(dagster)  # type: ignore[arg-type] - it only reads

    def state(version: str) -> AssetState:
        return AssetState(Staleness.FRESH, materialization=made(version))

    async def asked(count: int) -> None:
        while len(dagster.waiting) < count:
            await asyncio.sleep(0)

    first = asyncio.create_task(model.refresh(graph=True))
    await asked(1)
    dagster.waiting[0].set_result({id: state("one"), other: state("one")})
    await first
    older, newer = (
        asyncio.create_task(model.refresh()),
        asyncio.create_task(model.refresh_states([id, "no.such.asset"])),
    )
    await asked(3)
    dagster.waiting[2].set_result({id: state("three")})
    await newer
    assert model.view().states[id] == state("three")
    dagster.waiting[1].set_result({id: state("two"), other: state("two"), "no.such.asset": state("two")})
    await older
    assert model.view().states == {id: state("three"), other: state("two")}
    again = asyncio.create_task(model.refresh_states([id]))
    await asked(4)
    dagster.waiting[3].set_result({id: state("four")})
    await again
    assert model.view().states[id] == state("four"), "what began later counts"


async def test_a_view_that_could_not_be_read_says_since_when(known: FakeOrchestrator) -> None:
    dagster = SlowDagster()
    dagster.released.set()
    model = ReadModel(dagster)  # type: ignore[arg-type] - it only reads
    model._mark_stale(Unavailable("away"))
    assert model._pause() == readmodel.START_SECONDS
    await model.refresh(graph=True)
    assert (model.view().stale_since, model._pause()) == (None, readmodel.PROBE_SECONDS)
    model._mark_stale(Unavailable("away"))
    since = model.view().stale_since
    assert since is not None
    model._mark_stale(Unavailable("away"))
    assert (model.view().stale_since, model._pause()) == (since, readmodel.START_SECONDS)
    await model.refresh()
    assert model.view().stale_since is None
    model.expect_changes()
    assert model._pause() == readmodel.BUSY_SECONDS
