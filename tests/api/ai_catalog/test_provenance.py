"""Provenance answers what is recorded, to whom may see it: nothing invented, nothing of hidden assets, no endless walk.

The kind: an answer that guesses columns, that follows or counts what the caller cannot see, that names people of
another organization, or that grows without a limit.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any, cast

import pyarrow as pa
import pytest

from api.kernel.permissions.projects import FORMER
from core import clock
from lakehouse.lineage import Lineage
from lakehouse.tables import Tables
from tests.api.admin.mailing import until
from tests.api.admin.tenants import tenant
from tests.api.admin.test_projects import move
from tests.api.ai_catalog.provenance_tables import DAILY, DELAYS, make_provenance, sees_only, step
from tests.api_process import Api
from tests.lakehouse_tables import BRONZE, SILVER
from tests.orchestration import FakeOrchestrator, node

PARTS = {
    "column-lineage": {},
    "impact": {},
    "as-of": {"at": "2100-01-01T00:00:00Z"},
    "explanation": {},
    "provenance-diff": {},
    "provenance-export": {},
}


@pytest.fixture
def tables(api: Api) -> Tables:
    return make_provenance(api)


def version(tables: Tables, asset: str, number: int) -> str:
    return f"{tables.snapshot(asset).table_id}@{number}"


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


@pytest.mark.effect("ai_catalog_get_asset_as_of")
class TestAsOf:
    async def test_names_the_version_that_was_current_and_its_provenance(self, api: Api, tables: Tables) -> None:
        for commit in tables.history(SILVER):
            params = {"at": (commit.committed_at + timedelta(milliseconds=0)).isoformat()}
            found = (await api.viewer.get(f"ai-catalog/assets/{SILVER}/as-of", params=params)).json
            assert (found["version"], found["produced_version"]) == (commit.data_version, commit.data_version)
            runs = [one["run"] for one in found["provenance"]["materializations"]]
            assert runs == [{0: "run-b", 1: "run-d", 2: "run-e"}[commit.version]]

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


@pytest.mark.effect("ai_catalog_search_provenance_assets")
class TestSearch:
    async def search(self, caller: object, **params: object) -> list[tuple[str, str]]:
        reply = await caller.get("ai-catalog/assets:search-provenance", params=params)  # type: ignore[attr-defined]
        assert reply.status == 200, reply.response.text
        return [(one["asset"], one["run"]) for one in reply.json["items"]]

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


@pytest.mark.effect("ai_catalog_get_asset_provenance_export")
class TestExport:
    async def export(self, caller: object, asset: str, **params: object) -> list[dict[str, object]]:
        reply = await caller.get(f"ai-catalog/assets/{asset}/provenance-export", params=params)  # type: ignore[attr-defined]
        assert reply.status == 200, reply.response.text
        assert reply.headers["content-type"].startswith("application/x-ndjson")
        return [json.loads(line) for line in reply.response.text.splitlines()]

    async def test_openlineage_clients_read_the_events(self, api: Api, tables: Tables) -> None:
        from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent
        from openlineage.client.facet_v2 import (
            column_lineage_dataset,
            dataset_version_dataset,
            job_type_job,
            parent_run,
            processing_engine_run,
            schema_dataset,
        )

        events = await self.export(api.viewer, SILVER, format="openlineage")
        facets = {
            "version": dataset_version_dataset.DatasetVersionDatasetFacet,
            "columnLineage": column_lineage_dataset.ColumnLineageDatasetFacet,
            "schema": schema_dataset.SchemaDatasetFacet,
            "jobType": job_type_job.JobTypeJobFacet,
            "parent": parent_run.ParentRunFacet,
            "processing_engine": processing_engine_run.ProcessingEngineRunFacet,
        }

        def parsed(found: dict[str, Any]) -> dict[str, Any]:
            result = {}
            for name, facet in found.items():
                if name in facets:
                    # The classes refuse unknown and missing fields, and know the address of the specification.
                    values = {key: value for key, value in facet.items() if not key.startswith("_")}
                    result[name] = facets[name](**values)
                    assert facet["_schemaURL"] == facets[name]._get_schema(), name
            return result

        for event in cast("list[dict[str, Any]]", events):
            RunEvent(
                eventTime=event["eventTime"],
                producer=event["producer"],
                eventType=event["eventType"],
                run=Run(event["run"]["runId"], parsed(event["run"]["facets"])),
                job=Job(event["job"]["namespace"], event["job"]["name"], parsed(event["job"]["facets"])),
                inputs=[InputDataset(one["namespace"], one["name"], parsed(one["facets"])) for one in event["inputs"]],
                outputs=[
                    OutputDataset(one["namespace"], one["name"], parsed(one["facets"])) for one in event["outputs"]
                ],
            )
            assert event["schemaURL"] == RunEvent._get_schema()
        last = cast("Any", events[-1])
        (read,), (written,) = last["inputs"], last["outputs"]
        assert (read["name"], read["facets"]["version"]["datasetVersion"]) == (BRONZE, version(tables, BRONZE, 1))
        assert written["facets"]["version"]["datasetVersion"] == version(tables, SILVER, 2)
        sources = written["facets"]["columnLineage"]["fields"]["carrier"]["inputFields"]
        assert [(one["name"], one["field"]) for one in sources] == [(BRONZE, "at"), (BRONZE, "carrier")]

    async def test_prov_readers_read_the_document(self, api: Api, tables: Tables) -> None:
        from prov.model import ProvDerivation, ProvDocument, ProvEntity, ProvGeneration, ProvUsage

        (document,) = await self.export(api.viewer, DELAYS, format="prov")
        read = ProvDocument.deserialize(content=json.dumps(document), format="json")
        entities = {
            (str(next(iter(one.get_attribute("hw:asset")))), str(next(iter(one.get_attribute("hw:version")))))
            for one in read.get_records(ProvEntity)
        }
        assert {(DELAYS, version(tables, DELAYS, 0)), (SILVER, version(tables, SILVER, 2))} < entities
        assert (BRONZE, version(tables, BRONZE, 0)) in entities
        for kind, count in ((ProvGeneration, 4), (ProvUsage, 3), (ProvDerivation, 3)):
            assert len(list(read.get_records(kind))) == count, kind
        ends = {str(attribute) for one in read.get_records() for attribute in one.args if attribute is not None}
        named = {str(one.identifier) for one in read.get_records() if one.identifier}
        assert {end for end in ends if end.startswith("hw:")} <= named, "every end of a relation is in the document"

    async def test_limits_are_told_in_a_header(self, api: Api, tables: Tables) -> None:
        path = f"ai-catalog/assets/{DELAYS}/provenance-export"
        whole = await api.viewer.get(path)
        cut = await api.viewer.get(path, params={"depth": 1})
        assert (whole.headers["x-truncated"], cut.headers["x-truncated"]) == ("false", "true")
        assert [json.loads(line)["outputs"][0]["name"] for line in cut.response.text.splitlines()] == [DELAYS]

    async def test_contains_nothing_of_hidden_assets(self, api: Api, tables: Tables) -> None:
        ada = await sees_only(api, "ada", DELAYS, SILVER)
        for form in ("openlineage", "prov"):
            documents = await self.export(ada, DELAYS, format=form)
            assert SILVER in json.dumps(documents)
            assert "bronze" not in json.dumps(documents)


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
