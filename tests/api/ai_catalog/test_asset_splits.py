"""Splits of an asset: the same whenever they are read, and no group is in two of them."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from api.kernel.platform import open_lineage, open_tables
from tests.api.admin.tenants import grant, made, tenant
from tests.api_caller import Reply
from tests.api_process import Api, Caller
from tests.orchestration import FakeOrchestrator, node

SILVER = "flights.silver.flights"
PATH = f"ai-catalog/assets/{SILVER}/split"
ROWS = pa.table({"id": range(600), "carrier": [f"C{number % 60}" for number in range(600)]})


async def split(caller: Caller, name: str, **params: Any) -> Reply:
    return await caller.get(PATH, params={"split": name, "by": ["carrier"], **params})


@pytest.fixture
def version(api: Api) -> str:
    tables = api.app.platform.part(open_tables)
    tables.append(SILVER, ROWS)
    return tables.snapshot(SILVER).data_version


async def test_groups_stay_in_their_split(api: Api, version: str) -> None:
    read = {name: (await split(api.viewer, name, seed=7)).json for name in ("train", "test")}
    groups = {name: {row["carrier"] for row in found["rows"]} for name, found in read.items()}
    assert groups["train"] | groups["test"] == {f"C{number}" for number in range(60)}
    assert not groups["train"] & groups["test"]
    assert read["train"]["counts"] == {name: len(found["rows"]) for name, found in read.items()}
    assert len(groups["train"]) > len(groups["test"]) > 0
    assert (await split(api.viewer, "test", seed=7)).json == read["test"]
    assert (await split(api.viewer, "test", seed=8)).json["rows"] != read["test"]["rows"]
    added = pa.table({"id": [600, 601], "carrier": ["C1", "new"]})
    api.app.platform.part(open_tables).append(SILVER, added)
    later = {row["carrier"] for row in (await split(api.viewer, "test", seed=7)).json["rows"]}
    assert later - {"new"} == groups["test"]
    assert (await split(api.viewer, "test", seed=7, version=version)).json == read["test"]


async def test_what_is_no_split_is_refused(api: Api, version: str) -> None:
    for params in (
        {"shares": ["train=0.8"]},
        {"shares": ["train=1", "train=2"]},
        {"shares": ["train=0.0", "test=1"]},
        {"shares": ["train=x", "test=1"]},
        {"shares": ["other=1", "test=1"]},
        {"by": []},
        {"by": ["gone"]},
        {"seed": -1},
    ):
        assert (await split(api.viewer, "train", **params)).status in (400, 422), params


async def test_only_who_reads_the_rows(api: Api, version: str) -> None:
    viewer = (await api.admin.get("admin/users/viewer")).json["id"]
    await grant(api, viewer, "ai_catalog.asset.preview", SILVER, effect="DENY")
    assert (await split(api.viewer, "train")).status == 403
    other = await tenant(api, "other")
    assert (await split(other.admin, "train")).status == 404


@pytest.mark.effect("ai_catalog_store_split_asset")
async def test_a_stored_split_is_a_version_of_a_table_with_lineage(api: Api, version: str) -> None:
    await made(api.admin.post("admin/projects", {"name": "flights", "spec": {"title": "Flights"}}))
    path, body = f"ai-catalog/assets/{SILVER}:store-split", {"name": "by_carrier", "by": ["carrier"], "seed": 7}
    assert (await api.viewer.post(path, body)).status == 403
    stored = await made(api.editor.post(path, body))
    read = {name: (await split(api.viewer, name, seed=7)).json for name in ("train", "test")}
    assert (stored["table"], stored["source_version"]) == ("flights.splits.by_carrier", version)
    assert stored["counts"] == read["train"]["counts"]
    rows = api.app.platform.part(open_tables).snapshot(stored["table"]).scan().collect()
    assert set(rows.filter(rows["split"] == "test")["id"]) == {row["id"] for row in read["test"]["rows"]}
    assert await made(api.editor.post(path, body)) == stored, "the same rows and splits are the same version"
    other = await made(api.editor.post(path, body | {"seed": 8}))
    assert other["data_version"] != stored["data_version"]
    (edge,) = api.app.platform.part(open_lineage).provenance(stored["table"], other["data_version"])
    assert (edge.in_asset, edge.in_version) == (SILVER, version)
    for wrong in ({"name": "No"}, {"shares": ["a=0.0", "b=1"]}, {"by": ["gone"]}):
        assert (await api.editor.post(path, body | wrong)).status in (400, 422), wrong


async def test_a_stored_split_is_a_copy_and_no_asset_of_a_definition(
    api: Api, version: str, orchestrator: FakeOrchestrator
) -> None:
    await made(api.admin.post("admin/projects", {"name": "flights", "spec": {"title": "Flights"}}))
    path, body = f"ai-catalog/assets/{SILVER}:store-split", {"name": "by_carrier", "by": ["carrier"]}
    table = (await made(api.editor.post(path, body)))["table"]
    statement = {"sql": f"SELECT count(*) FROM {table}"}
    await made(api.viewer.post("ai-catalog/queries:run", statement))
    viewer = (await api.admin.get("admin/users/viewer")).json["id"]
    await grant(api, viewer, "ai_catalog.asset.preview", SILVER, effect="DENY")
    assert (await api.viewer.post("ai-catalog/queries:run", statement)).status in (403, 404)
    orchestrator.nodes[table] = node(table)
    assert (await api.editor.post(path, body)).status == 409
    editor = (await api.admin.get("admin/users/editor")).json["id"]
    await grant(api, editor, "ai_catalog.asset.preview", SILVER, effect="DENY")
    assert (await api.editor.post(path, body | {"name": "other"})).status == 403
