"""Files, logged models, and registered models: complete or absent, exact, and hidden from other tenants."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.api.admin.tenants import made, tenant
from tests.api.ai_catalog.test_runs import experiment, run
from tests.api.both_databases import on_both
from tests.api_process import Api

EMPTY: dict[str, Any] = {}


async def file(api: Api, parent: str, path: str = "model/weights.txt", text: str = "1 2 3") -> dict[str, Any]:
    return await made(api.editor.post("ai-catalog/artifacts", {"parent": parent, "path": path, "text": text}))


async def logged_model(api: Api, **body: Any) -> dict[str, Any]:
    first = await experiment(api, "models")
    return await made(api.editor.post("ai-catalog/logged-models", {"experiment_id": first, **body}))


async def registered(api: Api, name: str = "price") -> str:
    body = {"name": name, "project_id": "flights", "spec": {"title": name}}
    return str((await made(api.editor.post("ai-catalog/registered-models", body)))["id"])


async def version(api: Api, model: str, source: str) -> dict[str, Any]:
    body = {"registered_model_id": model, "source": source}
    return await made(api.editor.post("ai-catalog/model-versions", body))


def blobs(api: Api) -> list[Path]:
    folder = Path(api.app.platform.settings.effective_lakehouse_url) / "_blobs"
    return [one for one in folder.rglob("*") if one.is_file()]


@on_both
@pytest.mark.effect("ai_catalog_create_artifact", "ai_catalog_verify_artifact", "ai_catalog_delete_artifact")
async def test_a_file_is_stored_once_and_a_changed_one_is_noticed(api: Api) -> None:
    id = (await run(api))["id"]
    first, second = await file(api, id, "a.txt", "same"), await file(api, id, "b/c.txt", "same")
    assert first["digest"] == second["digest"] == hashlib.sha256(b"same").hexdigest()
    (blob,) = blobs(api)
    path = f"ai-catalog/artifacts/{second['id']}"
    assert (await made(api.viewer.post(f"{path}:verify", {})))["size"] == 4
    blob.write_bytes(b"Same")
    changed = await api.viewer.post(f"{path}:verify", {})
    assert (changed.status, changed.reason) == (409, "TABLE_DAMAGED")
    blob.unlink()
    assert (await api.viewer.post(f"{path}:verify", {})).status == 404
    replaced = await file(api, id, "a.txt", "other")
    assert replaced["digest"] != first["digest"]
    assert (await api.viewer.get(f"ai-catalog/artifacts/{first['id']}")).status == 404
    assert (await api.editor("DELETE", path)).status == 204
    listed = (await api.viewer.get("ai-catalog/artifacts")).json["items"]
    assert [one["path"] for one in listed] == ["a.txt"]


@pytest.mark.effect("ai_catalog_create_artifact")
async def test_paths_stay_in_their_run(api: Api) -> None:
    id = (await run(api))["id"]
    await file(api, id, "a/b")
    for path in ("../a", "a/../../b", "/a", "a//b", "a\\b", "C:/a", "a/b/c", "a", ".", "a\u202eb", "x/" * 60 + "y"):
        reply = await api.editor.post("ai-catalog/artifacts", {"parent": id, "path": path, "text": "x"})
        assert reply.status in (400, 409), path
    assert len(blobs(api)) == 1
    unknown = await api.editor.post("ai-catalog/artifacts", {"parent": "run_nosuch", "path": "a", "text": "x"})
    assert unknown.status == 404
    other = await tenant(api, "other")
    foreign = await other.admin.post("ai-catalog/artifacts", {"parent": id, "path": "mine", "text": "x"})
    assert foreign.status == 404
    assert (await api.viewer.post("ai-catalog/artifacts", {"parent": id, "path": "mine", "text": "x"})).status == 403
    assert (await other.admin.get("ai-catalog/artifacts")).json["items"] == []


@on_both
@pytest.mark.effect("ai_catalog_finalize_logged_model", "ai_catalog_restore_logged_model")
async def test_the_files_of_a_finished_model_are_complete(api: Api) -> None:
    model = await logged_model(api, name="line", tags={"a": "1"})
    path = f"ai-catalog/logged-models/{model['id']}"
    assert model["state"] == "PENDING"
    assert (await api.editor.post(f"{path}:finalize", {})).status == 409, "it has no files"
    await file(api, model["id"])
    changed = await made(api.editor("PATCH", path, json={"name": "renamed", "tags": {"a": None, "b": "2"}}))
    assert (changed["name"], changed["tags"]) == ("renamed", {"b": "2"})
    assert (await made(api.editor.post(f"{path}:finalize", {})))["state"] == "READY"
    late = await api.editor.post("ai-catalog/artifacts", {"parent": model["id"], "path": "late.txt", "text": "x"})
    assert late.status == 409
    assert (await api.editor("DELETE", path)).status == 204
    assert (await api.viewer.get(path)).status == 404
    assert (await made(api.editor.post(f"{path}:restore", {})))["state"] == "READY"


async def test_the_run_of_a_model_is_in_its_project(api: Api) -> None:
    one = await run(api)
    await api.admin.post("admin/projects", {"name": "sales", "spec": {"title": "Sales"}})
    body = {"name": "trees", "project_id": "sales", "spec": {"title": "Trees"}}
    foreign = (await made(api.admin.post("ai-catalog/experiments", body)))["id"]
    body = {"experiment_id": foreign, "run": one["id"]}
    assert (await api.admin.post("ai-catalog/logged-models", body)).status == 422


@pytest.mark.effect("ai_catalog_create_model_version", "ai_catalog_verify_model_version")
async def test_a_version_names_exact_files(api: Api) -> None:
    one = await run(api)
    model = await registered(api)
    refused = await api.editor.post(
        "ai-catalog/model-versions", {"registered_model_id": model, "source": f"runs:/{one['id']}/model"}
    )
    assert refused.status == 409, "a source without files is refused"
    artifact = await file(api, one["id"])
    first = await version(api, model, f"runs:/{one['id']}/model")
    assert (first["version"], first["run_id"]) == (1, one["id"])
    path = f"ai-catalog/model-versions/{first['id']}"
    intact = await made(api.viewer.post(f"{path}:verify", {}))
    assert intact == {"intact": True, "digest": first["digest"], "files": 1, "damaged": []}
    for name in ("model/weights.txt", "model/added.txt"):
        body = {"parent": one["id"], "path": name, "text": "4 5 6"}
        assert (await api.editor.post("ai-catalog/artifacts", body)).status == 409, "its files can't change"
    assert (await api.editor("DELETE", f"ai-catalog/artifacts/{artifact['id']}")).status == 409
    await file(api, one["id"], "model_2/weights.txt", "4 5 6")
    assert (await version(api, model, f"runs:/{one['id']}/model_2"))["digest"] != first["digest"]
    (blob,) = [one for one in blobs(api) if one.name == artifact["digest"]]
    blob.write_bytes(b"4 5 6")
    damaged = await made(api.viewer.post(f"{path}:verify", {}))
    assert (damaged["intact"], damaged["damaged"]) == (False, ["model/weights.txt"])
    assert (await api.editor("DELETE", path)).status == 204
    assert (await api.editor("DELETE", f"ai-catalog/artifacts/{artifact['id']}")).status == 204


async def test_versions_of_pending_models_and_other_projects_are_refused(api: Api) -> None:
    pending = await logged_model(api)
    model = await registered(api)
    await file(api, pending["id"])
    body = {"registered_model_id": model, "source": f"models:/{pending['id']}"}
    assert (await api.editor.post("ai-catalog/model-versions", body)).status == 409
    await made(api.editor.post(f"ai-catalog/logged-models/{pending['id']}:finalize", {}))
    assert (await made(api.editor.post("ai-catalog/model-versions", body)))["version"] == 1
    await api.admin.post("admin/projects", {"name": "sales", "spec": {"title": "Sales"}})
    elsewhere = {"name": "price", "project_id": "sales", "spec": {"title": "Price"}}
    other = (await made(api.admin.post("ai-catalog/registered-models", elsewhere)))["id"]
    refused = await api.admin.post("ai-catalog/model-versions", body | {"registered_model_id": other})
    assert (refused.status, refused.json["errors"][0]["pointer"]) == (422, "/source")
    for source in ("s3://bucket/x", "file:///etc/passwd", f"runs:/{pending['id']}/../x", "models:/"):
        reply = await api.editor.post("ai-catalog/model-versions", body | {"source": source})
        assert reply.status in (400, 404), source


@on_both
@pytest.mark.effect(
    "ai_catalog_set_alias_registered_model",
    "ai_catalog_remove_alias_registered_model",
    "ai_catalog_delete_model_version",
)
async def test_the_moves_of_an_alias_stay_on_record(api: Api) -> None:
    one = await run(api)
    await file(api, one["id"])
    model = await registered(api)
    versions = [await version(api, model, f"runs:/{one['id']}/model") for _ in range(2)]
    path = f"ai-catalog/registered-models/{model}"
    times = []
    for number in (1, 2):
        await made(api.editor.post(f"{path}:set-alias", {"alias": "champion", "version": number}))
        times.append(datetime.now(UTC))
    assert (await api.editor("DELETE", f"ai-catalog/model-versions/{versions[1]['id']}")).status == 409
    await made(api.editor.post(f"{path}:remove-alias", {"alias": "champion"}))
    for number, at in enumerate(times, start=1):
        found = await made(api.viewer.get(f"{path}/alias-as-of", params={"at": at.isoformat()}))
        assert (found["version"], found["moved_by"]) == (number, "editor")
    assert (await api.viewer.get(f"{path}/alias-as-of")).status == 404, "it was removed"
    early = (times[0] - timedelta(days=1)).isoformat()
    assert (await api.viewer.get(f"{path}/alias-as-of", params={"at": early})).status == 404
    late = (times[0] + timedelta(days=1)).isoformat()
    assert (await api.viewer.get(f"{path}/alias-as-of", params={"at": late})).status == 400
    for alias in ("latest", "v2", "", "a b"):
        refused = await api.editor.post(f"{path}:set-alias", {"alias": alias, "version": 1})
        assert refused.status == 422, alias
    assert (await api.editor.post(f"{path}:set-alias", {"alias": "x", "version": 9})).status == 404
    assert (await api.editor.post(f"{path}:remove-alias", {"alias": "x"})).status == 404
    assert (await api.viewer.post(f"{path}:set-alias", {"alias": "x", "version": 1})).status == 403
    assert (await api.editor("DELETE", f"ai-catalog/model-versions/{versions[1]['id']}")).status == 204
    assert (await version(api, model, f"runs:/{one['id']}/model"))["version"] == 3, "numbers are never used again"


@on_both
async def test_versions_are_deleted_and_restored_with_their_model(api: Api) -> None:
    one = await run(api)
    await file(api, one["id"])
    model = await registered(api)
    first = await version(api, model, f"runs:/{one['id']}/model")
    assert (await api.editor("DELETE", f"ai-catalog/registered-models/{model}")).status == 204
    assert (await api.viewer.get(f"ai-catalog/model-versions/{first['id']}")).status == 404
    assert (await api.viewer.get("ai-catalog/model-versions")).json["items"] == []
    await made(api.editor.post(f"ai-catalog/registered-models/{model}:restore", {}))
    assert (await api.viewer.get(f"ai-catalog/model-versions/{first['id']}")).status == 200


async def test_another_tenant_sees_no_model(api: Api) -> None:
    one = await run(api)
    await file(api, one["id"])
    model = await registered(api)
    first = await version(api, model, f"runs:/{one['id']}/model")
    other = (await tenant(api, "other")).admin
    for path in (
        f"registered-models/{model}",
        f"model-versions/{first['id']}",
        f"registered-models/{model}/alias-as-of",
    ):
        assert (await other.get(f"ai-catalog/{path}")).status == 404
    body = {"registered_model_id": model, "source": f"runs:/{one['id']}/model"}
    assert (await other.post("ai-catalog/model-versions", body)).status in (404, 422)
    for kind in ("registered-models", "model-versions", "logged-models", "artifacts"):
        assert (await other.get(f"ai-catalog/{kind}")).json["items"] == []
