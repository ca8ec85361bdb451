"""Provenance answers what is recorded, to whom may see it: nothing invented, nothing of hidden assets, no endless walk.

The kind: an answer that guesses columns, that follows or counts what the caller cannot see, that names people of
another organization, or that grows without a limit. Tests on SQLite alone compute in memory: the rows of the lineage
that they read come from the same statements as in `test_who_sees_provenance.py`, which uses both databases.
"""

from __future__ import annotations

from datetime import timedelta

import pytest

from lakehouse.lineage import Lineage
from lakehouse.tables import Tables
from tests.api.ai_catalog.provenance_tables import DAILY, DELAYS, PARTS, make_provenance, sees_only, step, version
from tests.api.both_databases import on_both
from tests.api_process import Api
from tests.lakehouse_tables import BRONZE, SILVER


@pytest.fixture
def tables(api: Api) -> Tables:
    return make_provenance(api)


@pytest.mark.effect("ai_catalog_get_asset_column_lineage")
class TestColumnLineage:
    async def test_names_the_recorded_source_columns_at_their_version(self, api: Api, tables: Tables) -> None:
        found = (await api.viewer.get(f"ai-catalog/assets/{SILVER}/column-lineage")).json
        assert found["version"] == version(tables, SILVER, 2)
        columns = {one["column"]: one for one in found["columns"] if one["asset"] == SILVER}
        assert [source["column"] for source in columns["carrier"]["sources"]] == ["at", "carrier"]
        assert {source["version"] for source in columns["carrier"]["sources"]} == {version(tables, BRONZE, 1)}
        assert columns["carrier"]["knowledge"] == "RECORDED"

    async def test_what_nobody_recorded_is_unknown_with_the_inputs_it_may_come_from(
        self, api: Api, tables: Tables
    ) -> None:
        found = (await api.viewer.get(f"ai-catalog/assets/{DAILY}/column-lineage")).json
        (day,) = found["columns"]
        assert (day["knowledge"], day["sources"], day["possible_inputs"]) == ("UNKNOWN", [], [SILVER])

    async def test_a_constant_is_known_to_have_no_source(self, api: Api, tables: Tables) -> None:
        found = (await api.viewer.get(f"ai-catalog/assets/{DELAYS}/column-lineage", params={"column": "kind"})).json
        (kind,) = found["columns"]
        assert (kind["knowledge"], kind["sources"]) == ("RECORDED", [])

    async def test_follows_columns_as_far_as_asked(self, api: Api, tables: Tables) -> None:
        path, params = f"ai-catalog/assets/{DELAYS}/column-lineage", {"column": "route", "depth": 5}
        found = (await api.viewer.get(path, params=params)).json
        assert [(one["asset"], one["column"], one["distance"]) for one in found["columns"]] == [
            (DELAYS, "route", 0),
            (SILVER, "id", 1),
            (BRONZE, "id", 2),
        ]
        assert not found["truncated"]
        assert found["columns"][2]["knowledge"] == "UNKNOWN", "it is not recorded where bronze comes from"
        for limit in ({"depth": 1}, {"max_columns": 2, "depth": 5}):
            cut = (await api.viewer.get(path, params={"column": "route"} | limit)).json
            assert (cut["truncated"], len(cut["columns"])) == (True, 2), limit

    async def test_an_unknown_column_and_an_unknown_version_are_refused(self, api: Api, tables: Tables) -> None:
        path = f"ai-catalog/assets/{SILVER}/column-lineage"
        wrong = await api.viewer.get(path, params={"column": "carier"})
        assert (wrong.status, wrong.reason) == (400, "UNKNOWN_COLUMN")
        assert "carrier" in wrong.json["detail"]
        assert (await api.viewer.get(path, params={"version": "other@7"})).status == 404

    async def test_sources_in_hidden_assets_are_left_out(self, api: Api, tables: Tables) -> None:
        ada = await sees_only(api, "ada", SILVER, DAILY)
        for asset in (SILVER, DAILY):
            reply = await ada.get(f"ai-catalog/assets/{asset}/column-lineage", params={"depth": 5})
            assert BRONZE not in reply.response.text
            assert reply.status == 200


@pytest.mark.effect("ai_catalog_get_asset_as_of")
class TestAsOf:
    async def test_names_the_version_that_was_current_and_its_provenance(self, api: Api, tables: Tables) -> None:
        for commit in tables.history(SILVER):
            params = {"at": (commit.committed_at + timedelta(milliseconds=0)).isoformat()}
            found = (await api.viewer.get(f"ai-catalog/assets/{SILVER}/as-of", params=params)).json
            assert (found["version"], found["produced_version"]) == (commit.data_version, commit.data_version)
            runs = [one["run"] for one in found["provenance"]["materializations"]]
            assert runs == [{0: "run-b", 1: "run-d", 2: "run-e"}[commit.version]]

    @on_both
    async def test_before_the_first_version_is_a_404_that_says_when_it_began(self, api: Api, tables: Tables) -> None:
        reply = await api.viewer.get(f"ai-catalog/assets/{SILVER}/as-of", params={"at": "2001-01-01T00:00:00Z"})
        assert (reply.status, reply.reason) == (404, "UNKNOWN_VERSION")
        assert version(tables, SILVER, 0) in reply.json["detail"]
        never = await api.viewer.get("ai-catalog/assets/flights.source.prices/as-of", params=PARTS["as-of"])
        assert (never.status, never.reason) == (404, "UNKNOWN_VERSION")

    async def test_after_maintenance_leads_to_the_version_that_made_the_rows(self, api: Api, tables: Tables) -> None:
        tables.append(BRONZE, tables.snapshot(BRONZE).to_arrow().slice(0, 1))  # of a writer without provenance
        found = (await api.viewer.get(f"ai-catalog/assets/{BRONZE}/as-of", params=PARTS["as-of"])).json
        assert found["version"] == version(tables, BRONZE, 2)
        assert found["produced_version"] == version(tables, BRONZE, 1)

    async def test_needs_a_time_with_its_zone(self, api: Api, tables: Tables) -> None:
        for at in ("", "yesterday", "2026-01-01T00:00:00"):
            assert (await api.viewer.get(f"ai-catalog/assets/{SILVER}/as-of", params={"at": at})).status == 400


@pytest.mark.effect("ai_catalog_get_asset_explanation")
class TestExplanation:
    async def test_says_in_sentences_what_the_facts_say(self, api: Api, tables: Tables) -> None:
        found = (await api.viewer.get(f"ai-catalog/assets/{SILVER}/explanation", params={"version": "1"})).json
        (facts,) = found["provenance"]["materializations"]
        for fact in (
            found["version"],
            "step make of run run-d",
            "editor",
            "test 1",
            "code version 1",
            facts["at"][:19],
        ):
            assert fact in found["text"], fact
        assert f"{BRONZE} at {version(tables, BRONZE, 1)} (columns carrier, id)" in found["text"]
        assert not found["deleted"]

    async def test_a_deleted_version_is_told(self, api: Api, tables: Tables) -> None:
        Lineage(api.database).tombstone(DAILY, reason="erased")
        found = (await api.viewer.get(f"ai-catalog/assets/{DAILY}/explanation")).json
        assert found["deleted"]
        assert "deleted" in found["text"]

    async def test_names_no_hidden_input_and_does_not_count_it(self, api: Api, tables: Tables) -> None:
        ada = await sees_only(api, "ada", SILVER)
        reply = await ada.get(f"ai-catalog/assets/{SILVER}/explanation")
        assert reply.status == 200
        assert "bronze" not in reply.response.text
        assert "No input that you can see" in reply.json["text"]


@pytest.mark.effect("ai_catalog_get_asset_provenance_diff")
class TestProvenanceDiff:
    async def test_names_facts_and_inputs_that_differ_and_follows_them(self, api: Api, tables: Tables) -> None:
        path, params = f"ai-catalog/assets/{SILVER}/provenance-diff", {"from": "0", "to": "2"}
        found = (await api.viewer.get(path, params=params)).json
        silver, bronze = found["comparisons"]
        facts = {one["fact"]: (one["before"], one["after"]) for one in silver["facts"]}
        assert facts.pop("code_version") == (["1"], ["2"])
        assert list(facts) == ["params_digest"]
        (changed,) = silver["inputs_changed"]
        versions = [version(tables, BRONZE, 0)], [version(tables, BRONZE, 1)]
        assert (changed["asset"], changed["before"], changed["after"]) == (BRONZE, *versions)
        assert (bronze["asset"], bronze["distance"], bronze["recorded"]) == (BRONZE, 1, True)
        assert not found["truncated"]
        cut = (await api.viewer.get(path, params=params | {"depth": 0})).json
        assert (cut["truncated"], len(cut["comparisons"])) == (True, 1)

    async def test_added_and_removed_inputs(self, api: Api, tables: Tables) -> None:
        daily = step(tables, Lineage(api.database), DAILY, "run-h")
        daily.read(BRONZE)
        daily.overwrite(tables.snapshot(BRONZE).to_arrow().select(["id"]), evolve_schema=True)
        found = (await api.viewer.get(f"ai-catalog/assets/{DAILY}/provenance-diff")).json
        (comparison,) = found["comparisons"]
        assert [one["asset"] for one in comparison["inputs_added"]] == [BRONZE]
        assert [one["asset"] for one in comparison["inputs_removed"]] == [SILVER]
        assert {one["fact"]: one["after"] for one in comparison["facts"]}["principal"] == ["editor"]

    async def test_without_an_earlier_version_says_what_to_send(self, api: Api, tables: Tables) -> None:
        reply = await api.viewer.get(f"ai-catalog/assets/{DAILY}/provenance-diff")
        assert (reply.status, "`from`" in reply.json["detail"]) == (400, True)
        assert (
            await api.viewer.get(f"ai-catalog/assets/{SILVER}/provenance-diff", params={"from": "other@1"})
        ).status == 404

    async def test_hidden_inputs_are_no_difference(self, api: Api, tables: Tables) -> None:
        ada = await sees_only(api, "ada", SILVER)
        reply = await ada.get(f"ai-catalog/assets/{SILVER}/provenance-diff", params={"from": "0", "max_nodes": 1})
        assert BRONZE not in reply.response.text
        assert not reply.json["truncated"]
