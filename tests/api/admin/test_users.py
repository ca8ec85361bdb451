"""Users: what they can do, and that taking it away works at once, everywhere."""

from __future__ import annotations

import asyncio

import pytest

from api.kernel.credentials import tokens
from api.main import create_app
from tests.api.admin.tenants import grant, made, user
from tests.api.both_databases import on_both
from tests.api_process import PASSWORD, Api, Caller
from tests.orchestration import FakeOrchestrator

LOGIN = "admin/sessions:login"


async def test_a_new_user_can_log_in_and_do_what_he_was_granted(api: Api) -> None:
    id = await user(api, "ada", password=True)
    login = await api.anonymous.post(LOGIN, {"name": "ada", "password": PASSWORD})
    ada = Caller(api.app, login.json["token"])
    assert (await ada.get("ai-catalog/assets")).status == 403
    await grant(api, id, "rol_viewer", "platform")
    assert (await ada.get("ai-catalog/assets")).status == 200
    assert PASSWORD not in str(api.events())
    assert (await api.admin.get(f"admin/users/{id}/account")).json["last_login_at"] is not None
    await ada.http.aclose()


async def test_a_name_is_taken_once_and_free_again_after_deletion(api: Api) -> None:
    old = await user(api, "ada")
    await grant(api, old, "rol_admin", "platform")
    assert (await api.admin.post("admin/users", {"name": "ada", "spec": {}})).status == 409
    caller = api.caller("ada")
    assert (await caller.get("admin/users")).status == 200
    assert (await api.admin("DELETE", f"/api/v1/admin/users/{old}")).status == 204
    assert (await caller.get("admin/users")).status == 401
    new = await user(api, "ada")
    assert new != old
    assert (await api.caller("ada").get("admin/users")).status == 403, "a namesake inherits nothing"
    assert (await api.admin.post(f"admin/users/{old}:restore")).status == 409, "the name is taken"


async def test_a_short_password_is_refused_by_its_place(api: Api) -> None:
    await user(api, "ada")
    reply = await api.admin.post("admin/users/ada:set-password", {"password": "short"})
    assert (reply.status, reply.json["errors"][0]["pointer"]) == (422, "/password")


@pytest.mark.effect("admin_set_password_user")
async def test_a_new_password_ends_logins_and_the_old_password(api: Api) -> None:
    await user(api, "ada", password=True)
    login = await api.anonymous.post(LOGIN, {"name": "ada", "password": PASSWORD})
    await made(api.admin.post("admin/users/ada:set-password", {"password": "another long password"}))
    assert (await Caller(api.app, login.json["token"]).get("admin/sessions")).status == 401
    assert (await api.anonymous.post(LOGIN, {"name": "ada", "password": PASSWORD})).status == 401
    assert (await api.anonymous.post(LOGIN, {"name": "ada", "password": "another long password"})).status == 200


@pytest.mark.effect("admin_suspend_user", "admin_activate_user")
async def test_a_suspended_user_is_out_at_once_and_in_again_when_activated(api: Api) -> None:
    assert (await api.viewer.get("ai-catalog/assets")).status == 200
    assert (await api.admin.post("admin/users/viewer:suspend")).json["status"]["state"] == "SUSPENDED"
    assert (await api.viewer.get("ai-catalog/assets")).status == 401
    assert (await api.anonymous.post(LOGIN, {"name": "viewer", "password": PASSWORD})).status == 401
    await made(api.admin.post("admin/users/viewer:activate"))
    assert (await api.viewer.get("ai-catalog/assets")).status == 200


@pytest.mark.effect("admin_require_reset_user", "admin_get_user_account")
async def test_sessions_end_and_keys_stay(api: Api) -> None:
    for verb in ("revoke-sessions", "require-reset"):
        login = (await api.anonymous.post(LOGIN, {"name": "viewer", "password": PASSWORD})).json
        browser = Caller(api.app, login["token"])
        assert (await browser.get("ai-catalog/assets")).status == 200
        await made(api.admin.post(f"admin/users/viewer:{verb}"))
        assert (await browser.get("ai-catalog/assets")).status == 401
        assert (await api.viewer.get("ai-catalog/assets")).status == 200, "the caller of this test has a key"
    assert (await api.admin.get("admin/users/viewer/account")).json["password_reset_required"] is True


async def test_the_last_admin_cannot_lock_himself_out(api: Api) -> None:
    (own,) = (await api.admin.get("admin/grants", params={"filter": 'role_id == "rol_admin"'})).json["items"]
    assert (await api.admin.post("admin/users/admin:suspend")).status == 409
    assert (await api.admin("DELETE", "/api/v1/admin/users/admin")).status == 409
    assert (await api.admin("DELETE", f"/api/v1/admin/grants/{own['id']}")).status == 409
    assert (await api.admin.post("admin/grants:apply", {"revoke": [own["id"]]})).status == 409
    second = await user(api, "second", password=True)
    await grant(api, second, "rol_admin", "platform")
    assert (await api.admin("DELETE", f"/api/v1/admin/grants/{own['id']}")).status == 204
    assert (await api.admin.get("admin/users")).status == 403


@on_both
async def test_list_by_name(api: Api) -> None:
    query = {"order_by": "name desc", "page_size": 2}
    reply = await api.admin.get("admin/users", params=query)
    assert [user["name"] for user in reply.json["items"]] == ["viewer", "editor"]
    rest = await api.admin.get("admin/users", params=query | {"page_token": reply.json["next_page_token"]})
    assert [user["name"] for user in rest.json["items"]] == ["admin"]


@pytest.mark.parametrize("name", ["Ada", "\u0430da", "a da", "", "a\u202eb", "a" * 200, "1ada", "admin"])
async def test_names_that_deceive_are_refused(api: Api, name: str) -> None:
    assert (await api.admin.post("admin/users", {"name": name, "spec": {}})).status in (409, 422)
    spec = {"title": "invisible\u200b"}
    assert (await api.admin.post("admin/users", {"name": "fine", "spec": spec})).status == 422


async def test_another_process_sees_a_revocation_by_the_epoch(api: Api, orchestrator: FakeOrchestrator) -> None:
    """A second process that remembers the token learns of it by the epoch alone."""
    other_app = create_app(api.app.platform.settings, orchestrator=orchestrator)
    stack = await other_app.startup()
    other = Caller(other_app, api.viewer.token)
    assert (await other.get("ai-catalog/assets")).status == 200
    with api.database.write() as connection:
        found = tokens.authenticating(connection, api.viewer.token or "")
        assert found
        tokens.revoke(connection, found.id)
    async with asyncio.timeout(60):
        while (await other.get("ai-catalog/assets")).status == 200:
            await asyncio.sleep(0.05)
    await other.http.aclose()
    await stack.aclose()


async def test_keys_and_logins_of_a_deleted_user_stay_ended_after_restoration(api: Api) -> None:
    editor = (await api.admin.get("admin/users/editor")).json["id"]
    key = await made(api.editor.post("admin/api-keys", {"label": "script"}))
    login = await made(api.anonymous.post("admin/sessions:login", {"name": "editor", "password": PASSWORD}))
    callers = [Caller(api.app, token) for token in (key["secret"], login["token"], api.editor.token)]
    assert [(await caller.get("ai-catalog/assets")).status for caller in callers] == [200] * 3
    assert (await api.admin("DELETE", f"admin/users/{editor}")).status == 204
    assert [(await caller.get("ai-catalog/assets")).status for caller in callers] == [401] * 3
    await made(api.admin.post(f"admin/users/{editor}:restore"))
    assert [(await caller.get("ai-catalog/assets")).status for caller in callers] == [401] * 3
    login = await made(api.anonymous.post("admin/sessions:login", {"name": "editor", "password": PASSWORD}))
    assert (await Caller(api.app, login["token"]).get("ai-catalog/assets")).status == 200


async def test_what_ends_logins_leaves_keys_and_what_suspends_ends_both_for_a_while(api: Api) -> None:
    editor = (await api.admin.get("admin/users/editor")).json["id"]
    key = Caller(api.app, (await made(api.editor.post("admin/api-keys", {"label": "script"})))["secret"])

    async def logged_in() -> Caller:
        login = await made(api.anonymous.post("admin/sessions:login", {"name": "editor", "password": PASSWORD}))
        return Caller(api.app, login["token"])

    async def statuses(*callers: Caller) -> list[int]:
        return [(await caller.get("ai-catalog/assets")).status for caller in callers]

    for verb, body in (("revoke-sessions", {}), ("set-password", {"password": PASSWORD + "2"}), ("require-reset", {})):
        login = await logged_in() if verb != "require-reset" else Caller(api.app, None)
        await made(api.admin.post(f"admin/users/{editor}:{verb}", body))
        assert await statuses(key, login) == [200, 401], verb
        if verb == "set-password":
            await made(api.admin.post(f"admin/users/{editor}:set-password", {"password": PASSWORD + "3"}))
    await made(api.admin.post(f"admin/users/{editor}:suspend"))
    assert await statuses(key) == [401]
    await made(api.admin.post(f"admin/users/{editor}:activate"))
    assert await statuses(key) == [200]
