"""What is affected by a change of an asset or of a column: certain and possible effects, and nothing that is hidden."""

from __future__ import annotations

import pytest

from lakehouse.lineage import Lineage
from lakehouse.tables import Tables
from tests.api.ai_catalog.provenance_tables import DAILY, DELAYS, make_provenance, sees_only, step
from tests.api_process import Api
from tests.lakehouse_tables import BRONZE, SILVER


@pytest.fixture
def tables(api: Api) -> Tables:
    return make_provenance(api)


@pytest.mark.effect("ai_catalog_get_asset_impact")
class TestImpact:
    async def test_of_a_column_tells_what_certainly_breaks_from_what_may(self, api: Api, tables: Tables) -> None:
        found = (await api.viewer.get(f"ai-catalog/assets/{SILVER}/impact", params={"column": "id"})).json
        affected = {one["asset"]: (one["certainty"], one["lost_columns"], one["recorded"]) for one in found["assets"]}
        assert affected == {DELAYS: ("EXACT", ["route"], True), DAILY: ("ASSUMED", None, True)}

    async def test_leaves_out_who_is_recorded_to_read_other_columns(self, api: Api, tables: Tables) -> None:
        found = (await api.viewer.get(f"ai-catalog/assets/{SILVER}/impact", params={"column": "carrier"})).json
        assert [one["asset"] for one in found["assets"]] == [DAILY]

    async def test_follows_lost_columns_further_down(self, api: Api, tables: Tables) -> None:
        found = (await api.viewer.get(f"ai-catalog/assets/{BRONZE}/impact", params={"column": "at"})).json
        affected = {one["asset"]: (one["certainty"], one["lost_columns"]) for one in found["assets"]}
        # The carrier of silver is lost, which delays does not read.
        assert affected == {SILVER: ("EXACT", ["carrier"]), DAILY: ("ASSUMED", None)}
        far = (await api.viewer.get(f"ai-catalog/assets/{BRONZE}/impact", params={"column": "id"})).json
        assert {one["asset"]: one["path"] for one in far["assets"]}[DELAYS] == [BRONZE, SILVER, DELAYS]

    async def test_of_the_whole_asset_reaches_every_reader_with_checks_and_automation(
        self, api: Api, tables: Tables
    ) -> None:
        found = (await api.viewer.get(f"ai-catalog/assets/{BRONZE}/impact")).json
        assert {one["asset"]: one["certainty"] for one in found["assets"]} == dict.fromkeys(
            (SILVER, DELAYS, DAILY), "EXACT"
        )
        assert {(one["asset"], one["check"]) for one in found["checks"]} == {
            (BRONZE, "not_empty"),
            (SILVER, "not_empty"),
            (SILVER, "plausible"),
        }
        assert found["sensors"] == [{"id": "landing", "assets": [BRONZE]}]

    async def test_names_definitions_of_readers_and_drafts_that_mention_it(self, api: Api, tables: Tables) -> None:
        for asset, sql in (("flights.gold.draft", f"SELECT id FROM {SILVER}"), ("flights.gold.other", "SELECT 1 AS x")):
            attributes = {"asset": asset, "sql": sql}
            body = {"component": "SqlTransformComponent", "attributes": attributes}
            assert (await api.editor.post("ai-catalog/definitions", body)).status == 201
        found = (await api.viewer.get(f"ai-catalog/assets/{SILVER}/impact")).json
        assert found["definitions"] == [
            {"definition": "flights.gold.draft", "certainty": "ASSUMED", "published": False}
        ]
        ada = await sees_only(api, "ada", SILVER)
        assert (await ada.get(f"ai-catalog/assets/{SILVER}/impact")).json["definitions"] == []

    async def test_a_reader_that_reads_it_no_more_is_not_affected(self, api: Api, tables: Tables) -> None:
        orders = "flights.source.prices"
        lineage = Lineage(api.database)
        for run, source in (("old", SILVER), ("new", BRONZE)):
            prices = step(tables, lineage, orders, run)
            prices.read(source)
            prices.overwrite(tables.snapshot(BRONZE).to_arrow().select(["id"]).slice(0, 1 if run == "old" else 2))
        affected = (await api.viewer.get(f"ai-catalog/assets/{SILVER}/impact")).json["assets"]
        assert orders not in [one["asset"] for one in affected]
        affected = (await api.viewer.get(f"ai-catalog/assets/{BRONZE}/impact")).json["assets"]
        assert orders in [one["asset"] for one in affected]

    async def test_limits_say_that_they_cut_something_off(self, api: Api, tables: Tables) -> None:
        for limit in ({"depth": 1}, {"max_nodes": 1}):
            found = (await api.viewer.get(f"ai-catalog/assets/{BRONZE}/impact", params=limit)).json
            assert (found["truncated"], [one["asset"] for one in found["assets"]]) == (True, [SILVER])

    async def test_ends_on_assets_that_read_each_other(self, api: Api, tables: Tables) -> None:
        lineage = Lineage(api.database)
        silver = step(tables, lineage, SILVER, "run-circle")
        silver.read(DAILY)
        silver.read(BRONZE)
        silver.append(tables.snapshot(SILVER).to_arrow().slice(0, 1))
        found = (await api.viewer.get(f"ai-catalog/assets/{SILVER}/impact", params={"column": "id"})).json
        assert {one["asset"] for one in found["assets"]} == {DELAYS, DAILY}

    async def test_does_not_go_through_hidden_assets(self, api: Api, tables: Tables) -> None:
        ada = await sees_only(api, "ada", BRONZE, DELAYS)
        for params in ({}, {"column": "id"}, {"max_nodes": 1}):
            reply = await ada.get(f"ai-catalog/assets/{BRONZE}/impact", params=params)
            assert reply.json["assets"] == []
            assert not reply.json["truncated"], "hidden assets are not counted"
            assert SILVER not in reply.response.text
