"""Search over REST: a real index with the real embedding model."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from lakehouse.lineage import Lineage
from lakehouse.step import Step
from lakehouse.tables import Tables
from rag.chunking import Chunker
from rag.corpus import build, write
from rag.embedding import WordLlamaEmbedder
from rag.index import Index
from rag.layout import Store
from tests.api.admin.tenants import grant, user
from tests.api.ai_catalog.provenance_tables import released
from tests.api_process import Api
from tests.orchestration import FakeOrchestrator, node
from tests.unit.rag.conftest import INDEX, PAGES

PATH = f"rag/indexes/{INDEX}"


@pytest.fixture
def indexed(api: Api, orchestrator: FakeOrchestrator) -> None:
    index(api, orchestrator)


def index(api: Api, orchestrator: FakeOrchestrator, *inputs: str) -> None:
    """Indexes pages in a run that also reads tables."""
    orchestrator.nodes[INDEX] = node(INDEX, kinds=("delta", "lancedb"))
    settings = api.app.platform.settings
    tables, embedder = Tables.from_settings(settings, api.database), WordLlamaEmbedder()
    step = Step(
        *(tables, Lineage(api.database)),
        asset=INDEX,
        run="run-1",
        step="index",
        code_version="1",
        engine="wordllama",
        principal="editor",
    )
    for name in inputs:
        tables.create_with(name, pa.table({"text": ["x"]}))
        step.read(name)
    snapshot = write(step, build(PAGES, Chunker(900, embedder.digest), embedder, None))
    Index(Store(settings.effective_vectors_url), INDEX).sync(snapshot)


@pytest.mark.usefixtures("indexed")
class TestSearch:
    @pytest.mark.effect("rag_search_index")
    async def test_finds_by_meaning_and_cites_the_very_passage(self, api: Api) -> None:
        reply = await api.viewer.post(f"{PATH}:search", {"query": "fog holds planes at the gate", "k": 2})
        assert reply.status == 200, reply.json
        best = reply.json["hits"][0]
        assert best["citation"]["document"] == "guide/delays.md"
        page = next(page for page in PAGES if page.uri == "guide/delays.md")
        assert page.text[best["citation"]["start"] : best["citation"]["end"]].strip() == best["text"].strip()
        assert best["citation"]["version"] == reply.json["version"]
        assert len(reply.json["hits"]) <= 2

    @pytest.mark.parametrize(
        "filter", [{"section": "admin"}, {"document": {"prefix": "admin/"}}, {"section": ["admin", "x"]}]
    )
    async def test_narrows_to_a_filter(self, api: Api, filter: dict[str, Any]) -> None:
        reply = await api.viewer.post(f"{PATH}:search", {"query": "planes", "filter": filter})
        assert {hit["citation"]["document"] for hit in reply.json["hits"]} == {"admin/passwords.md"}

    @pytest.mark.parametrize(
        ("body", "status"),
        [
            ({"query": ""}, 422),
            ({"query": "x", "k": 0}, 422),
            ({"query": "x", "mode": "magic"}, 422),
            ({"query": "x", "filter": {"document": {"suffix": "x"}}}, 422),
            ({"query": "x", "filter": {"document": {}}}, 422),
            ({"query": "x", "filter": {"nothing": "x"}}, 400),
            ({"query": "x", "version": "99"}, 404),
        ],
    )
    async def test_refuses_what_it_does_not_know(self, api: Api, body: dict[str, Any], status: int) -> None:
        assert (await api.viewer.post(f"{PATH}:search", body)).status == status

    @pytest.mark.effect("rag_get_index_provenance")
    async def test_a_hit_leads_to_what_stands_behind_it(self, api: Api) -> None:
        found = (await api.viewer.post(f"{PATH}:search", {"query": "tail number"})).json
        provenance = (await api.viewer.get(f"{PATH}/provenance", params={"version": found["version"]})).json
        assert [materialization["run"] for materialization in provenance["materializations"]] == ["run-1"]

    @pytest.mark.effect("rag_get_index_provenance")
    async def test_where_an_index_comes_from_is_told_to_who_may_see_it(self, api: Api) -> None:
        await user(api, "ada")
        assert (await api.caller("ada").get(f"{PATH}/provenance")).status in (403, 404)
        unknown = await api.viewer.get(f"{PATH}/provenance", params={"version": "other@7"})
        assert (unknown.status, unknown.reason) == (404, "UNKNOWN_VERSION")
        assert (await api.viewer.get("rag/indexes/flights.bronze.flights/provenance")).status == 404

    async def test_indexes_are_listed(self, api: Api) -> None:
        assert [item["id"] for item in (await api.viewer.get("rag/indexes")).json["items"]] == [INDEX]
        assert (await api.viewer.get(PATH)).json["id"] == INDEX
        assert (await api.viewer.get("rag/indexes/flights.bronze.flights")).status == 404


@pytest.mark.effect("rag_search_index")
async def test_an_index_needs_the_right_to_read_what_it_was_made_from_or_a_release(
    api: Api, orchestrator: FakeOrchestrator
) -> None:
    source = "hr.raw.notes"
    orchestrator.nodes[source] = node(source)
    index(api, orchestrator, source)
    ada = await user(api, "ada")
    for right in ("ai_catalog.asset.get", "rag.index.*"):
        await grant(api, ada, right, INDEX, securable_kind="ai_catalog.asset")
    refused = await api.caller("ada").post(f"{PATH}:search", {"query": "fog"})
    assert (refused.status, source in refused.response.text) == (403, False)
    await released(api, source, INDEX)
    assert (await api.caller("ada").post(f"{PATH}:search", {"query": "fog"})).status == 200
