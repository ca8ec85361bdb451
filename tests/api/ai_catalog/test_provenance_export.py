"""Provenance as OpenLineage and W3C PROV, as the libraries of others read it."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

from lakehouse.tables import Tables
from tests.api.ai_catalog.provenance_tables import DELAYS, make_provenance, sees_only, version
from tests.api_process import Api
from tests.lakehouse_tables import BRONZE, SILVER


@pytest.fixture
def tables(api: Api) -> Tables:
    return make_provenance(api)


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
