"""A value that must name something names something: what does not is refused at once, with what is similar.

The kind: a typing error is accepted and has no effect, or an effect later: a grant on nothing, a scope that includes
nothing, a subscription to what never happens, a question about a right that there is not.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

from api.kernel.outbox import event_types
from tests.api.admin.tenants import grant, made, tenant, user
from tests.api_process import Api
from tests.orchestration import FakeOrchestrator

ASSET = "flights.silver.flights"
ROOT = Path(__file__).parents[3]


def cases() -> list[Any]:
    """Requests with a name that nothing has: what is sent, the pointer, and a name that is told instead."""
    place = {"securable_id": "[project]"}
    right = {"principal_id": "[user]", **place}
    question = {"permission": "admin.project.get", **place}
    wrong = {"permission": "admin.projects.get"}
    hook = {"name": "hook", "spec": {"url": "https://hooks.example.org/a"}}
    found: list[tuple[str, dict[str, Any], str, str]] = [
        ("grants", right | {"permission": "admin.projcet.get"}, "/permission", "admin.project.get"),
        ("grants", right | {"permission": "ai_catalog.aset.*"}, "/permission", ""),
        ("grants", right | {"role_id": "rol_viewer", "securable_kind": "ai_catalog.asse"}, "/securable_kind", ""),
        ("api-keys", {"label": "x", "scopes": ["admin.*", "admin.projcet.get"]}, "/scopes/1", "admin.project.get"),
        ("roles", {"name": "x", "spec": {"title": "x", "permissions": ["admin.usr.get"]}}, "/spec/permissions/0", ""),
        ("roles", {"name": "x", "spec": {"title": "x", "denied": ["no.*.get"]}}, "/spec/denied/0", ""),
        ("decisions:check", question | wrong, "/permission", "admin.project.get"),
        ("decisions:check", question | {"securable_kind": "admin.projects"}, "/securable_kind", "admin.project"),
        ("decisions:explain", question | wrong, "/permission", "admin.project.get"),
        ("decisions:check-batch", {"items": [question, question | wrong]}, "/items/1/permission", "admin.project.get"),
        ("decisions:list-subjects", question | wrong, "/permission", "admin.project.get"),
        ("decisions:list-objects", {"kind": "admin.project", **wrong}, "/permission", "admin.project.get"),
        ("decisions:simulate", {"questions": [question | wrong]}, "/questions/0/permission", "admin.project.get"),
    ]
    for type in ("admin.user.creatd", "admin.users.*", "nothing.*", "admin.project.get"):
        spec = hook["spec"] | {"types": ["*", type]}  # type: ignore[operator]
        found.append(("webhook-endpoints", hook | {"spec": spec}, "/spec/types/1", ""))
    return found


@pytest.mark.parametrize(("path", "body", "pointer", "similar"), cases())
async def test_a_name_that_nothing_has_is_refused(
    api: Api, path: str, body: dict[str, Any], pointer: str, similar: str
) -> None:
    import json

    one = await tenant(api, "one")
    sent = json.loads(json.dumps(body).replace("[project]", one.project).replace("[user]", one.admin_id))
    reply = await api.admin.post(f"admin/{path}", sent)
    assert (reply.status, reply.json["errors"][0]["pointer"]) == (422, pointer), reply.response.text
    assert reply.json["metadata"]["similar"]
    assert not similar or similar in reply.json["metadata"]["similar"]


async def test_patterns_that_match_something_are_taken(api: Api) -> None:
    one = await tenant(api, "one")
    for type in ("*", "admin.*", "admin.user.*", "admin.user.created", "admin.grant.given", "admin.user.delete_denied"):
        spec = {"url": "https://hooks.example.org/a", "types": [type]}
        body = {"name": f"hook-{abs(hash(type))}", "spec": spec, "organization_id": one.organization}
        await made(api.admin.post("admin/webhook-endpoints", body))
    for scope in ("*", "admin.*", "*.*.get", "admin.user.get"):
        await made(api.admin.post("admin/api-keys", {"label": "x", "scopes": [scope]}))


def test_every_event_that_is_written_is_known(api: Api) -> None:
    """By the source: the first argument of whatever makes an event, where it is a plain text."""
    known, found = event_types.of(api.app.platform), set()
    for file in (ROOT / "api").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if not (isinstance(node, ast.Call) and node.args and isinstance(first := node.args[0], ast.Constant)):
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in ("emit", "Event", "event") and isinstance(first.value, str) and first.value.count(".") == 2:
                found.add(first.value)
    assert len(found) > 5
    assert found <= known
    assert {event["type"] for event in api.events()} <= known


class TestAssets:
    """A grant on one asset, as it is told, and on one that is not there."""

    async def test_its_id_is_enough(self, api: Api) -> None:
        id = await user(api, "ada")
        given = await grant(api, id, "ai_catalog.asset.*", ASSET)
        ada = api.caller("ada")
        assert (await ada.get(f"ai-catalog/assets/{ASSET}")).status == 200
        assert (await ada.get("ai-catalog/assets/flights.bronze.flights")).status == 404
        asked = {"permission": "ai_catalog.asset.get", "securable_id": ASSET, "principal_id": id}
        assert (await made(api.admin.post("admin/decisions:check", asked)))["grant_id"] == given

    @pytest.mark.parametrize(
        "kind", [{}, {"securable_kind": "ai_catalog.asset"}, {"securable_kind": "ai_system.model"}]
    )
    @pytest.mark.parametrize("asset", ["flights.silver.flight", "absent.silver.flights", "flights.silver.flights.x"])
    async def test_one_that_is_not_there_is_refused(self, api: Api, asset: str, kind: dict[str, str]) -> None:
        body = {"principal_id": await user(api, "ada"), "role_id": "rol_viewer", "securable_id": asset, **kind}
        reply = await api.admin.post("admin/grants", body)
        assert reply.status == 404, reply.response.text
        assert asset in reply.json["detail"]
        assert (await api.admin.post("admin/decisions:simulate", {"grant": [body]})).status == 404

    async def test_one_that_comes_back_has_its_grants(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        await grant(api, await user(api, "ada"), "ai_catalog.asset.*", ASSET)
        ada, gone = api.caller("ada"), orchestrator.nodes.pop(ASSET)
        assert (await ada.get(f"ai-catalog/assets/{ASSET}")).status == 404
        orchestrator.nodes[ASSET] = gone
        assert (await ada.get(f"ai-catalog/assets/{ASSET}")).status == 200


@pytest.mark.parametrize(
    ("path", "service"),
    [
        ("admin/users", "admin"),
        ("ai-catalog/assets/x", "ai_catalog"),
        ("operations/x", "operations"),
        ("rag/indexes/x", "rag"),
        ("nothing/here", "platform"),
        ("/scim/v2/Users", "admin"),
        ("/access/v1/evaluation", "admin"),
    ],
)
async def test_an_error_says_whose_it_is(api: Api, path: str, service: str) -> None:
    """Also where no operation was reached: without credentials, with another method, below a mount."""
    for caller, method in ((api.anonymous, "GET"), (api.admin, "PUT"), (api.viewer, "DELETE")):
        response = await caller.http.request(method, path if path.startswith("/") else f"/api/v1/{path}")
        if response.headers.get("content-type") == "application/problem+json":
            assert response.json()["service"] == service, (method, response.text)
