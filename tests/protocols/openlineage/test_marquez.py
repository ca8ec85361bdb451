"""The unmodified client of Marquez reads what emitters sent, and the assets and runs of the platform.

Kinds of fault: a document that the client cannot read, a graph with an edge too many or too few, and a name of others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import marquez_client
import pytest
import requests
from marquez_client.errors import APIError

from api.kernel.platform import open_tables
from tests.api_server import Server
from tests.lakehouse_tables import BRONZE, SILVER
from tests.lineage_events import RUN, dataset, dbt_stream, event, facet, spark_stream, version
from tests.protocols.openlineage.conftest import Emitter

WAREHOUSE = "postgres://warehouse:5432"
MARQUEZ = "/marquez/api/v1"


@pytest.fixture(scope="module")
def filled(server: Server, emitter: Emitter) -> Emitter:
    """The emitter after a Spark run on two assets, and runs of two dbt models."""
    root = server.api.app.platform.part(open_tables).storage.root
    spark = spark_stream(f"{root}/flights/bronze/flights", "1", "/elsewhere/report", "7")
    tagged = dataset(
        WAREHOUSE, "shop.raw.orders", tags=facet("TagsDatasetFacet", tags=[{"key": "pii", "value": "true"}])
    )
    described = {"eventTime": "2026-03-01T11:00:00Z", "producer": "x", "dataset": tagged}
    headers = {"authorization": f"Bearer {emitter.key}"}
    batch = [*spark, *dbt_stream(), described]
    reply = httpx.post(f"{emitter.url}/openlineage/api/v1/lineage/batch", json=batch, headers=headers, timeout=120)
    assert reply.json()["status"] == "success"
    return emitter


@pytest.fixture
def client(filled: Emitter) -> marquez_client.MarquezClient:
    # The client keeps its key in a global of its module.
    return marquez_client.MarquezClient(f"{filled.url}/marquez", timeout_ms=120_000, api_key=filled.key)


@pytest.fixture
def read(filled: Emitter) -> Callable[..., Any]:
    def get(path: str, key: str = filled.key, **query: Any) -> Any:
        headers = {"authorization": f"Bearer {key}"}
        return requests.get(f"{filled.url}{MARQUEZ}/{path}", params=query, headers=headers, timeout=120)

    return get


def test_namespaces_and_sources(client: marquez_client.MarquezClient) -> None:
    names = [one["name"] for one in client.list_namespaces()["namespaces"]]
    assert names == sorted(["dbt", "file", "headwater", WAREHOUSE, "spark"])
    assert client.get_namespace(WAREHOUSE)["name"] == WAREHOUSE
    assert WAREHOUSE in [one["name"] for one in client.list_sources()["sources"]]
    assert client.get_source(WAREHOUSE)["type"] == "POSTGRES"
    assert [one["name"] for one in client.list_tags()["tags"]] == ["pii"]
    assert [one["name"] for one in client.list_namespaces(limit=1, offset=1)["namespaces"]] == ["file"]


def test_datasets_and_their_versions(client: marquez_client.MarquezClient) -> None:
    listed = client.list_datasets(WAREHOUSE)
    names = [one["name"] for one in listed["datasets"]]
    assert names == ["crm.public.carriers", "shop.marts.revenue", "shop.raw.orders", "shop.staging.orders"]
    assert listed["totalCount"] == 4
    report = client.get_dataset("file", "/elsewhere/report")
    assert [one["name"] for one in report["fields"]] == ["id", "carrier"]
    assert (report["currentVersion"], report["lastLifecycleState"]) == ("7", "OVERWRITE")
    (written,) = client.list_dataset_versions("file", "/elsewhere/report")["versions"]
    assert (written["version"], written["createdByRun"]["id"]) == ("7", RUN)
    assert client.get_dataset_version("file", "/elsewhere/report", "7")["id"]["version"] == "7"
    (unversioned,) = client.list_dataset_versions(WAREHOUSE, "shop.marts.revenue")["versions"]
    assert unversioned["version"] == unversioned["createdByRun"]["id"], "a run that names no version makes one"


def test_assets_and_runs_of_the_platform(client: marquez_client.MarquezClient, filled: Emitter) -> None:
    assert BRONZE in [one["name"] for one in client.list_datasets("headwater")["datasets"]]
    versions = [
        one["version"].partition("@")[2] for one in client.list_dataset_versions("headwater", BRONZE)["versions"]
    ]
    assert sorted(versions) == ["0", "1"]
    job = client.get_job("headwater", SILVER)
    assert job["inputs"] == [{"namespace": "headwater", "name": BRONZE}]
    runs = client.list_job_runs("headwater", SILVER)["runs"]
    assert {one["id"] for one in runs} == {"run-b", "run-d"}
    reads = {
        one["id"]: [used["datasetVersionId"]["version"][-2:] for used in one["inputDatasetVersions"]] for one in runs
    }
    assert reads == {"run-b": ["@0"], "run-d": ["@1"]}


def test_jobs_and_runs(client: marquez_client.MarquezClient, read: Callable[..., Any]) -> None:
    (job,) = client.list_jobs("spark")["jobs"]
    assert job == client.get_job("spark", job["name"])
    read_names = [(one["namespace"], one["name"]) for one in job["inputs"]]
    assert read_names == [("headwater", BRONZE), (WAREHOUSE, "crm.public.carriers")]
    assert (job["location"], job["latestRun"]["state"]) == ("https://git.example.org/jobs/daily.py", "COMPLETED")
    run = client.get_job_run(RUN)
    assert run == client.list_job_runs("spark", job["name"])["runs"][0]
    assert (run["durationMs"], run["nominalEndTime"]) == (9000, "2026-03-01T13:00:00Z")
    used = {one["datasetVersionId"]["name"]: one["datasetVersionId"]["version"] for one in run["inputDatasetVersions"]}
    assert used[BRONZE].endswith("@1")
    path = f"namespaces/spark/jobs/{job['name']}/versions"
    (version_of_job,) = read(path).json()["versions"]
    assert read(f"{path}/{version_of_job['version']}").json()["latestRun"]["id"] == RUN
    assert read(f"jobs/runs/{RUN}/facets").json()["facets"]["processing_engine"]["name"] == "spark"
    assert read(f"jobs/runs/{RUN}/facets", type="job").json()["facets"]["jobType"]["integration"] == "SPARK"
    assert {one["namespace"] for one in read("jobs").json()["jobs"]} == {"dbt", "headwater", "spark"}


def test_the_graph_joins_jobs_of_all_systems(read: Callable[..., Any]) -> None:
    graph = {one["id"]: one for one in read("lineage", nodeId="dataset:file:/elsewhere/report").json()["graph"]}
    spark = "job:spark:daily_delays.execute_save_into_data_source_command"
    assert {
        f"dataset:headwater:{BRONZE}",
        f"dataset:headwater:{SILVER}",
        f"job:headwater:{SILVER}",
        spark,
    } <= graph.keys()
    assert {one["origin"] for one in graph[spark]["inEdges"]} == {
        f"dataset:headwater:{BRONZE}",
        f"dataset:{WAREHOUSE}:crm.public.carriers",
    }
    assert graph[spark]["outEdges"] == [{"origin": spark, "destination": "dataset:file:/elsewhere/report"}]
    chain = read("lineage", nodeId=f"dataset:{WAREHOUSE}:shop.raw.orders", depth=4).json()["graph"]
    assert f"dataset:{WAREHOUSE}:shop.marts.revenue" in [one["id"] for one in chain]
    near = read("lineage", nodeId=f"dataset:{WAREHOUSE}:shop.raw.orders", depth=1).json()["graph"]
    assert [one["type"] for one in near] == ["DATASET", "JOB"]


def test_column_lineage(client: marquez_client.MarquezClient) -> None:
    found = client.get_column_lineage_by_dataset("file", "/elsewhere/report")["graph"]
    nodes = {one["id"]: one["data"] for one in found}
    carrier = nodes["datasetField:file:/elsewhere/report:carrier"]
    assert {(one["dataset"], one["field"]) for one in carrier["inputFields"]} == {
        (BRONZE, "carrier"),
        ("crm.public.carriers", "name"),
    }
    one_field = client.get_column_lineage_by_dataset_field("file", "/elsewhere/report", "id")["graph"]
    assert {one["data"]["field"] for one in one_field} == {"id"}
    down = client.get_column_lineage_by_dataset_field(WAREHOUSE, "crm.public.carriers", "name", with_downstream=True)
    assert "datasetField:file:/elsewhere/report:carrier" in [one["id"] for one in down["graph"]]
    by_job = client.get_column_lineage_by_job("spark", "daily_delays.execute_save_into_data_source_command")["graph"]
    assert len(by_job) >= 4


def test_events_and_search(client: marquez_client.MarquezClient, read: Callable[..., Any]) -> None:
    assert len(client.list_events("spark")["events"]) == 4
    page = read("events/lineage", limit=3, sortDirection="asc").json()
    assert (len(page["events"]), page["totalCount"]) == (3, 9)
    assert page["events"][0]["dataset"]["name"] == "shop.raw.orders"
    later = read("events/lineage", after="2026-03-01T12:00:04Z").json()["events"]
    assert {one["eventType"] for one in later} == {"COMPLETE"}
    found = read("search", q="ORDERS").json()
    assert {(one["type"], one["name"]) for one in found["results"]} >= {("DATASET", "shop.raw.orders")}
    assert {one["type"] for one in read("search", q="orders", filter="JOB").json()["results"]} == {"JOB"}


def test_what_is_absent_or_malformed_is_a_problem(
    client: marquez_client.MarquezClient, read: Callable[..., Any]
) -> None:
    for path in ("nothing", "namespaces/absent", "namespaces/spark/jobs/absent", "jobs/runs/absent", "stats/jobs"):
        assert read(path).status_code == 404, path
    for query in ({"limit": "0"}, {"limit": "x"}, {"offset": "-1"}, {"limit": "9" * 30}):
        assert read("namespaces", **query).status_code == 400
    for node in ("", "dataset", "dataset:x", "table:a:b"):
        assert read("lineage", nodeId=node).status_code == 400
    assert read("lineage", nodeId="dataset:a:b").status_code == 404
    assert read("lineage", nodeId="dataset" + ":" * 3000).status_code in (400, 404, 414)
    with pytest.raises(APIError):
        client.create_tag("pii")
    with pytest.raises(APIError):
        client.create_namespace("ours", "me")


def test_nobody_reads_what_belongs_to_others(server: Server, filled: Emitter, read: Callable[..., Any]) -> None:
    """Another organization sees nothing of it, and asks for a hidden name as for one that does not exist."""
    if "other" not in server.tokens:
        server.add_tenant("other")
    key = server.tokens["other"]
    assert read("namespaces", key).json() == {"namespaces": []}
    for path in ("jobs", "sources", "tags", "events/lineage", "namespaces/headwater/datasets"):
        assert not next(iter(read(path, key).json().values())), path
    hidden = read("namespaces/spark/jobs/daily_delays.execute_save_into_data_source_command", key).json()["detail"]
    absent = read("namespaces/spark/jobs/nothing", key).json()["detail"]
    assert hidden.replace("daily_delays.execute_save_into_data_source_command", "nothing") == absent
    for path in (f"jobs/runs/{RUN}", "jobs/runs/run-d", f"namespaces/headwater/datasets/{BRONZE}"):
        assert read(path, key).status_code == 404
    for node in (f"dataset:headwater:{BRONZE}", "dataset:file:/elsewhere/report"):
        assert read("lineage", key, nodeId=node).status_code == 404
        assert read("column-lineage", key, nodeId=node).status_code == 404
    assert read("search", key, q="a").json()["totalCount"] == 0


def test_a_graph_leaves_out_what_the_caller_cannot_see(
    server: Server, filled: Emitter, read: Callable[..., Any]
) -> None:
    """A consumer in another project is no node for who reads only the asset."""
    used = {"inputs": [dataset("x", BRONZE, **version("1"))], "outputs": [dataset("x", "hidden_mart")]}
    hidden = event("COMPLETE", 1, RUN[:-1] + "0", **used)
    headers = {"x-headwater-project": "another"}
    assert filled.admin.post("/openlineage/api/v1/lineage", json=hidden, headers=headers).status_code == 201
    node = f"dataset:headwater:{BRONZE}"
    assert "hidden_mart" in read("lineage", server.tokens["admin"], nodeId=node).text
    assert "hidden_mart" not in read("lineage", nodeId=node).text
    assert read(f"jobs/runs/{RUN[:-1]}0").status_code == 404
