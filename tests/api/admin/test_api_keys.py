"""API keys and service accounts: what their secrets can do, and that they end when they should."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from api.kernel.credentials.last_use import LastUse
from api.kernel.tables import TOKEN
from core import clock
from tests.api.admin.tenants import grant, made, tenant
from tests.api.both_databases import on_both
from tests.api_process import PASSWORD, Api, Caller

KEYS = "admin/api-keys"


async def test_the_secret_works_and_is_shown_once(api: Api) -> None:
    key = await made(api.viewer.post(KEYS, {"label": "script"}))
    caller = Caller(api.app, key["secret"])
    assert (await caller.get("ai-catalog/assets")).status == 200
    foreign = await api.viewer.get(f"{KEYS}/{key['id']}")
    assert "secret" not in foreign.json
    assert key["secret"].startswith(foreign.json["prefix"])
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


@on_both
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


@on_both
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


@on_both
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


async def test_keys_of_a_service_account_live_as_long_as_it_lets_them(api: Api) -> None:
    """The kind: a declared limit that only some of the ways to a key ask for, or that keys there are do not follow."""
    one = await tenant(api, "one")
    spec = {"name": "bot", "project_id": one.project, "spec": {"key_days": 30}}
    bot = (await made(one.admin.post("admin/service-accounts", spec)))["id"]

    async def days(key: str) -> float:
        found = await made(one.admin.get(f"{KEYS}/{key}"))
        life = datetime.fromisoformat(found["expires_at"]) - datetime.fromisoformat(found["created_at"])
        return round(life.total_seconds() / 86_400, 3)

    asked = {"label": "one", "principal_id": bot}

    def until(days: int) -> dict[str, str]:
        return asked | {"expires_at": (clock.now() + timedelta(days=days)).isoformat()}

    late = await one.admin.post(KEYS, until(31))
    assert (late.status, late.json["errors"][0]["pointer"]) == (422, "/expires_at")
    key = (await made(one.admin.post(KEYS, asked)))["id"]
    assert await days(key) == 30
    short = (await made(one.admin.post(KEYS, until(5))))["id"]
    before = await days(short)
    path = f"admin/service-accounts/{bot}"
    await made(one.admin("PATCH", path, json={"spec": {"key_days": 10}}))
    assert await days(key) == 10, "a key that there is follows"
    assert await days(short) == before
    rotated = await made(one.admin.post(f"{KEYS}/{key}:rotate", {}))
    assert await days(rotated["id"]) == 10
    await made(one.admin("PATCH", path, json={"spec": {"key_days": 300}}))
    assert await days(rotated["id"]) == 10, "none gets longer"
    assert await days((await made(one.admin.post(f"{KEYS}/{rotated['id']}:rotate", {})))["id"]) == 10
    own = (await made(one.admin.post(KEYS, {"label": "mine"})))["id"]
    assert await days(own) == 90, "people have the limit of the settings alone"


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


async def ends(api: Api, key: str) -> datetime:
    return datetime.fromisoformat((await made(api.viewer.get(f"{KEYS}/{key}")))["expires_at"])


async def test_rotation_lengthens_neither_the_old_key_nor_the_life_of_the_new_one(api: Api) -> None:
    """An overlap ends no later than the old key does, and the new key lives no longer than the settings allow."""
    soon = (clock.now() + timedelta(minutes=5)).isoformat()
    key = await made(api.viewer.post(KEYS, {"label": "short", "expires_at": soon}))
    new = await made(api.viewer.post(f"{KEYS}/{key['id']}:rotate", {"overlap_seconds": 86_400}))
    assert await ends(api, key["id"]) == datetime.fromisoformat(key["expires_at"])
    assert timedelta(minutes=4) < await ends(api, new["id"]) - clock.now() <= timedelta(minutes=5)
    long = await made(api.viewer.post(KEYS, {"label": "long"}))
    overlapping = await made(api.viewer.post(f"{KEYS}/{long['id']}:rotate", {"overlap_seconds": 60}))
    assert timedelta(0) < await ends(api, long["id"]) - clock.now() <= timedelta(seconds=60)
    assert (await api.admin("PATCH", "admin/settings/platform", json={"key_max_days": 7})).status == 200
    shorter = await made(api.viewer.post(f"{KEYS}/{overlapping['id']}:rotate"))
    assert await ends(api, shorter["id"]) - clock.now() <= timedelta(days=7)
    fresh = await made(api.viewer.post(KEYS, {"label": "by default"}))
    assert await ends(api, fresh["id"]) - clock.now() <= timedelta(days=7)


@pytest.mark.parametrize("ending", ["revoked", "expired"])
async def test_an_ended_key_is_not_rotated(api: Api, ending: str) -> None:
    key = await made(api.viewer.post(KEYS, {"label": "ended"}))
    if ending == "revoked":
        await made(api.viewer.post(f"{KEYS}/{key['id']}:revoke"))
    else:
        with api.database.write() as connection:
            connection.execute(TOKEN.update().where(TOKEN.c.id == key["id"]).values(expires_at=clock.now()))
    assert (await api.viewer.post(f"{KEYS}/{key['id']}:rotate")).status == 409


@on_both
async def test_a_list_holds_own_keys_and_no_other_tokens(api: Api) -> None:
    own_key = await made(api.viewer.post(KEYS, {"label": "mine"}))
    await made(api.editor.post(KEYS, {"label": "theirs"}))
    await made(api.anonymous.post("admin/sessions:login", {"name": "viewer", "password": PASSWORD}))
    listed = (await api.viewer.get(KEYS)).json["items"]
    assert own_key["id"] in [item["id"] for item in listed]
    assert {item["principal"] for item in listed} == {"viewer"}
    with api.database.read() as connection:
        kinds = {row.id: row.kind for row in connection.execute(sa.select(TOKEN.c.id, TOKEN.c.kind))}
    assert {kinds[item["id"]] for item in listed} == {"TOKEN"}
    assert {"SESSION", "ACCESS"} <= set(kinds.values())


async def test_an_earlier_end_holds_at_once_for_a_key_in_use(api: Api) -> None:
    key = await made(api.viewer.post(KEYS, {"label": "in use"}))
    caller = Caller(api.app, key["secret"])
    assert (await caller.get("ai-catalog/assets")).status == 200
    soon = clock.now() + timedelta(milliseconds=1)
    changed = await api.viewer("PATCH", f"{KEYS}/{key['id']}", json={"expires_at": soon.isoformat()})
    assert changed.status == 200
    clock.freeze(lambda: soon)
    try:
        assert (await caller.get("ai-catalog/assets")).status == 401
    finally:
        clock.freeze(None)
