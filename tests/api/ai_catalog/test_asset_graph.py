"""The graph of assets: one compact answer with the versions along its edges, and nothing that is hidden."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from core.ports import AssetState, Staleness
from lakehouse.tables import Tables
from tests.api.ai_catalog.provenance_tables import DAILY, DELAYS, make_provenance, sees_only, version
from tests.api_process import Api, Caller
from tests.lakehouse_tables import BRONZE, SILVER
from tests.orchestration import FakeOrchestrator, made


@pytest.fixture
def tables(api: Api) -> Tables:
    return make_provenance(api)


async def graph(caller: Caller, **params: Any) -> dict[str, Any]:
    reply = await caller.get("ai-catalog/assets:graph", params=params)
    assert reply.status == 200, reply.json
    return reply.json


def ids(found: dict[str, Any]) -> list[str]:
    return [node["id"] for node in found["nodes"]]


def edges(found: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    names = ids(found)
    return {(names[edge["source"]], names[edge["target"]]): edge for edge in found["edges"]}


@pytest.mark.effect("ai_catalog_graph_assets")
class TestGraph:
    async def test_has_the_versions_that_were_read(
        self, api: Api, tables: Tables, orchestrator: FakeOrchestrator
    ) -> None:
        read = version(tables, SILVER, tables.snapshot(SILVER).version)
        states = orchestrator.states
        states[SILVER] = dataclasses.replace(states[SILVER], materialization=made(read))
        states[DAILY] = AssetState(Staleness.FRESH, runs_in_progress=("run-1",))
        found = await graph(api.viewer)
        assert ids(found) == sorted(orchestrator.nodes)
        assert edges(found).keys() == {(BRONZE, SILVER), (SILVER, DELAYS), (SILVER, DAILY)}
        edge = edges(found)[SILVER, DELAYS]
        assert (edge["version"], edge["behind"], edge["declared"]) == (read, False, True)
        assert [node["id"] for node in found["nodes"] if node["running"]] == [DAILY]
        # The fake view has another version of bronze than the one that the run read.
        assert edges(found)[BRONZE, SILVER]["behind"] is True

    async def test_around_an_asset_ends_at_the_depth(self, api: Api, tables: Tables) -> None:
        assert ids(await graph(api.viewer, focus=DELAYS, upstream=1)) == [DELAYS, SILVER]
        assert ids(await graph(api.viewer, focus=SILVER, upstream=0, downstream=1)) == [SILVER, DAILY, DELAYS]
        assert (await api.viewer.get("ai-catalog/assets:graph", params={"focus": "no.such.asset"})).status == 404

    async def test_says_what_it_cut_off(self, api: Api, tables: Tables) -> None:
        found = await graph(api.viewer, max_nodes=2)
        assert (len(found["nodes"]), found["truncated"]) == (2, True)
        assert all(edge["source"] < 2 and edge["target"] < 2 for edge in found["edges"])

    async def test_shows_a_recorded_read_that_the_code_does_not_declare(
        self, api: Api, tables: Tables, orchestrator: FakeOrchestrator
    ) -> None:
        nodes = orchestrator.nodes
        nodes[DELAYS] = dataclasses.replace(nodes[DELAYS], upstream=())
        assert edges(await graph(api.viewer))[SILVER, DELAYS]["declared"] is False

    async def test_gives_nothing_of_assets_that_are_hidden(self, api: Api, tables: Tables) -> None:
        caller = await sees_only(api, "vera", BRONZE, DELAYS)
        found = await graph(caller)
        assert (ids(found), found["edges"]) == ([BRONZE, DELAYS], [])
        assert (await caller.get("ai-catalog/assets:graph", params={"focus": SILVER})).status == 404
