"""The audit log as assets: with versions and rows for those who oversee the platform, unknown to all others."""

from __future__ import annotations

from typing import Any

import pytest

from api.kernel.platform import open_tables
from api.services.admin.logic.audit_tables import AuditTables
from core.audit import EVENTS, GRANTS, TABLES
from core.ports import AssetState, Automation, Staleness
from tests.api.admin.tenants import grant, made, tenant, user
from tests.api_process import Api, Caller
from tests.orchestration import FakeOrchestrator, node
from tests.orchestration import made as materialized

PARTS = ("", "/history", "/lineage", "/preview", "/schema", "/provenance", "/diff?to=1")


@pytest.fixture
async def audited(api: Api, orchestrator: FakeOrchestrator) -> Api:
    """A platform whose audit tables are written and known to Dagster."""
    platform = api.app.platform
    await tenant(api, "acme")
    AuditTables(platform.database, platform.part(open_tables), platform.permissions).catch_up()
    for name in TABLES:
        snapshot = platform.part(open_tables).snapshot(name)
        orchestrator.nodes[name] = node(name, executable=False, group="audit", owners=("team:platform",), location="x")
        state = AssetState(Staleness.FRESH, materialization=materialized(snapshot.data_version))
        orchestrator.states[name] = state
    every = tuple(orchestrator.nodes)
    orchestrator.sensors["automation"] = Automation(
        "automation", "All.", True, None, every, "flights", "__repository__", kind="AUTOMATION"
    )
    return api


async def listed(caller: Caller) -> set[str]:
    reply = await caller.get("ai-catalog/assets", params={"page_size": 100})
    return {item["id"] for item in reply.json["items"]}


async def test_who_oversees_the_platform_reads_them_as_any_asset(audited: Api, orchestrator: FakeOrchestrator) -> None:
    assert set(TABLES) <= await listed(audited.admin)
    asset = (await audited.admin.get(f"ai-catalog/assets/{EVENTS}")).json
    assert (asset["executable"], asset["group"], asset["staleness"]) == (False, "audit", "FRESH")
    assert asset["data_version"] == orchestrator.states[EVENTS].materialization.data_version
    rows = (await audited.admin.get(f"ai-catalog/assets/{EVENTS}/preview")).json
    assert rows["data_version"] == asset["data_version"]
    assert "admin.organization.created" in {row["type"] for row in rows["rows"]}
    columns = (await audited.admin.get(f"ai-catalog/assets/{GRANTS}/schema")).json["columns"]
    assert {column["name"]: column["type"] for column in columns} == {
        name: column.type for name, column in TABLES[GRANTS].columns.items()
    }
    assert (await audited.admin.get(f"ai-catalog/assets/{EVENTS}/lineage")).status == 200
    refused = await audited.admin.post(f"ai-catalog/assets/{EVENTS}:materialize", {})
    assert refused.status in (409, 422), "the API writes it, not a run"


async def low(api: Api) -> dict[str, Caller]:
    """Callers who may do much, but not oversee the platform."""
    other = await tenant(api, "other")
    home = await user(api, "home", "default")
    await grant(api, home, "rol_admin", "org_default")
    await grant(api, await user(api, "keeper"), "ai_catalog.*", "platform")
    await grant(api, await user(api, "blind"), "rol_admin", "platform")
    await grant(
        api, (await api.admin.get("admin/users/blind")).json["id"], "admin.audit_event.*", "platform", effect="DENY"
    )
    key = {"label": "narrow", "scopes": ["ai_catalog.*"]}
    narrow = (await made(api.admin.post("admin/api-keys", key)))["secret"]
    return {
        "viewer": api.viewer,
        "editor": api.editor,
        "admin of another organization": other.admin,
        "admin of the default organization": api.caller("home"),
        "right to all assets": api.caller("keeper"),
        "admin who may not read the audit log": api.caller("blind"),
        "admin's key for the catalogue": Caller(api.app, narrow),
    }


async def test_nobody_else_learns_that_they_exist(audited: Api) -> None:
    for who, caller in (await low(audited)).items():
        assert not set(TABLES) & await listed(caller), who
        for part in PARTS:
            missing = await caller.get(f"ai-catalog/assets/platform.audit.none{part}")
            for table in TABLES:
                reply = await caller.get(f"ai-catalog/assets/{table}{part}")
                assert reply.status in (403, 404), (who, part)
                assert (reply.status, reply.reason) == (missing.status, missing.reason), (who, part)
                assert table not in str(reply.json["metadata"]), who
        for path in ("ai-catalog/sensors", "ai-catalog/schedules"):
            assert "platform.audit" not in (await caller.get(path)).response.text, who
        body = {"permission": "ai_catalog.asset.get", "kind": "ai_catalog.asset", "page_size": 1000}
        reply = await caller.post("admin/decisions:list-objects", body)
        assert "platform.audit" not in reply.response.text, who
        launched = await caller.post(f"ai-catalog/assets/{EVENTS}:materialize", {})
        assert launched.status in (403, 404), who


async def test_who_sees_all_assets_still_sees_what_launches_them(audited: Api) -> None:
    found = (await audited.viewer.get("ai-catalog/sensors/automation")).json
    assert "flights.gold.daily" in found["assets"]
    assert (await audited.viewer.get("ai-catalog/schedules/daily")).status == 200


async def test_who_could_read_them_is_answered_by_both_rights(audited: Api) -> None:
    await low(audited)
    where = {"securable_id": EVENTS, "securable_kind": "ai_catalog.asset", "permission": "ai_catalog.asset.get"}
    found = (await made(audited.admin.post("admin/decisions:list-subjects", where)))["items"]
    assert {item["name"] for item in found} == {"admin"}
    viewer = (await audited.admin.get("admin/users/viewer")).json["id"]
    reported = await made(audited.admin.post("admin/decisions:explain", where | {"principal_id": viewer}))
    assert reported["decision"]["allowed"] is False
    assert "admin.audit_event.list" in reported["detail"]


async def test_an_auditor_is_given_both_rights(audited: Api) -> None:
    auditor = await user(audited, "auditor")
    caller = audited.caller("auditor")
    await grant(audited, auditor, "ai_catalog.asset.*", EVENTS, securable_kind="ai_catalog.asset")
    assert (await caller.get(f"ai-catalog/assets/{EVENTS}")).status == 404
    await grant(audited, auditor, "admin.audit_event.*", "platform")
    assert (await caller.get(f"ai-catalog/assets/{EVENTS}/preview")).status == 200
    assert await listed(caller) == {EVENTS}


async def test_no_project_and_no_definition_takes_their_name(audited: Api) -> None:
    body: dict[str, Any] = {"name": "platform", "spec": {"title": "Mine"}}
    assert (await audited.admin.post("admin/projects", body)).status == 409
    attributes = {"asset": "platform.audit.mine", "description": "x", "sql": "SELECT 1 AS one"}
    draft = {"component": "assets.components.SqlTable", "attributes": attributes}
    assert (await audited.admin.post("ai-catalog/definitions", draft)).status == 422
