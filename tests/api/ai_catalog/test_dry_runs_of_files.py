"""Kind of fault: a change that is only validated, or that fails, has already removed files."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from core import clock
from lakehouse.reproductions import REPRODUCTION
from tests.api.admin.tenants import made
from tests.api.ai_catalog.test_artifact_files import preview, put, upload
from tests.api.ai_catalog.test_models import blobs, file
from tests.api.ai_catalog.test_runs import run
from tests.api.both_databases import on_both
from tests.api_process import Api

DRY = {"params": {"validate_only": "true"}}


def area(api: Api, id: str) -> Path:
    """A file in the area of a branch or of a reproduction."""
    path = Path(api.app.platform.settings.effective_lakehouse_url) / "_branches" / id / "rows.parquet"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"rows")
    return path


async def branch(api: Api) -> str:
    await made(api.admin.post("admin/projects", {"name": "flights", "spec": {"title": "Flights"}}))
    return str((await made(api.editor.post("ai-catalog/branches", {"project_id": "flights", "name": "trial"})))["id"])


async def reproduction(api: Api) -> str:
    row: dict[str, Any] = {"id": "rep_1", "organization_id": "org_default", "asset": "flights.gold.daily"}
    row |= {
        "version": "abc@1",
        "operation_id": "opr_1",
        "recorded": {"inputs": {}},
        "created_at": clock.now(),
        "created_by": "x",
    }
    with api.database.write() as connection:
        connection.execute(REPRODUCTION.insert().values(**row))
    return "rep_1"


@on_both
@pytest.mark.parametrize(("plural", "create"), [("branches", branch), ("reproductions", reproduction)])
async def test_an_area_is_removed_when_the_change_is_committed(api: Api, plural: str, create: Any) -> None:
    id = await create(api)
    path, address = area(api, id), f"ai-catalog/{plural}/{id}"
    tried = await api.admin("DELETE", address, **DRY)
    assert tried.status == 204, tried.response.text
    assert path.read_bytes() == b"rows"
    stale = await api.admin("DELETE", address, headers={"if-match": '"0-stale"'})
    assert (stale.status, path.exists()) == (412, True)
    assert (await api.admin("DELETE", address)).status == 204
    assert not path.exists()


@on_both
async def test_parts_of_an_upload_stay_if_its_end_is_only_tried(api: Api) -> None:
    id = await upload(api, (await run(api))["id"])
    await put(api.editor, id, 1, b"abc")
    assert (await api.editor("DELETE", f"ai-catalog/artifact-uploads/{id}", **DRY)).status == 204
    assert [path.read_bytes() for path in blobs(api)] == [b"abc"]
    assert (await api.editor.post(f"ai-catalog/artifact-uploads/{id}:complete", {})).status == 200


@on_both
async def test_a_collection_that_is_only_tried_removes_nothing(api: Api) -> None:
    id = (await run(api))["id"]
    await file(api, id, "a.txt", "x")
    await file(api, id, "a.txt", "y")
    before = time.time() - 2 * 86_400
    for path in blobs(api):
        os.utime(path, (before, before))
    listed = await preview(api)
    body = {"project": listed["project"], "digest": listed["digest"]}
    tried = await api.admin.post("ai-catalog/artifacts:gc", body, **DRY)
    assert (tried.status, tried.json["stored_files"]) == (200, 0)
    assert {path.read_bytes() for path in blobs(api)} == {b"x", b"y"}
    assert (await made(api.admin.post("ai-catalog/artifacts:gc", body)))["stored_files"] == 1
