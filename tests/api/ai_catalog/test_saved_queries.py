"""Saved queries: shared in their project, and a chart that fits its form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from api.services.ai_catalog.service import SERVICE
from tests.api.admin.tenants import grant, made, tenant, user
from tests.api_process import Api, running_service

EXAMPLE = json.loads((Path(__file__).parents[3] / "examples/ai_catalog/saved_query.json").read_text())
COLLECTION = "ai-catalog/saved-queries"


async def test_create_change_and_delete(tmp_path: Path) -> None:
    async with running_service(tmp_path, SERVICE) as api:
        one = await tenant(api, "one")
        created = await made(one.admin.post(COLLECTION, EXAMPLE | {"project_id": one.project}))
        assert created["spec"].items() >= EXAMPLE["spec"].items()
        path = f"{COLLECTION}/{created['id']}"
        assert (await one.admin.get(path)).json == created
        changed = await made(one.admin("PATCH", f"/api/v1/{path}", json={"spec": {"title": "Another"}}))
        assert (changed["spec"]["title"], changed["version"]) == ("Another", 2)
        found = await one.admin.get(COLLECTION, params={"filter": f"name == '{EXAMPLE['name']}'"})
        assert found.json["items"] == [changed]
        assert (await one.admin("DELETE", f"/api/v1/{path}")).status == 204
        assert (await one.admin.get(path)).status == 404
        events = [event["type"].rpartition(".")[2] for event in api.events("ai_catalog.saved_query.")]
        assert events == ["created", "updated", "deleted"]


async def test_is_shared_with_the_project_and_nobody_else(api: Api) -> None:
    project = (await made(api.admin.post("admin/projects", {"name": "flights", "spec": {"title": "Flights"}})))["id"]
    created = await made(api.editor.post(COLLECTION, EXAMPLE | {"project_id": project}))
    await grant(api, await user(api, "colleague"), "rol_viewer", project)
    colleague = api.caller("colleague")
    assert (await colleague.get(f"{COLLECTION}/{created['id']}")).json["spec"] == created["spec"]
    refused = await colleague("PATCH", f"/api/v1/{COLLECTION}/{created['id']}", json={"spec": {"title": "Mine"}})
    assert refused.status == 403
    other = (await made(api.admin.post("admin/projects", {"name": "shop", "spec": {"title": "Shop"}})))["id"]
    await grant(api, await user(api, "outsider"), "rol_viewer", other)
    outsider = api.caller("outsider")
    assert (await outsider.get(f"{COLLECTION}/{created['id']}")).status == 404
    assert (await outsider.get(COLLECTION)).json["items"] == []


@pytest.mark.parametrize(
    ("chart", "fits"),
    [
        ({"form": "LINE", "x": "day", "y": ["late", "early"]}, True),
        ({"form": "HEAT_MAP", "x": "day", "y": ["hour"], "value": "late"}, True),
        ({"form": "HEAT_MAP", "x": "day", "y": ["hour"]}, False),
        ({"form": "BAR", "x": "day", "y": ["late"], "value": "late"}, False),
        ({"form": "BAR", "x": "day", "y": ["late", "early"], "series": "carrier"}, False),
        ({"form": "PIE", "x": "day", "y": ["late"]}, False),
    ],
)
async def test_a_chart_has_the_columns_of_its_form(api: Api, chart: dict[str, Any], fits: bool) -> None:
    project = (await made(api.admin.post("admin/projects", {"name": "flights", "spec": {"title": "Flights"}})))["id"]
    body = {"name": "one", "project_id": project, "spec": {"title": "One", "sql": "SELECT 1", "chart": chart}}
    assert (await api.editor.post(COLLECTION, body)).status == (201 if fits else 422)
