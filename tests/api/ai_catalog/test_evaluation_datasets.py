"""Evaluation datasets: every change makes a version with a digest, which stays readable."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.api.admin.tenants import made, tenant
from tests.api.ai_catalog.test_runs import experiment
from tests.api.both_databases import on_both
from tests.api_process import Api

ONE = {"inputs": {"question": "1 + 1"}, "expectations": {"answer": "2"}}
TWO = {"inputs": {"question": "2 + 2", "language": "ünï"}, "expectations": {"answer": 4}, "outputs": [4]}


async def dataset(api: Api, name: str = "sums", **spec: Any) -> str:
    await api.admin.post("admin/projects", {"name": "flights", "spec": {"title": "Flights"}})
    body = {"name": name, "project_id": "flights", "spec": {"title": name} | spec}
    return str((await made(api.editor.post("ai-catalog/evaluation-datasets", body)))["id"])


async def upserted(api: Api, id: str, *records: dict[str, Any]) -> dict[str, Any]:
    return await made(api.editor.post(f"ai-catalog/evaluation-datasets/{id}:upsert-records", {"records": records}))


async def records(api: Api, id: str, **query: Any) -> list[dict[str, Any]]:
    found = await made(api.viewer.get(f"ai-catalog/evaluation-datasets/{id}/records", params=query))
    return list(found["items"])


@on_both
@pytest.mark.effect("ai_catalog_upsert_records_evaluation_dataset", "ai_catalog_remove_records_evaluation_dataset")
async def test_every_change_makes_a_version_that_stays_readable(api: Api) -> None:
    id = await dataset(api)
    first = await upserted(api, id, ONE, TWO)
    assert (first["inserted"], first["updated"], first["version"]) == (2, 0, 1)
    again = await upserted(api, id, TWO, ONE)
    assert again == first | {"inserted": 0, "updated": 2}, "equal records make no version"
    second = await upserted(api, id, ONE | {"expectations": {"unit": "none"}, "tags": {"a": "b"}})
    assert (second["version"], second["updated"]) == (2, 1)
    merged = (await records(api, id))[0]
    assert merged["expectations"] == {"answer": "2", "unit": "none"}
    path = f"ai-catalog/evaluation-datasets/{id}"
    removed = await made(api.editor.post(f"{path}:remove-records", {"records": [merged["id"], "edr_unknown"]}))
    assert (removed["removed"], removed["version"]) == (1, 3)
    assert [one["inputs"] for one in await records(api, id)] == [TWO["inputs"]]
    assert [one["expectations"] for one in await records(api, id, version=1)] == [
        ONE["expectations"],
        TWO["expectations"],
    ]
    assert await records(api, id, digest=first["digest"]) == await records(api, id, version=1)
    assert (await records(api, id, version=2))[0]["id"] == merged["id"], "a changed record keeps its id"
    assert await records(api, id, version=0) == []
    versions = (await made(api.viewer.get(f"{path}/versions")))["items"]
    assert [(one["version"], one["records"]) for one in versions] == [(3, 1), (2, 2), (1, 2)]
    status = (await api.viewer.get(path)).json["status"]
    assert status == {"version": 3, "digest": removed["digest"], "records": 1}
    for query in ({"version": 4}, {"digest": "0" * 64}):
        assert (await api.viewer.get(f"{path}/records", params=query)).status == 404, query
    both = {"version": 1, "digest": first["digest"]}
    assert (await api.viewer.get(f"{path}/records", params=both)).status == 400


@on_both
async def test_the_digest_is_that_of_the_content(api: Api) -> None:
    one, other = await dataset(api), await dataset(api, "other")
    first = await upserted(api, one, ONE, TWO)
    reordered = {"expectations": TWO["expectations"], "outputs": [4], "inputs": dict(reversed(TWO["inputs"].items()))}
    await upserted(api, other, reordered)
    second = await upserted(api, other, ONE)
    assert first["digest"] == second["digest"], "whatever the order of records and keys"
    tagged = await upserted(api, other, ONE | {"tags": {"reviewed": "yes"}, "source": {"source_type": "HUMAN"}})
    assert tagged["digest"] == second["digest"], "tags are no content"
    assert {one["tags"].get("reviewed") for one in await records(api, other)} == {"yes", None}


async def test_pages_of_records_neither_repeat_nor_lose_one(api: Api) -> None:
    id = await dataset(api)
    await upserted(api, id, *({"inputs": {"n": n}} for n in range(23)))
    seen, token = [], ""
    while True:
        query = {"page_size": 5, "page_token": token, "version": 1}
        page = await made(api.viewer.get(f"ai-catalog/evaluation-datasets/{id}/records", params=query))
        seen += [one["inputs"]["n"] for one in page["items"]]
        if not (token := page["next_page_token"]):
            break
        await upserted(api, id, {"inputs": {"late": token}})
    assert sorted(seen) == list(range(23))


@on_both
async def test_changes_at_the_same_time_are_all_kept(api: Api) -> None:
    id = await dataset(api)
    bodies = [[{"inputs": {"n": n}} for n in range(m, m + 5)] for m in (0, 3, 6)]
    await asyncio.gather(*(upserted(api, id, *body) for body in bodies))
    assert sorted(one["inputs"]["n"] for one in await records(api, id)) == list(range(11))


async def test_a_refused_change_leaves_nothing(api: Api) -> None:
    id = await dataset(api)
    path = f"ai-catalog/evaluation-datasets/{id}"
    for bad in ({"inputs": {}}, {"expectations": {}}, {"inputs": {"x": "\0"}}):
        assert (await api.editor.post(f"{path}:upsert-records", {"records": [ONE, bad]})).status == 422, bad
    tried = await api.editor.post(f"{path}:upsert-records", {"records": [ONE]}, params={"validate_only": True})
    assert tried.json["inserted"] == 1
    assert await records(api, id) == []
    assert (await api.viewer.get(path)).json["status"]["version"] == 0


async def test_its_experiments_are_in_its_project(api: Api) -> None:
    place = await experiment(api)
    id = await dataset(api, experiments=[place])
    other = await tenant(api, "acme")
    body = {"name": "theirs", "project_id": other.project, "spec": {"title": "theirs"}}
    theirs = (await made(other.admin.post("ai-catalog/experiments", body)))["id"]
    path = f"ai-catalog/evaluation-datasets/{id}"
    refused = await api.admin("PATCH", path, json={"spec": {"experiments": [place, theirs]}})
    assert (refused.status, refused.json["errors"][0]["pointer"]) == (422, "/spec/experiments/1")
    assert (await api.editor("DELETE", f"ai-catalog/experiments/{place}")).status == 204, "it keeps no experiment"
    assert (await api.editor("PATCH", path, json={"spec": {"title": "Sums"}})).status == 200


async def test_others_see_and_change_nothing(api: Api) -> None:
    id = await dataset(api)
    await upserted(api, id, ONE)
    path = f"ai-catalog/evaluation-datasets/{id}"
    assert (await api.viewer.post(f"{path}:upsert-records", {"records": [TWO]})).status == 403
    assert (await api.viewer.post(f"{path}:remove-records", {"records": ["x"]})).status == 403
    other = (await tenant(api, "acme")).admin
    for part in ("", "/records", "/versions"):
        assert (await other.get(path + part)).status == 404
    assert (await other.post(f"{path}:upsert-records", {"records": [TWO]})).status == 404
    mlflow = f"/mlflow/api/3.0/mlflow/datasets/{id}"
    for method, part, body in (
        ("GET", "", None),
        ("GET", "/records", None),
        ("POST", "/records", {"records": "[]", "x": 1}),
        ("POST", "/records", {"records": '[{"inputs": {"a": 1}}]'}),
        ("DELETE", "/records", {"dataset_record_ids": ["x"]}),
        ("PATCH", "/tags", {"tags": '{"a": "b"}'}),
        ("DELETE", "", None),
    ):
        reply = await other.http.request(method, mlflow + part, **({"json": body} if body else {}))
        assert reply.status_code == (200 if body and body.get("x") else 404), (method, part)
    viewed = await api.viewer.http.post(f"{mlflow}/records", json={"records": '[{"inputs": {"a": 1}}]'})
    assert viewed.status_code == 403
    assert len(await records(api, id)) == 1


async def test_bad_records_of_mlflow_are_refused(api: Api) -> None:
    id = await dataset(api)
    for text in ("x", "{}", "[1]", '[{"inputs": {"a": NaN}}]', '[{"inputs": 1}]', "[" * 50_000):
        reply = await api.editor.http.post(f"/mlflow/api/3.0/mlflow/datasets/{id}/records", json={"records": text})
        assert reply.status_code == 400, (text[:30], reply.text)
    assert await records(api, id) == []
