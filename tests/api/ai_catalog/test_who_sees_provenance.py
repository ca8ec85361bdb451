"""Provenance discloses nothing of hidden assets or of other organizations, also when it is searched."""

from __future__ import annotations

from datetime import timedelta

import pyarrow as pa
import pytest

from api.kernel.permissions.projects import FORMER
from core import clock
from lakehouse.lineage import Lineage
from lakehouse.tables import Tables
from tests.api.admin.mailing import until
from tests.api.admin.tenants import tenant
from tests.api.admin.test_projects import move
from tests.api.ai_catalog.provenance_tables import DAILY, DELAYS, PARTS, make_provenance, sees_only, step, version
from tests.api.both_databases import on_both
from tests.api_process import Api
from tests.lakehouse_tables import BRONZE, SILVER
from tests.orchestration import FakeOrchestrator, node


@pytest.fixture
def tables(api: Api) -> Tables:
    return make_provenance(api)


@pytest.mark.effect("ai_catalog_search_provenance_assets")
class TestSearch:
    async def search(self, caller: object, **params: object) -> list[tuple[str, str]]:
        reply = await caller.get("ai-catalog/assets:search-provenance", params=params)  # type: ignore[attr-defined]
        assert reply.status == 200, reply.response.text
        return [(one["asset"], one["run"]) for one in reply.json["items"]]

    @on_both
    async def test_finds_versions_by_each_fact(self, api: Api, tables: Tables) -> None:
        every = [(DAILY, "run-g"), (DELAYS, "run-f"), (SILVER, "run-e"), (SILVER, "run-d")]
        assert (await self.search(api.viewer))[:4] == every
        assert await self.search(api.viewer, run="run-f") == [(DELAYS, "run-f")]
        assert await self.search(api.viewer, code_version="2") == [(SILVER, "run-e")]
        assert await self.search(api.viewer, requested_by="viewer") == [(DAILY, "run-g")]
        assert await self.search(api.viewer, engine="test 2") == []
        (edge, *_) = Lineage(api.database).provenance(DAILY, tables.snapshot(DAILY).data_version)
        assert len(await self.search(api.viewer, env_digest=edge.env_digest)) == 7
        assert len(await self.search(api.viewer, git_sha=edge.git_sha or "none")) == (7 if edge.git_sha else 0)
        assert await self.search(api.viewer, after=(clock.now() + timedelta(days=1)).isoformat()) == []
        assert len(await self.search(api.viewer, before=(clock.now() + timedelta(days=1)).isoformat())) == 7

    @on_both
    async def test_finds_versions_by_what_they_read(self, api: Api, tables: Tables) -> None:
        assert await self.search(api.viewer, input=SILVER) == [(DAILY, "run-g"), (DELAYS, "run-f")]
        first = version(tables, BRONZE, 0)
        assert await self.search(api.viewer, input=BRONZE, input_version=first) == [
            (BRONZE, "run-c"),
            (SILVER, "run-b"),
        ]
        assert await self.search(api.viewer, input=BRONZE, input_version=first, run="run-b") == [(SILVER, "run-b")]
        wrong = await api.viewer.get("ai-catalog/assets:search-provenance", params={"input_version": first})
        assert (wrong.status, wrong.json["errors"][0]["pointer"]) == (400, "/input")

    @on_both
    async def test_pages_name_every_step_once(self, api: Api, tables: Tables) -> None:
        found, token = [], ""
        while token is not None:
            params = {"page_size": 2, "page_token": token}
            page = (await api.viewer.get("ai-catalog/assets:search-provenance", params=params)).json
            found += [(one["asset"], one["version"], one["run"]) for one in page["items"]]
            token = page["next_page_token"]
        assert len(found) == len(set(found)) == 7

    async def test_shows_only_what_the_caller_sees(self, api: Api, tables: Tables) -> None:
        ada = await sees_only(api, "ada", SILVER)
        assert await self.search(ada) == [(SILVER, "run-e"), (SILVER, "run-d"), (SILVER, "run-b")]
        assert await self.search(ada, input=BRONZE) == [], "an input that they cannot see is like one that never was"
        assert await self.search(ada, requested_by="viewer") == []


@pytest.mark.effect(
    "ai_catalog_get_asset_column_lineage",
    "ai_catalog_get_asset_impact",
    "ai_catalog_get_asset_as_of",
    "ai_catalog_get_asset_explanation",
    "ai_catalog_get_asset_provenance_diff",
    "ai_catalog_get_asset_provenance_export",
    "ai_catalog_search_provenance_assets",
)
class TestMovedProject:
    @on_both
    async def test_principals_of_the_former_organization_are_not_named(
        self, api: Api, orchestrator: FakeOrchestrator
    ) -> None:
        north, south = await tenant(api, "north"), await tenant(api, "south")
        asset = "north_data.gold.sales"
        orchestrator.nodes[asset] = node(asset)
        tables, lineage = Tables.from_settings(api.app.platform.settings, api.database), Lineage(api.database)
        for run in ("run-1", "run-2"):
            sales = step(tables, lineage, asset, run, principal="north-admin")
            sales.overwrite(pa.table({"run": [run]}))
        assert (await move(api, north.project, south.organization))["state"] == "SUCCEEDED"

        async def arrived() -> bool:
            return (await south.admin.get(f"ai-catalog/assets/{asset}")).status == 200

        await until(arrived, "the rights of the new organization")
        for part, params in PARTS.items():
            for form in ("openlineage", "prov") if part == "provenance-export" else ("",):
                sent = params | ({"format": form} if form else {})
                reply = await south.admin.get(f"ai-catalog/assets/{asset}/{part}", params=sent)
                assert reply.status == 200, reply.response.text
                assert "north-admin" not in reply.response.text, part
                gone = await north.admin.get(f"ai-catalog/assets/{asset}/{part}", params=sent)
                assert gone.status == 404
        text = (await south.admin.get(f"ai-catalog/assets/{asset}/explanation")).json["text"]
        assert "organization that the project belonged to before" in text
        search = TestSearch().search
        assert await search(south.admin, requested_by="north-admin") == [], "names can't be guessed either"
        assert len(await search(south.admin, requested_by=FORMER)) == 2
        assert await search(north.admin) == []


@pytest.mark.effect(
    "ai_catalog_get_asset_column_lineage",
    "ai_catalog_get_asset_impact",
    "ai_catalog_get_asset_as_of",
    "ai_catalog_get_asset_explanation",
    "ai_catalog_get_asset_provenance_diff",
    "ai_catalog_get_asset_provenance_export",
    "ai_catalog_search_provenance_assets",
)
class TestWhoSees:
    @pytest.mark.parametrize("part", PARTS)
    async def test_another_organization_and_who_has_no_grant_gets_nothing(
        self, api: Api, tables: Tables, part: str
    ) -> None:
        other = await tenant(api, "other")
        ada = await sees_only(api, "ada", DAILY)
        for caller in (other.admin, ada):
            reply = await caller.get(f"ai-catalog/assets/{SILVER}/{part}", params=PARTS[part])
            assert reply.status == 404, reply.response.text
        assert (await other.admin.get("ai-catalog/assets:search-provenance")).json["items"] == []
