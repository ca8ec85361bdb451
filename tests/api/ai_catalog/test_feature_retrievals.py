"""Retrieval of features for many rows: the same values as everywhere, one version, and its lineage.

The kind: a value from after its time, a copy that shows what its reader may not read, rows that are stored twice, and a
canceled retrieval that stores them.
"""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pytest

from api.kernel.platform import open_lineage
from api.services.ai_catalog.kinds.artifact import open_blobs
from api.services.ai_catalog.logic import feature_retrievals
from lakehouse.tables import Tables
from tests.api.admin.tenants import grant, made, user
from tests.api.ai_catalog.feature_store import START, TABLE, content, declared, opened, serve
from tests.api.both_databases import on_both
from tests.api_process import Api
from tests.orchestration import FakeOrchestrator, node

SPINE, RESULT = "flights.bronze.visits", "flights.retrievals.churn_rows"


@pytest.fixture
def tables(api: Api) -> Tables:
    tables = opened(api)
    tables.overwrite(SPINE, visits())
    return tables


@pytest.fixture
async def service(api: Api, tables: Tables) -> str:
    return await declared(api)


def visits() -> pa.Table:
    """Twenty visits of four customers, of whom one is unknown, before and after the features were known."""
    chosen = random.Random(7)
    at = [START + timedelta(minutes=chosen.randint(-60, 180)) for _ in range(20)]
    return pa.table(
        {
            "visitor": pa.array([chosen.randint(0, 3) for _ in at], pa.int64()),
            "visited_at": pa.array(at, pa.timestamp("us", "UTC")),
            "bought": pa.array([chosen.random() < 0.5 for _ in at]),
        }
    )


def body(**changes: Any) -> dict[str, Any]:
    table = {"asset": SPINE, "timestamp": "visited_at", "keys": {"customer": "visitor"}}
    return {"name": "churn_rows", "table": table} | changes


async def retrieve(api: Api, service: str, request: dict[str, Any], **options: Any) -> dict[str, Any]:
    """Starts a retrieval, and returns its operation when it has ended."""
    reply = await api.editor.post(f"ai-catalog/feature-services/{service}:retrieve", request, **options)
    assert reply.status == 202, reply.response.text
    return await ended(api, reply.json["id"])


async def ended(api: Api, id: str) -> dict[str, Any]:
    while True:
        found = (await api.admin.get(f"operations/{id}")).json
        if found["finished_at"]:
            return dict(found)
        await asyncio.sleep(0.05)


@on_both
@pytest.mark.effect("ai_catalog_retrieve_feature_service")
async def test_rows_of_a_table_get_what_was_known_then(api: Api, tables: Tables, service: str) -> None:
    tables.overwrite(TABLE, pa.concat_tables([content(1.0, 2.0, None), content(5.0, 6.0, 7.0, hours=1)]))
    operation = await retrieve(api, service, body())
    assert (operation["state"], operation["progress"]["done"]) == ("SUCCEEDED", feature_retrievals.PARTS + 2)
    result, source = operation["result"], visits()
    assert (result["table"], result["rows"]) == (RESULT, 20)
    stored = tables.snapshot(RESULT)
    assert stored.data_version == result["data_version"]
    rows = stored.to_arrow()
    assert rows.select(source.column_names).equals(source), "the rows keep their order and their columns"
    entities = [{"customer": one} for one in source["visitor"].to_pylist()]
    at = [one.isoformat() for one in source["visited_at"].to_pylist()]
    asked = {"entities": entities, "at": at}
    then = await made(api.viewer.post(f"ai-catalog/feature-services/{service}:historical", asked))
    for column in then["columns"]:
        if column["name"] in ("spent", "visits", "spending__status"):
            assert rows[column["name"]].to_pylist() == column["values"]
    assert set(rows["spending__status"].to_pylist()) == {"PRESENT", "NOT_FOUND"}
    edges = api.app.platform.part(open_lineage).provenance(RESULT, result["data_version"])
    assert {(edge.in_asset, edge.in_version) for edge in edges} == {
        (TABLE, result["versions"]["spending"]),
        (SPINE, result["source_version"]),
    }
    assert {edge.run for edge in edges} == {operation["id"]}
    project = (await made(api.admin.get("admin/projects/flights")))["id"]
    assert open_blobs(api.app.platform).uploads(project) == [], "the parts are gone"


async def test_rows_of_a_request_get_what_is_served_at_that_moment(api: Api, tables: Tables, service: str) -> None:
    serve(api, tables)
    entities = [{"customer": key} for key in (0, 1, 2, 3)]
    now = await made(api.viewer.post(f"ai-catalog/feature-services/{service}:online-get", {"entities": entities}))
    request = {"name": "churn_rows", "rows": {"entities": entities, "at": [now["at"]]}}
    assert (await retrieve(api, service, request))["state"] == "SUCCEEDED"
    rows = tables.snapshot(RESULT).to_arrow()
    for column in now["columns"]:
        values = [None if value != value else value for value in rows[column["name"]].to_pylist()]
        assert values == column["values"]
    assert rows["spending__status"].to_pylist() == now["views"][0]["statuses"]


async def test_the_same_rows_again_are_the_same_version(api: Api, tables: Tables, service: str) -> None:
    options = {"headers": {"idempotency-key": "once"}}
    first = await retrieve(api, service, body(), **options)
    assert (await retrieve(api, service, body(), **options))["id"] == first["id"]
    second = await retrieve(api, service, body())
    assert second["id"] != first["id"]
    assert second["result"]["data_version"] == first["result"]["data_version"]
    tables.overwrite(TABLE, content(9.0, 9.0, 9.0))
    third = await retrieve(api, service, body())
    assert third["result"]["data_version"] != first["result"]["data_version"]
    again = await retrieve(api, service, body(table=body()["table"] | {"version": first["result"]["source_version"]}))
    assert again["result"]["data_version"] == third["result"]["data_version"]


async def test_a_canceled_one_stores_nothing(
    api: Api, tables: Tables, service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    joined, go = asyncio.Event(), asyncio.Event()
    compute = api.app.platform.workers.compute
    run = compute.run

    async def held(function: Any, *arguments: Any) -> Any:
        found = await run(function, *arguments)
        if function is feature_retrievals._join:
            joined.set()
            await go.wait()
        return found

    monkeypatch.setattr(compute, "run", held)
    reply = await api.editor.post(f"ai-catalog/feature-services/{service}:retrieve", body())
    assert reply.status == 202
    await joined.wait()
    await made(api.editor.post(f"operations/{reply.json['id']}:cancel", {}))
    go.set()
    operation = await ended(api, reply.json["id"])
    assert operation["state"] == "CANCELED"
    assert not tables.exists(RESULT)
    project = (await made(api.admin.get("admin/projects/flights")))["id"]
    assert open_blobs(api.app.platform).uploads(project) == []


@pytest.mark.parametrize(
    ("changes", "status", "text"),
    [
        ({"table": None}, 422, "either table or rows"),
        ({"table": {"asset": SPINE, "timestamp": "bought", "keys": {"customer": "visitor"}}}, 422, "time zone"),
        ({"table": {"asset": SPINE, "timestamp": "visited_at"}}, 400, "customer"),
        ({"table": {"asset": "secrets.gold.salaries", "timestamp": "visited_at"}}, 404, ""),
        ({"table": None, "rows": {"entities": [{"customer": "x"}], "at": ["2026-03-01T00:00:00Z"]}}, 422, "INTEGER"),
        ({"name": "Churn"}, 422, ""),
    ],
)
async def test_what_can_not_be_joined_is_refused_at_once(
    api: Api, tables: Tables, service: str, changes: dict[str, Any], status: int, text: str
) -> None:
    request = {key: value for key, value in body(**changes).items() if value is not None}
    refused = await api.editor.post(f"ai-catalog/feature-services/{service}:retrieve", request)
    assert refused.status == status, refused.json
    assert text in str(refused.json)
    assert not tables.exists(RESULT)


async def test_a_copy_is_only_for_those_who_can_read_its_sources(api: Api, tables: Tables, service: str) -> None:
    path = f"ai-catalog/feature-services/{service}:retrieve"
    assert (await api.viewer.post(path, body())).status == 403
    project = (await made(api.admin.get("admin/projects/flights")))["id"]
    reader = await user(api, "reader")
    await grant(api, reader, "rol_editor", project)
    hidden = "ai_catalog.asset.preview"
    denial = {"principal_id": reader, "permission": hidden, "effect": "DENY", "securable_id": project}
    await made(api.admin.post("admin/grants", denial))
    assert (await api.caller("reader").post(path, body())).status == 403
    assert not tables.exists(RESULT)


async def test_a_table_of_a_definition_is_not_overwritten(
    api: Api, tables: Tables, orchestrator: FakeOrchestrator, service: str
) -> None:
    orchestrator.nodes[RESULT] = node(RESULT)
    refused = await api.editor.post(f"ai-catalog/feature-services/{service}:retrieve", body())
    assert (refused.status, "made by a definition" in refused.json["detail"]) == (409, True)
