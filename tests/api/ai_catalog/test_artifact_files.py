"""Uploads in parts, signed links, and garbage collection: nothing half, nothing that is needed is lost."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from api.services.ai_catalog.kinds.artifact import open_blobs
from core import clock
from tests.api.admin.tenants import grant, made, tenant, user
from tests.api.ai_catalog.test_models import EMPTY, blobs, file, logged_model, registered, version
from tests.api.ai_catalog.test_runs import run
from tests.api.both_databases import on_both
from tests.api_process import Api, Caller, Reply

PARTS = [os.urandom(300_000), os.urandom(200_000), b"end"]
WHOLE = b"".join(PARTS)
DIGEST = hashlib.sha256(WHOLE).hexdigest()


async def upload(api: Api, parent: str, path: str = "model/weights.bin", **body: Any) -> str:
    made_one = await made(api.editor.post("ai-catalog/artifact-uploads", {"parent": parent, "path": path, **body}))
    return str(made_one["id"])


async def put(caller: Caller, id: str, number: int, content: bytes) -> Reply:
    return await caller("PUT", f"/artifact-files/uploads/{id}/{number}", content=content)


async def completed(api: Api, id: str, **body: Any) -> Reply:
    return await api.editor.post(f"ai-catalog/artifact-uploads/{id}:complete", body)


async def link_of(api: Api, artifact: str) -> str:
    signed = await made(api.editor.post(f"ai-catalog/artifacts/{artifact}:presign", {}))
    return str(signed["url"])


async def preview(api: Api, **query: Any) -> dict[str, Any]:
    project = (await api.admin.get("admin/projects/flights")).json["id"]
    reply = await api.admin.get("ai-catalog/artifacts:gc-preview", params={"project": project, **query})
    assert reply.status == 200, reply.response.text
    return {**reply.json, "project": project}


def aged(path: Path) -> None:
    """Lets a file look two days old."""
    before = time.time() - 2 * 86_400
    os.utime(path, (before, before))


async def experiment_of(api: Api) -> str:
    return str((await api.viewer.get("ai-catalog/experiments")).json["items"][0]["id"])


@contextmanager
def moved_clock(days: int) -> Iterator[None]:
    """Lets the platform think that it is later."""
    before = clock.now
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clock, "now", lambda: before() + timedelta(days=days))
        yield


class TestUploads:
    @on_both
    @pytest.mark.effect("ai_catalog_complete_artifact_upload", "ai_catalog_put_part_artifact_upload")
    async def test_parts_in_any_order_become_one_file(self, api: Api) -> None:
        parent = (await run(api))["id"]
        id = await upload(api, parent, size=len(WHOLE), digest=DIGEST)
        last = {"number": 3, "content": base64.b64encode(PARTS[2]).decode()}
        await made(api.editor.post(f"ai-catalog/artifact-uploads/{id}:put-part", last))
        assert (await put(api.editor, id, 2, b"replaced")).status == 200
        early = await completed(api, id)
        assert (early.status, "Part 1" in early.json["detail"]) == (409, True)
        answers = [await put(api.editor, id, number, PARTS[number - 1]) for number in (2, 1)]
        assert answers[1].headers["etag"] == f'"{hashlib.sha256(PARTS[0]).hexdigest()}"'
        previewed = (await api.viewer.get(f"ai-catalog/artifact-uploads/{id}")).json
        assert [part["size"] for part in previewed["parts"]] == [300_000, 200_000, 3]
        assert (await api.viewer.get(f"ai-catalog/artifacts?filter=parent_id=='{parent}'")).json["items"] == []
        artifact = (await completed(api, id, parts=[1, 2, 3])).json
        assert (artifact["digest"], artifact["size"]) == (DIGEST, len(WHOLE))
        content = await api.viewer.get(f"/artifact-files/{artifact['id']}")
        assert content.response.content == WHOLE
        assert [path.name for path in blobs(api)] == [DIGEST], "parts are removed"
        again = await completed(api, id)
        assert (again.status, again.json["id"]) == (200, artifact["id"]), "a repeated request"
        assert (await put(api.editor, id, 1, b"late")).status == 409

    async def test_a_file_that_is_not_what_was_announced_is_refused(self, api: Api) -> None:
        parent = (await run(api))["id"]
        for body in ({"size": 4}, {"digest": "0" * 64}):
            id = await upload(api, parent, **body)
            await put(api.editor, id, 1, b"abc")
            assert (await completed(api, id)).status == 409, body
        assert (await api.viewer.get("ai-catalog/artifacts")).json["items"] == []

    async def test_a_damaged_part_never_becomes_a_file(self, api: Api) -> None:
        id = await upload(api, (await run(api))["id"])
        await put(api.editor, id, 1, b"abc")
        (part,) = blobs(api)
        part.write_bytes(b"abd")
        damaged = await completed(api, id)
        assert (damaged.status, "Send the parts again" in damaged.json["detail"]) == (409, True)
        assert blobs(api) == [part], "nothing half is left"

    @on_both
    async def test_two_who_complete_it_get_the_same_file(self, api: Api) -> None:
        id = await upload(api, (await run(api))["id"])
        for number, content in enumerate(PARTS, 1):
            await put(api.editor, id, number, content)
        answers = await asyncio.gather(*(completed(api, id) for _ in range(4)))
        assert [answer.status for answer in answers] == [200] * 4, [answer.response.text for answer in answers]
        assert len({answer.json["id"] for answer in answers}) == 1
        assert [path.name for path in blobs(api)] == [DIGEST]

    @pytest.mark.effect("ai_catalog_delete_artifact_upload")
    async def test_an_upload_that_ends_leaves_nothing(self, api: Api) -> None:
        id = await upload(api, (await run(api))["id"])
        await put(api.editor, id, 1, b"abc")
        assert (await api.editor("DELETE", f"ai-catalog/artifact-uploads/{id}")).status == 204
        assert blobs(api) == []
        assert (await put(api.editor, id, 2, b"abc")).status == 404

    @pytest.mark.parametrize("number", ["0", "10001", "99999999999", "x", "-1", "1.0"])
    async def test_a_part_has_a_number(self, api: Api, number: str) -> None:
        id = await upload(api, (await run(api))["id"])
        reply = await api.editor("PUT", f"/artifact-files/uploads/{id}/{number}", content=b"a")
        assert reply.status in (400, 404, 422)

    @on_both
    async def test_others_send_no_part_and_see_no_upload(self, api: Api) -> None:
        id = await upload(api, (await run(api))["id"])
        other = await tenant(api, "other")
        assert (await put(other.admin, id, 1, b"a")).status == 404
        assert (await put(api.viewer, id, 1, b"a")).status == 403
        assert (await put(api.anonymous, id, 1, b"a")).status == 401
        assert (await other.admin.get("ai-catalog/artifact-uploads")).json["items"] == []
        assert blobs(api) == []

    @pytest.mark.parametrize("path", ["../a", "/a", "a/../b", "C:\\a", "a\u0000b", ""])
    async def test_no_path_leads_out_of_its_run(self, api: Api, path: str) -> None:
        body = {"parent": (await run(api))["id"], "path": path}
        assert (await api.editor.post("ai-catalog/artifact-uploads", body)).status in (400, 422)


class TestLinks:
    @pytest.mark.effect("ai_catalog_presign_artifact")
    async def test_a_link_needs_no_token_and_ends_with_its_signer(self, api: Api) -> None:
        artifact = (await file(api, (await run(api))["id"], text="secret"))["id"]
        key = await made(api.editor.post("admin/api-keys", {"label": "laptop"}))
        holder = Caller(api.app, key["secret"])
        url = (await made(holder.post(f"ai-catalog/artifacts/{artifact}:presign", {})))["url"]
        assert (await api.anonymous.get(url)).response.content == b"secret"
        assert (await api.anonymous("PUT", url, content=b"x")).status == 405
        assert key["secret"] not in url
        assert artifact not in url
        await made(api.editor.post(f"admin/api-keys/{key['id']}:revoke", {}))
        assert (await api.anonymous.get(url)).status == 401

    @on_both
    async def test_a_link_ends_with_the_right_of_its_signer(self, api: Api) -> None:
        """The kind: a signed link outlives the right that it came from."""
        artifact = await file(api, (await run(api))["id"], text="secret")
        ana = await user(api, "ana")
        right = await grant(api, ana, "rol_editor", artifact["project_id"])
        url = (await made(api.caller("ana").post(f"ai-catalog/artifacts/{artifact['id']}:presign", {})))["url"]
        assert (await api.anonymous.get(url)).status == 200
        assert (await api.admin("DELETE", f"admin/grants/{right}")).status == 204
        assert (await api.anonymous.get(url)).status == 404

    async def test_an_expired_or_altered_link_is_refused(self, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
        artifact = (await file(api, (await run(api))["id"]))["id"]
        url = await link_of(api, artifact)
        for altered in (url[:-4] + "AAAA", "/artifact-links", "/artifact-links?link=", "/artifact-links?link=v1.a.b"):
            assert (await api.anonymous.get(altered)).status == 401, altered
        now = clock.now()
        monkeypatch.setattr(clock, "now", lambda: now + timedelta(hours=2))
        assert (await api.anonymous.get(url)).status == 401

    @pytest.mark.effect("ai_catalog_presign_parts_artifact_upload")
    async def test_a_client_without_a_token_sends_the_part_of_its_link(self, api: Api) -> None:
        id = await upload(api, (await run(api))["id"])
        body = {"numbers": [1, 2]}
        signed = await made(api.editor.post(f"ai-catalog/artifact-uploads/{id}:presign-parts", body))
        for link, part in zip(signed["links"], (b"one", b"two"), strict=True):
            assert (await api.anonymous("PUT", link["url"], content=part)).status == 200
        assert (await api.anonymous.get(signed["links"][0]["url"])).status == 405
        assert (await completed(api, id)).json["digest"] == hashlib.sha256(b"onetwo").hexdigest()

    async def test_the_audit_log_names_the_signer(self, api: Api) -> None:
        id = await upload(api, (await run(api))["id"])
        signed = await made(api.editor.post(f"ai-catalog/artifact-uploads/{id}:presign-parts", {"numbers": [1]}))
        await api.anonymous("PUT", signed["links"][0]["url"], content=b"x")
        (event,) = api.events("ai_catalog.artifact_upload.part_received", subject=id)
        assert event["principal"] == "editor"


class TestCollection:
    @pytest.mark.effect("ai_catalog_gc_artifacts")
    async def test_what_the_preview_shows_is_removed_and_nothing_else(self, api: Api) -> None:
        """Files of a run deleted long ago, content without a name, remains of uploads. A version keeps its files."""
        gone, living = (await run(api))["id"], (await run(api, experiment_id=(await experiment_of(api))))["id"]
        model = await logged_model(api)
        await file(api, model["id"], text="weights")
        await made(api.editor.post(f"ai-catalog/logged-models/{model['id']}:finalize", EMPTY))
        await version(api, await registered(api), f"models:/{model['id']}")
        await file(api, gone, "a.txt", "only here")
        await file(api, gone, "b.txt", "shared")
        await file(api, living, "b.txt", "shared")
        await file(api, living, "c.txt", "replaced")
        await file(api, living, "c.txt", "now")
        id = await upload(api, living)
        await put(api.editor, id, 1, b"open")
        assert (await api.editor("DELETE", f"ai-catalog/runs/{gone}")).status == 204
        assert (await api.editor("DELETE", f"ai-catalog/logged-models/{model['id']}")).status in (204, 409)
        assert (await preview(api))["files"] == [], "nothing is old enough"
        with moved_clock(days=40):
            for blob in blobs(api):
                aged(blob)
            previewed = await preview(api, deleted_days=30)
            reasons = sorted((one["reason"], one["path"] or "") for one in previewed["files"])
            assert reasons == [
                ("DELETED_PARENT", "a.txt"),
                ("DELETED_PARENT", "b.txt"),
                ("EXPIRED_UPLOAD", ""),
                ("UNNAMED", ""),
            ]
            body = {"project": previewed["project"], "digest": previewed["digest"]}
            collected = await made(api.admin.post("ai-catalog/artifacts:gc", body))
            assert (collected["files"], collected["truncated"]) == (4, False)
            left = {path.read_bytes() for path in blobs(api)}
            assert left == {b"weights", b"shared", b"now"}
            assert (await preview(api))["files"] == []

    async def test_a_list_that_changed_is_not_removed(self, api: Api) -> None:
        id = (await run(api))["id"]
        await file(api, id, "a.txt", "x")
        assert (await api.editor("DELETE", f"ai-catalog/runs/{id}")).status == 204
        with moved_clock(days=40):
            previewed = await preview(api)
            await made(api.editor.post(f"ai-catalog/runs/{id}:restore", {}))
            body = {"project": previewed["project"], "digest": previewed["digest"]}
            assert (await api.admin.post("ai-catalog/artifacts:gc", body)).status == 409
        assert len(blobs(api)) == 1

    async def test_a_file_that_is_stored_again_meanwhile_stays(self, api: Api) -> None:
        """The kind: a content was unneeded when it was listed, and is the content of a new artifact now."""
        id = (await run(api))["id"]
        await file(api, id, "a.txt", "x")
        await file(api, id, "a.txt", "y")
        old = next(path for path in blobs(api) if path.read_bytes() == b"x")
        aged(old)
        (previewed,) = (await preview(api))["files"]
        await file(api, id, "b.txt", "x")
        store, project = open_blobs(api.app.platform), (await preview(api))["project"]
        assert not store.remove(project, previewed["name"], before=clock.now() - timedelta(days=1))
        assert store.exists(project, previewed["name"])

    async def test_an_editor_and_another_tenant_collect_nothing(self, api: Api) -> None:
        await run(api)
        project = (await preview(api))["project"]
        other = await tenant(api, "other")
        body = {"project": project, "digest": "x"}
        assert (await api.editor.post("ai-catalog/artifacts:gc", body)).status == 403
        assert (await other.admin.post("ai-catalog/artifacts:gc", body)).status == 404
        reply = await other.admin.get("ai-catalog/artifacts:gc-preview", params={"project": project})
        assert reply.status == 404
