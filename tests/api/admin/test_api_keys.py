"""API keys and service accounts: what their secrets can do, and that they end when they should."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from api.kernel.credentials.last_use import LastUse
from core import clock
from tests.api.admin.tenants import grant, made, tenant
from tests.api_process import Api, Caller

KEYS = "admin/api-keys"


async def test_the_secret_works_and_is_shown_once(api: Api) -> None:
    key = await made(api.viewer.post(KEYS, {"label": "script"}))
    caller = Caller(api.app, key["secret"])
    assert (await caller.get("ai-catalog/assets")).status == 200
    shown = await api.viewer.get(f"{KEYS}/{key['id']}")
    assert "secret" not in shown.json
    assert key["secret"].startswith(shown.json["prefix"])
    assert key["secret"] not in str(api.events())
    await caller.http.aclose()


async def test_a_repeated_request_does_not_show_it_again(api: Api) -> None:
    headers = {"idempotency-key": "once"}
    assert (await api.viewer.post(KEYS, {"label": "script"}, headers=headers)).status == 201
    assert (await api.viewer.post(KEYS, {"label": "script"}, headers=headers)).status == 409
    assert len((await api.viewer.get(KEYS)).json["items"]) == 2, "the fixture's and one more"


@pytest.mark.effect("admin_revoke_api_key")
async def test_a_revoked_one_is_refused_at_once(api: Api) -> None:
    key = await made(api.viewer.post(KEYS, {"label": "script"}))
    caller = Caller(api.app, key["secret"])
    assert (await caller.get("ai-catalog/assets")).status == 200
    assert (await made(api.viewer.post(f"{KEYS}/{key['id']}:revoke")))["revoked_at"] is not None
    assert (await caller.get("ai-catalog/assets")).status == 401
    await caller.http.aclose()


@pytest.mark.effect("admin_rotate_api_key")
async def test_the_old_secret_works_until_the_overlap_ends(api: Api) -> None:
    key = await made(api.viewer.post(KEYS, {"label": "script"}))
    new = await made(api.viewer.post(f"{KEYS}/{key['id']}:rotate", {"overlap_seconds": 3600}))
    old, fresh = Caller(api.app, key["secret"]), Caller(api.app, new["secret"])
    assert [(await one.get("ai-catalog/assets")).status for one in (old, fresh)] == [200, 200]
    newest = await made(api.viewer.post(f"{KEYS}/{new['id']}:rotate", {"overlap_seconds": 0}))
    assert (await fresh.get("ai-catalog/assets")).status == 401
    assert newest["rotated_from"] == new["id"]
    assert (await api.viewer.post(f"{KEYS}/{new['id']}:rotate")).status == 409


async def test_scopes_narrow_what_its_principal_can_do_and_are_inherited(api: Api) -> None:
    key = await made(api.admin.post(KEYS, {"label": "reader", "scopes": ["ai_catalog.*", "admin.api_key.*"]}))
    caller = Caller(api.app, key["secret"])
    assert (await caller.get("ai-catalog/assets")).status == 200
    assert (await caller.get("admin/users")).status == 403
    child = await made(caller.post(KEYS, {"label": "child"}))
    assert child["scopes"] == key["scopes"]
    assert (await Caller(api.app, child["secret"]).get("admin/users")).status == 403
    wider = await caller.post(KEYS, {"label": "wider", "scopes": ["*"]})
    assert wider.status == 403, "a limited key issues nothing wider than itself"


async def test_only_an_admin_issues_them_for_others_or_sees_theirs(api: Api) -> None:
    assert (await api.editor.post(KEYS, {"label": "x", "principal_id": "admin"})).status == 404
    key = await made(api.admin.post(KEYS, {"label": "x", "principal_id": "viewer"}))
    assert key["principal"] == "viewer"
    assert (await api.editor.get(f"{KEYS}/{key['id']}")).status == 404
    assert (await api.editor.post(f"{KEYS}/{key['id']}:revoke")).status == 404
    assert key["id"] in [item["id"] for item in (await api.admin.get(KEYS)).json["items"]]


@pytest.mark.effect("admin_get_api_key_usage")
async def test_its_owner_and_an_admin_see_when_and_from_where_it_was_used(api: Api) -> None:
    key = await made(api.viewer.post(KEYS, {"label": "script"}))
    path = f"{KEYS}/{key['id']}/usage"
    assert await made(api.viewer.get(path)) == {"last_used_at": None, "last_used_from": None}
    before = clock.now()
    async with Caller(api.app, key["secret"], client="10.1.2.3").http as caller:
        assert (await caller.get("/api/v1/ai-catalog/assets")).status_code == 200
    await api.app.platform.part(LastUse).flush()
    for who in (api.viewer, api.admin):
        usage = await made(who.get(path))
        assert usage["last_used_from"] == "10.1.2.3"
        assert before <= datetime.fromisoformat(usage["last_used_at"]) <= clock.now()
    assert (await api.editor.get(path)).status == 404
    assert (await api.viewer.get(f"{KEYS}/key_nothing/usage")).status == 404


async def test_it_lives_within_limits(api: Api) -> None:
    def body(**delta: float) -> dict[str, Any]:
        return {"label": "x", "expires_at": (datetime.now(UTC) + timedelta(**delta)).isoformat()}

    assert (await api.viewer.post(KEYS, body(days=400))).status == 422
    assert (await api.viewer.post(KEYS, body(days=-1))).status == 422
    key = await made(api.viewer.post(KEYS, body(days=1)))
    later = {"expires_at": body(days=2)["expires_at"]}
    assert (await api.viewer("PATCH", f"/api/v1/{KEYS}/{key['id']}", json=later)).status == 422
    earlier = {"expires_at": body(seconds=1)["expires_at"], "label": "short"}
    assert (await api.viewer("PATCH", f"/api/v1/{KEYS}/{key['id']}", json=earlier)).json["label"] == "short"


@pytest.mark.effect("admin_suspend_service_account", "admin_activate_service_account")
async def test_a_service_account_calls_with_its_keys_while_it_is_active(api: Api) -> None:
    one = await tenant(api, "one")
    bot = await made(one.admin.post("admin/service-accounts", {"name": "bot", "project_id": one.project, "spec": {}}))
    await grant(api, bot["id"], "rol_viewer", one.project)
    key = await made(one.admin.post(KEYS, {"label": "nightly", "principal_id": bot["id"]}))
    caller = Caller(api.app, key["secret"])
    assert [item["id"] for item in (await caller.get("admin/projects")).json["items"]] == [one.project]
    await made(one.admin.post(f"admin/service-accounts/{bot['id']}:suspend"))
    assert (await caller.get("admin/projects")).status == 401
    await made(one.admin.post(f"admin/service-accounts/{bot['id']}:activate"))
    assert (await caller.get("admin/projects")).status == 200
    assert (await one.admin("DELETE", f"/api/v1/admin/service-accounts/{bot['id']}")).status == 204
    assert (await caller.get("admin/projects")).status == 401
