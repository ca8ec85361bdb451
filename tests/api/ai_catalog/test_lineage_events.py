"""Lineage events of other systems: what they become, in whatever order they come, and what no caller learns from them.

Kinds of fault: an edge that no run made, a claim about an asset of others, a version that no table has, an event that
is lost or counted twice, and input that breaks the graph for every user.
"""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
from typing import Any

import deltalake
import pyarrow as pa
import pytest
import sqlalchemy as sa

from api.kernel.platform import open_tables
from lakehouse.lineage import LINEAGE_EDGE
from tests.api.admin.tenants import Tenant, grant, made, tenant, user
from tests.api.both_databases import on_both
from tests.api_process import Api, Caller
from tests.lakehouse_tables import BRONZE, SILVER, make_tables
from tests.lineage_events import RUN, dataset, dbt_stream, event, spark_stream, version

PATH = "/openlineage/api/v1/lineage"
EVENTS = "ai-catalog/lineage-events"


@pytest.fixture
async def lake(api: Api) -> Api:
    """An API with the sample tables. Version 2 of silver is written by another program."""
    tables = make_tables(api.app.platform.settings, api.database)
    rows = pa.table({"id": [7], "carrier": ["Z"]})
    deltalake.write_deltalake(tables.storage.uri(SILVER), rows, mode="append")
    await made(api.admin.post("admin/projects", {"name": "flights", "spec": {"title": "Flights"}}))
    return api


def short(api: Api) -> set[tuple[str, str, str, str]]:
    """The edges with external datasets as `external:<project>` and versions as numbers where they have one."""

    def name(asset: str) -> str:
        return asset.rpartition(":")[0] if asset.startswith("external:") else asset

    return {(name(i), iv.rpartition("@")[2], name(o), ov.rpartition("@")[2]) for i, iv, o, ov in raw_edges(api)}


def raw_edges(api: Api) -> list[tuple[str, str, str, str]]:
    columns = (LINEAGE_EDGE.c.in_asset, LINEAGE_EDGE.c.in_version, LINEAGE_EDGE.c.out_asset, LINEAGE_EDGE.c.out_version)
    with api.database.read() as connection:
        query = sa.select(*columns).where(LINEAGE_EDGE.c.run.startswith("openlineage:"))
        return [(row[0], row[1], row[2], row[3]) for row in connection.execute(query)]


async def send(caller: Caller, *events: Any, project: str = "", status: int = 201) -> Any:
    headers = {"x-headwater-project": project} if project else {}
    for one in events:
        reply = await caller.post(PATH, one, headers=headers)
        assert reply.status == status, reply.json
    return reply.json


def storage_path(api: Api, asset: str) -> str:
    return api.app.platform.part(open_tables).storage.uri(asset)


@on_both
@pytest.mark.effect("ai_catalog_create_lineage_event")
async def test_a_spark_run_becomes_edges_with_versions(lake: Api) -> None:
    source, target = storage_path(lake, BRONZE), storage_path(lake, SILVER)
    await send(lake.admin, *spark_stream(source, "1", target, "2"))
    assert short(lake) == {
        (BRONZE, "1", SILVER, "2"),
        ("external:flights", "unversioned", SILVER, "2"),
        (SILVER, "1", SILVER, "2"),
    }
    graph = (await lake.admin.get(f"ai-catalog/assets/{SILVER}/lineage", params={"version": "2", "depth": "1"})).json
    external = [node["external"] for node in graph["nodes"] if node["external"]]
    assert [(one["namespace"], one["name"]) for one in external] == [
        ("postgres://warehouse:5432", "crm.public.carriers")
    ]
    provenance = (await lake.admin.get(f"ai-catalog/assets/{SILVER}/provenance", params={"version": "2"})).json
    (step,) = provenance["materializations"]
    assert (step["engine"], step["git_sha"], step["principal"]) == (
        "spark 4.2.0",
        "a1b2c3d4e5f60718293a4b5c6d7e8f9001122334",
        "admin",
    )
    columns = {one["asset"].partition(":")[0]: one["columns"] for one in step["inputs"]}
    assert columns == {BRONZE: ["carrier", "id"], "external": ["name"], SILVER: []}
    (run,) = (await lake.admin.get("ai-catalog/external-runs")).json["items"]
    assert (run["state"], run["facets"]["spark_properties"]["properties"]) == (
        "COMPLETED",
        {"spark.master": "local[*]"},
    )
    used = (await lake.admin.get(f"ai-catalog/external-runs/{run['id']}/datasets")).json["items"]
    statistics = {one["name"]: one["facets"].get("outputStatistics", {}).get("rowCount") for one in used}
    assert statistics[target] == 3


@on_both
async def test_the_order_of_events_and_repetition_change_nothing(lake: Api) -> None:
    """Each order of a run's events, sent twice, gives the same run and the same edges."""
    source, target = storage_path(lake, BRONZE), storage_path(lake, SILVER)
    results = set()
    for number, order in enumerate(itertools.permutations(spark_stream(source, "1", target, "2"))):
        if number % 5:
            continue
        project = f"order_{number}"
        await made(lake.admin.post("admin/projects", {"name": project, "spec": {"title": "x"}}))
        await send(lake.admin, *order, *order[:2], project=project)
        filter = {"filter": f"project_id == '{project}'"}
        assert len((await lake.admin.get(EVENTS, params=filter)).json["items"]) == 4
        (run,) = (await lake.admin.get("ai-catalog/external-runs", params=filter)).json["items"]
        results.add((run["state"], run["started_at"], run["ended_at"], json.dumps(run["facets"], sort_keys=True)))
        known = {edge for edge in raw_edges(lake) if edge[0].startswith(f"external:{project}:")}
        assert len(known) == 1, order
    assert len(results) == 1


async def test_dbt_models_without_versions_are_one_chain(lake: Api) -> None:
    await send(lake.admin, *dbt_stream())
    again = [one | {"run": {"runId": one["run"]["runId"].replace("0176", "0177")}} for one in dbt_stream()]
    await send(lake.admin, *again)
    chain = raw_edges(lake)
    assert len(chain) == 2, "the second run of each model adds no edge between the same nodes"
    assert chain[0][2:] == chain[1][:2]


@pytest.mark.parametrize("state", ["FAIL", "ABORT", "RUNNING", "OTHER"])
async def test_a_run_that_did_not_complete_makes_no_edge(lake: Api, state: str) -> None:
    used = {"inputs": [dataset("pg", "a")], "outputs": [dataset("pg", "b")]}
    await send(lake.admin, event("START", 0, **used), event(state, 5, **used))
    assert raw_edges(lake) == []
    if state in ("FAIL", "ABORT"):
        await send(lake.admin, event("COMPLETE", 3, **used))
        assert raw_edges(lake) == [], "the later report counts"
        (last, *_) = (await lake.admin.get(EVENTS)).json["items"]
        assert [one["code"] for one in last["findings"]] == ["TWO_RESULTS"]


async def test_a_version_that_no_table_has_is_a_finding_and_no_edge(lake: Api) -> None:
    outputs = [dataset("x", "table_of_theirs")]
    for number, (text, code) in enumerate([("9", "UNKNOWN_VERSION"), ("x", "UNKNOWN_VERSION"), ("", "NO_VERSION")]):
        facets = version(text) if text else {}
        run = RUN[:-1] + str(number)
        found = await send(
            lake.admin, event("COMPLETE", 1, run, inputs=[dataset("x", BRONZE, **facets)], outputs=outputs)
        )
        assert [(one["code"], one["asset"]) for one in found["findings"]] == [(code, BRONZE)]
    inputs, written = [dataset("x", "table_of_theirs")], [dataset("x", SILVER, **version("1"))]
    found = await send(lake.admin, event("COMPLETE", 1, RUN[:-1] + "7", inputs=inputs, outputs=written))
    assert [one["code"] for one in found["findings"]] == ["OTHER_WRITER"]
    assert raw_edges(lake) == []


async def test_nobody_claims_or_discovers_an_asset_that_they_may_not_write(lake: Api) -> None:
    """The answers, the rows, and the graph are the same for an asset of others and for one that does not exist."""
    one = await tenant(lake, "one")
    outcomes = []
    for number, asset in enumerate((SILVER, "flights.silver.nothing")):
        names = (dataset("x", asset, **version("2")), dataset("file", storage_path(lake, asset), **version("2")))
        run = RUN[:-1] + str(number)
        answer = await send(one.admin, event("COMPLETE", 1, run, inputs=[dataset("x", "y")], outputs=list(names)))
        rows = (await one.admin.get("ai-catalog/external-datasets")).json["items"]
        outcomes.append((answer["findings"], {row["asset"] for row in rows}, len(rows) - 3 * number))
    assert outcomes == [([], {None}, 3), ([], {None}, 2)]
    assert {edge[2].partition(":")[0] for edge in raw_edges(lake)} == {"external"}
    nodes = (await lake.admin.get(f"ai-catalog/assets/{SILVER}/lineage", params={"version": "2"})).json["nodes"]
    assert not any(node["external"] for node in nodes)


async def test_a_reader_of_an_asset_cannot_draw_an_edge_to_it(lake: Api) -> None:
    """A right to read is not one to write, and an editor of one project writes no asset of another."""
    one = await tenant(lake, "one")
    await grant(lake, one.admin_id, "rol_viewer", "flights")
    used = {"inputs": [dataset("x", "y")], "outputs": [dataset("x", SILVER, **version("2"))]}
    await send(one.admin, event("COMPLETE", 1, **used))
    assert {edge[2].partition(":")[0] for edge in raw_edges(lake)} == {"external"}
    refused = await lake.viewer.post(PATH, event("COMPLETE", 1, **used), headers={"x-headwater-project": "flights"})
    assert (refused.status, refused.reason) == (403, "PERMISSION_DENIED")
    denials = [one["type"] for one in lake.events() if one["data"].get("outcome") == "denied"]
    assert denials == ["ai_catalog.lineage_event.create_denied"]


@on_both
async def test_external_datasets_are_seen_only_with_rights_on_their_project(lake: Api) -> None:
    one, other = await tenant(lake, "one"), await tenant(lake, "other")
    await grant(lake, one.admin_id, "rol_editor", "flights")
    read = {"inputs": [dataset("x", SILVER, **version("2"))], "outputs": [dataset("pg", "secret_mart")]}
    await send(one.admin, event("COMPLETE", 1, **read), project="one_data")
    await grant(lake, other.admin_id, "rol_viewer", "flights")
    path, query = f"ai-catalog/assets/{SILVER}/lineage", {"version": "2", "direction": "downstream"}
    seen = {
        name: (await who.get(path, params=query)).response.text
        for name, who in (("one", one.admin), ("other", other.admin))
    }
    assert "secret_mart" in seen["one"]
    assert "external" not in json.dumps([node["asset"] for node in json.loads(seen["other"])["nodes"]])
    assert "secret_mart" not in seen["other"]
    for plural in ("external-datasets", "external-runs", "lineage-events"):
        (first, *_) = (await one.admin.get(f"ai-catalog/{plural}")).json["items"]
        assert (await other.admin.get(f"ai-catalog/{plural}")).json["items"] == []
        assert (await other.admin.get(f"ai-catalog/{plural}/{first['id']}")).status == 404
    missing, hidden = [
        await other.admin.post(PATH, event("START"), headers={"x-headwater-project": name})
        for name in ("nothing", "one_data")
    ]
    assert (missing.status, hidden.status) == (404, 404)
    assert missing.json["detail"].replace("nothing", "one_data") == hidden.json["detail"]


@on_both
async def test_the_project_is_the_only_one_or_the_one_that_the_caller_names(lake: Api) -> None:
    one = await tenant(lake, "one")
    await send(one.admin, event("START"))
    await made(
        lake.admin.post(
            "admin/projects", {"name": "one_more", "organization_id": one.organization, "spec": {"title": "x"}}
        )
    )
    refused = await one.admin.post(PATH, event("START", 1))
    assert (refused.status, "one_data" in refused.json["detail"], "flights" in refused.json["detail"]) == (
        400,
        True,
        False,
    )
    await send(one.admin, event("START", 1), project="one_more")
    listed = (await one.admin.get(EVENTS, params={"filter": "project_id == 'one_more'"})).json["items"]
    assert len(listed) == 1
    ada = await user(lake, "ada")
    assert (await lake.caller("ada").post(PATH, event("START"))).status == 403
    await grant(lake, ada, "rol_editor", one.project)
    await send(lake.caller("ada"), event("START", 2))


async def test_versions_of_other_systems_cannot_break_the_graph(lake: Api) -> None:
    """The versions are what an index by number cannot hold. Lineage of all others must go on working."""
    for number, text in enumerate(["x@²", "x@9" + "9" * 30, "@", "x@-1", "é" * 500, "t@3"]):
        used = {"inputs": [dataset("pg", "a", **version(text))], "outputs": [dataset("pg", "b", **version(text))]}
        await send(lake.admin, event("COMPLETE", 1, RUN[:-1] + str(number), **used))
    assert (await lake.admin.get(f"ai-catalog/assets/{SILVER}/lineage")).status == 200
    assert len(raw_edges(lake)) == 6


@pytest.mark.effect("ai_catalog_ingest_lineage_events")
async def test_a_batch_has_a_result_for_each_event(lake: Api) -> None:
    good = [event("START", 0), event("COMPLETE", 1, inputs=[dataset("pg", "a")], outputs=[dataset("pg", "b")])]
    bad = [{}, None, "x", event("DONE"), event("START", 0, "nine"), event("START", eventTime="yesterday"), {"run": {}}]
    reply = await lake.admin.post(f"{PATH}/batch", [*good, *bad, good[0]])
    assert (reply.status, reply.json["status"]) == (200, "partial_success")
    assert reply.json["summary"] == {"received": 10, "successful": 3, "failed": 7, "retriable": 0, "non_retriable": 7}
    assert [one["index"] for one in reply.json["failed_events"]] == list(range(2, 9))
    assert "START, RUNNING, COMPLETE" in reply.json["failed_events"][3]["reason"]
    assert len(raw_edges(lake)) == 1
    over_rest = await lake.admin.post(f"{EVENTS}:ingest", {"events": [*good, bad[4]]})
    assert (over_rest.json["stored"], over_rest.json["duplicates"]) == (0, 2)
    assert over_rest.json["refused"][0]["pointer"] == "/run/runId"


@on_both
async def test_ten_thousand_events_are_stored_at_once_and_no_more(lake: Api) -> None:
    events = [
        event(
            state,
            1,
            f"{number:08x}-fe01-7439-87e6-56a1a1b4029f",
            inputs=[dataset("pg", "a")],
            outputs=[dataset("pg", f"b{number % 50}")],
        )
        for number in range(5_000)
        for state in ("START", "COMPLETE")
    ]
    content = gzip.compress(json.dumps(events).encode())
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    reply = await lake.admin("POST", f"{PATH}/batch", content=content, headers=headers)
    assert reply.json["summary"]["successful"] == 10_000
    assert len(raw_edges(lake)) == 50
    one_too_many = gzip.compress(json.dumps([*events, events[0]]).encode())
    refused = await lake.admin("POST", f"{PATH}/batch", content=one_too_many, headers=headers)
    assert (refused.status, "10,000" in refused.json["detail"]) == (422, True)
    again = await lake.admin("POST", f"{PATH}/batch", content=content, headers=headers)
    assert again.json["status"] == "success"
    with lake.database.read() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM lineage_event")) == 10_000


@on_both
async def test_the_same_event_at_the_same_time_is_stored_once(lake: Api) -> None:
    start, complete = event("START", 0, inputs=[dataset("pg", "a")]), event("COMPLETE", 1, outputs=[dataset("pg", "b")])
    replies = await asyncio.gather(*(lake.admin.post(PATH, one) for one in [start, complete] * 6))
    assert {reply.status for reply in replies} == {201}
    assert len({reply.json["id"] for reply in replies}) == 2
    assert len((await lake.admin.get(EVENTS)).json["items"]) == 2
    assert len(raw_edges(lake)) == 1


async def test_what_is_no_event_is_refused_with_its_place(lake: Api) -> None:
    giant = event("START", run={"runId": RUN, "facets": {"spark_logicalPlan": {"plan": "x" * 3_000_000}}})
    deep: dict[str, Any] = {}
    for _ in range(100):
        deep = {"a": deep}
    many = [dataset("pg", str(number)) for number in range(1_001)]
    cases: list[tuple[Any, int, str]] = [
        (giant, 413, "facets"),
        (event("START", extra=deep), 422, "nested"),
        (event("START", inputs=many), 422, "/inputs"),
        (event("START", inputs={}), 422, "/inputs"),
        (event("START", inputs=[{"name": "a"}]), 422, "/inputs/0/namespace"),
        (event("START", job={"namespace": "a", "name": "x\u0000"}), 422, "/job/name"),
        (event("START", extra="\ud800"), 422, "/extra"),
        (event("START", extra={"a/b": [2**64]}), 422, "/extra/a~1b/0"),
        (event("START", producer=""), 422, "/producer"),
        (event("START", job={"namespace": "a", "name": "n" * 2_000}), 422, "/job/name"),
        ({"eventTime": "2026-01-01T00:00:00Z", "producer": "x"}, 422, "/run"),
        ([], 422, "batch"),
    ]
    for body, status, place in cases:
        headers = {"content-type": "application/json"}
        reply = await lake.admin("POST", PATH, content=json.dumps(body).encode(), headers=headers)
        assert (reply.status, place in reply.response.text) == (status, True), reply.response.text[:300]
    assert (await lake.admin.get(EVENTS)).json["items"] == []


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"{", {}, 400),
        (b"\xff", {}, 400),
        (b'{"a": NaN}', {}, 400),
        (b"[" * 100_000, {}, 400),
        (b"{}", {"content-type": "text/plain"}, 415),
        (b"{}", {"content-encoding": "br"}, 415),
        (b"{}", {"content-encoding": "gzip"}, 400),
        (gzip.compress(b"{}", mtime=0)[:-4], {"content-encoding": "gzip"}, 400),
        (gzip.compress(b" " * 70_000_000, mtime=0), {"content-encoding": "gzip"}, 413),
    ],
)
async def test_bodies_that_cannot_be_read_are_refused(
    api: Api, content: bytes, headers: dict[str, str], status: int
) -> None:
    reply = await api.admin("POST", PATH, content=content, headers={"content-type": "application/json"} | headers)
    assert reply.status == status, reply.json


@on_both
async def test_jobs_and_datasets_are_described_without_a_run(lake: Api) -> None:
    common = {"eventTime": "2026-03-01T12:00:00Z", "producer": "https://example.org"}
    described = dataset("pg", "orders", documentation={"description": "All orders."})
    await send(
        lake.admin,
        common | {"dataset": described},
        common | {"job": {"namespace": "dbt", "name": "m"}, "inputs": [described]},
    )
    (found,) = (await lake.admin.get("ai-catalog/external-datasets")).json["items"]
    assert found["facets"]["documentation"]["description"] == "All orders."
    removed = dataset("pg", "orders", documentation={"_deleted": True})
    await send(lake.admin, common | {"dataset": removed, "eventTime": "2026-03-02T12:00:00Z"})
    (found,) = (await lake.admin.get("ai-catalog/external-datasets")).json["items"]
    assert found["facets"] == {}
    assert {one["type"] for one in (await lake.admin.get(EVENTS)).json["items"]} == {"JOB", "DATASET"}


async def test_rows_move_with_their_project(lake: Api) -> None:
    one, other = await tenant(lake, "one"), await tenant(lake, "other")
    await send(one.admin, event("COMPLETE", 1, inputs=[dataset("pg", "a")], outputs=[dataset("pg", "b")]))
    await _move(lake, one, other)
    assert (await one.admin.get(EVENTS)).json["items"] == []
    (moved,) = (await other.admin.get(EVENTS)).json["items"]
    assert moved["created_by"] == "former-organization"


async def _move(api: Api, one: Tenant, other: Tenant) -> None:
    path, body = f"admin/projects/{one.project}:move", {"organization_id": other.organization}
    operation = (await api.admin.post(path, body)).json["id"]
    while (await api.admin.get(f"operations/{operation}")).json["state"] not in ("SUCCEEDED", "FAILED"):
        await asyncio.sleep(0.02)
