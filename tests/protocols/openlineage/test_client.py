"""The unmodified client of OpenLineage sends events of every kind, and its facets arrive as they were.

Kind of fault: what only the client's own requests would show: its headers, its compression, its way of writing events.
"""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from typing import Any

import attr
import pytest
import requests
from openlineage.client import OpenLineageClient, facet_v2, set_producer
from openlineage.client.event_v2 import (
    Dataset,
    DatasetEvent,
    InputDataset,
    Job,
    JobEvent,
    OutputDataset,
    Run,
    RunEvent,
    RunState,
)
from openlineage.client.uuid import generate_new_uuid

from tests.lakehouse_tables import BRONZE
from tests.protocols.openlineage.conftest import Emitter

PRODUCER = "https://github.com/headwater/tests"
WAREHOUSE = "postgres://warehouse:5432"


@pytest.fixture(params=["", "gzip"], ids=["plain", "gzip"])
def client(request: pytest.FixtureRequest, emitter: Emitter) -> OpenLineageClient:
    set_producer(PRODUCER)
    transport: dict[str, Any] = {
        "type": "http",
        "url": f"{emitter.url}/openlineage/",
        "auth": {"type": "api_key", "apiKey": emitter.key},
        "retry": {"total": 0},
    }
    return OpenLineageClient(config={"transport": transport | ({"compression": "gzip"} if request.param else {})})


def now() -> str:
    return datetime.now(UTC).isoformat()


def test_runs_of_the_client_become_lineage(client: OpenLineageClient, emitter: Emitter) -> None:
    run_id, job = str(generate_new_uuid()), Job("airflow", "orders.load")
    nominal = facet_v2.nominal_time_run.NominalTimeRunFacet("2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z")
    parent = facet_v2.parent_run.ParentRunFacet(
        facet_v2.parent_run.Run(str(generate_new_uuid())), facet_v2.parent_run.Job("airflow", "orders")
    )
    run = Run(run_id, facets={"nominalTime": nominal, "parent": parent})
    fields = [
        facet_v2.schema_dataset.SchemaDatasetFacetFields("id", "int"),
        facet_v2.schema_dataset.SchemaDatasetFacetFields("carrier", "text"),
    ]
    field = facet_v2.column_lineage_dataset.InputField("headwater", BRONZE, "id")
    lineage = facet_v2.column_lineage_dataset.ColumnLineageDatasetFacet(
        {"id": facet_v2.column_lineage_dataset.Fields([field])}
    )
    read = InputDataset(
        "headwater", BRONZE, facets={"version": facet_v2.dataset_version_dataset.DatasetVersionDatasetFacet("1")}
    )
    written = OutputDataset(
        WAREHOUSE,
        f"shop.public.orders_{run_id[:8]}",
        facets={"schema": facet_v2.schema_dataset.SchemaDatasetFacet(fields), "columnLineage": lineage},
        outputFacets={
            "outputStatistics": facet_v2.output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(3, 90)
        },
    )
    client.emit(RunEvent(eventTime=now(), run=run, job=job, eventType=RunState.START, inputs=[read]))
    client.emit(RunEvent(eventTime=now(), run=Run(run_id), job=job, eventType=RunState.COMPLETE, outputs=[written]))
    found = emitter.get("ai-catalog/external-runs", filter=f"run_id == '{run_id}'")["items"][0]
    assert (found["state"], found["job_name"], found["project_id"]) == ("COMPLETED", "orders.load", emitter.project)
    assert found["facets"]["parent"]["run"]["runId"] == parent.run.runId
    assert found["facets"]["nominalTime"]["nominalEndTime"] == "2026-03-02T00:00:00Z"
    graph = emitter.get(f"ai-catalog/assets/{BRONZE}/lineage", direction="downstream", version="1")
    assert written.name in [node["external"]["name"] for node in graph["nodes"] if node["external"]]
    (external,) = [node for node in graph["nodes"] if (node["external"] or {}).get("name") == written.name]
    dataset = emitter.get(f"ai-catalog/external-datasets/{external['external']['id']}")
    assert [one["name"] for one in dataset["facets"]["schema"]["fields"]] == ["id", "carrier"]


def test_events_of_datasets_and_jobs(client: OpenLineageClient, emitter: Emitter) -> None:
    suffix = str(generate_new_uuid())[-8:]
    owner = facet_v2.ownership_dataset.OwnershipDatasetFacet(
        [facet_v2.ownership_dataset.Owner("team:data", "MAINTAINER")]
    )
    client.emit(DatasetEvent(eventTime=now(), dataset=Dataset(WAREHOUSE, f"t_{suffix}", facets={"ownership": owner})))
    sql = facet_v2.sql_job.SQLJobFacet("SELECT 1")
    client.emit(
        JobEvent(
            eventTime=now(),
            job=Job("dbt", f"j_{suffix}", facets={"sql": sql}),
            inputs=[InputDataset(WAREHOUSE, f"t_{suffix}")],
        )
    )
    (dataset,) = emitter.get("ai-catalog/external-datasets", filter=f"name == 't_{suffix}'")["items"]
    assert dataset["facets"]["ownership"]["owners"] == [{"name": "team:data", "type": "MAINTAINER"}]
    (event,) = emitter.get("ai-catalog/lineage-events", filter=f"job_name == 'j_{suffix}'")["items"]
    assert event["event"]["job"]["facets"]["sql"]["query"] == "SELECT 1"


def test_every_facet_of_the_client_is_stored_as_it_was_sent(client: OpenLineageClient, emitter: Emitter) -> None:
    """One of every facet class of the specification, with values made from the types of its fields."""
    sent: dict[str, dict[str, Any]] = {"run": {}, "job": {}, "dataset": {}, "input": {}, "output": {}}
    bases = {
        "run": facet_v2.RunFacet,
        "job": facet_v2.JobFacet,
        "dataset": facet_v2.DatasetFacet,
        "input": facet_v2.InputDatasetFacet,
        "output": facet_v2.OutputDatasetFacet,
    }
    for kind, base in bases.items():
        for number, cls in enumerate(sorted(set(base.__subclasses__()), key=lambda cls: cls.__name__)):
            if cls.__module__.startswith("openlineage."):
                sent[kind][f"{cls.__name__}_{number}"] = cls(
                    **{one.name: sample(one) for one in attr.fields(cls) if one.init and one.default is attr.NOTHING}
                )
    assert min(len(facets) for facets in sent.values()) > 0
    assert sum(len(facets) for facets in sent.values()) > 30
    run_id = str(generate_new_uuid())
    client.emit(
        RunEvent(
            eventTime=now(),
            eventType=RunState.START,
            run=Run(run_id, facets=sent["run"]),
            job=Job("facets", run_id, facets=sent["job"]),
            inputs=[InputDataset("facets", "in", facets=sent["dataset"], inputFacets=sent["input"])],
            outputs=[OutputDataset("facets", "out", outputFacets=sent["output"])],
        )
    )
    (event,) = emitter.get("ai-catalog/lineage-events", filter=f"run_id == '{run_id}'")["items"]
    body = event["event"]
    stored = {
        "run": body["run"]["facets"],
        "job": body["job"]["facets"],
        "dataset": body["inputs"][0]["facets"],
        "input": body["inputs"][0]["inputFacets"],
        "output": body["outputs"][0]["outputFacets"],
    }
    assert {kind: facets.keys() for kind, facets in stored.items()} == {
        kind: facets.keys() for kind, facets in sent.items()
    }
    (run,) = emitter.get("ai-catalog/external-runs", filter=f"run_id == '{run_id}'")["items"]
    assert run["facets"] == stored["run"]


def sample(field: Any) -> Any:
    """A value of the type of a required field."""
    text = str(field.type)
    if text.startswith(("list", "dict")):
        return [] if text.startswith("list") else {}
    if field.name.endswith("Time"):
        return "2026-03-01T00:00:00Z"
    return {"int": 3, "float": 0.5, "bool": True}.get(text, "https://example.org/x")


@pytest.mark.parametrize("key", ["", "hw_" + "A" * 43])
def test_the_client_is_told_that_its_key_does_not_hold(emitter: Emitter, key: str) -> None:
    auth = {"auth": {"type": "api_key", "apiKey": key}} if key else {}
    transport = {"type": "http", "url": f"{emitter.url}/openlineage/", "retry": {"total": 0}, **auth}
    client = OpenLineageClient(config={"transport": transport})
    with pytest.raises(requests.HTTPError, match="401"):
        client.emit(
            RunEvent(eventTime=now(), run=Run(str(generate_new_uuid())), job=Job("a", "b"), eventType=RunState.START)
        )


def test_the_header_names_the_project(emitter: Emitter) -> None:
    """The admin may store events in two projects, and names one."""
    names = itertools.count()
    for headers, status in (
        ({}, 400),
        ({"X-Headwater-Project": "another"}, 201),
        ({"X-Headwater-Project": "absent"}, 404),
    ):
        run = {"runId": str(generate_new_uuid())}
        event = {"eventType": "START", "eventTime": now(), "producer": PRODUCER, "run": run}
        body = event | {"job": {"namespace": "a", "name": f"named_{next(names)}"}}
        assert emitter.admin.post("/openlineage/api/v1/lineage", json=body, headers=headers).status_code == status
    (stored,) = emitter.get("ai-catalog/lineage-events", filter="job_name == 'named_1'")["items"]
    assert stored["project_id"] != emitter.project
