"""What is served in addition to the operations: documents, catalogue, health."""

from __future__ import annotations

import gzip

from api.main import SERVICES
from core.ports import LocationState
from tests.api_process import Api
from tests.orchestration import FakeOrchestrator


async def test_the_index_leads_to_every_service(api: Api) -> None:
    index = (await api.viewer.get("/api/openapi")).json
    assert [service["name"] for service in index["services"]] == sorted(service.name for service in SERVICES)
    for service in index["services"]:
        assert (await api.viewer.get(service["openapi"])).json["openapi"] == "3.1.0"
        assert (await api.viewer.get(service["kinds"])).json["items"]


async def test_a_document_is_sent_small_and_only_once(api: Api) -> None:
    path = "/api/v1/ai-catalog/openapi.json"
    plain = await api.viewer.get(path, headers={"accept-encoding": "identity"})
    packed = await api.viewer.get(path, headers={"accept-encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.json == plain.json, "httpx unpacks"
    assert len(gzip.compress(plain.response.content)) < len(plain.response.content) / 4
    known = await api.viewer.get(path, headers={"if-none-match": plain.headers["etag"]})
    assert (known.status, known.response.content) == (304, b"")
    assert (await api.viewer("POST", path)).status == 405


async def test_the_catalogue_says_what_a_console_needs(api: Api) -> None:
    kinds = (await api.viewer.get("/api/v1/ai-catalog/kinds")).json["items"]
    asset = next(kind for kind in kinds if kind["name"] == "asset")
    assert asset["path"] == "/api/v1/ai-catalog/assets"
    assert {part["verb"] for part in asset["parts"]} >= {"lineage", "schema", "preview", "history", "diff"}
    materialize = next(
        action for action in asset["actions"] if action["operation_id"] == "ai_catalog_materialize_asset"
    )
    assert (materialize["long"], materialize["role"], materialize["request"]) == (True, "EDITOR", "MaterializeAsset")


async def test_the_catalogue_names_every_operation_once(api: Api) -> None:
    for service in SERVICES:
        kinds = (await api.viewer.get(f"/api/v1/{service.slug}/kinds")).json["items"]
        groups = [kind[group] for kind in kinds for group in ("methods", "reads", "parts", "actions")]
        named = [operation["operation_id"] for group in groups for operation in group]
        assert sorted(named) == sorted(map(str, service.endpoints))
    kinds = (await api.viewer.get("/api/v1/admin/kinds")).json["items"]
    group = next(kind for kind in kinds if kind["name"] == "group")
    assert [read["verb"] for read in group["reads"]] == ["export", "watch"]
    revision = next(part for part in group["parts"] if part["operation_id"] == "admin_get_group_revision")
    assert revision["path"] == "/api/v1/admin/groups/{group}/revisions/{revision}"


async def test_live_is_public_and_ready_says_what_is_missing(api: Api, orchestrator: FakeOrchestrator) -> None:
    assert (await api.anonymous.get("/health/live")).json == {"status": "live"}
    assert (await api.anonymous.get("/health/ready")).status == 200
    orchestrator.location = LocationState("flights", False, "No module named 'flights'")
    assert (await api.anonymous.get("/health/ready")).status == 200, "a broken location stays broken"
    orchestrator.location = LocationState("flights", False, None)
    assert (await api.anonymous.get("/health/ready")).status == 503, "its assets are not known yet"
    orchestrator.known = False
    ready = await api.anonymous.get("/health/ready")
    assert (ready.status, ready.json["parts"]) == (503, {"database": True, "orchestrator": False})
