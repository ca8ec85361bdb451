"""Sessions of users: what their admins see of them, and that ending one ends it everywhere."""

from __future__ import annotations

import pytest

from tests.api.admin.tenants import grant, made, user
from tests.api.both_databases import on_both
from tests.api_process import PASSWORD, Api, Caller

LOGIN = "admin/sessions:login"


async def logged_in(api: Api, name: str) -> tuple[Caller, dict[str, str]]:
    """A browser in which the user has logged in, and what the platform answered."""
    answer = await made(api.anonymous.post(LOGIN, {"name": name, "password": PASSWORD}))
    return Caller(api.app, answer["token"]), answer


async def sessions(caller: Caller, name: str = "viewer") -> list[str]:
    """Ids of the sessions of a user, newest first."""
    return [one["id"] for one in (await made(caller.get(f"admin/users/{name}/sessions")))["items"]]


@on_both
@pytest.mark.effect("admin_get_user_sessions", "admin_revoke_sessions_user")
async def test_an_admin_ends_one_login_of_a_user_and_the_others_stay(api: Api) -> None:
    first, lost = await logged_in(api, "viewer")
    second, remaining = await logged_in(api, "viewer")
    assert await sessions(api.admin) == [remaining["id"], lost["id"]]
    await made(api.admin.post("admin/users/viewer:revoke-sessions", {"sessions": [lost["id"]]}))
    assert (await first.get("admin/sessions/current")).status == 401
    assert (await second.get("admin/sessions/current")).status == 200
    renewal = await api.anonymous.post("admin/sessions:refresh", {"refresh_token": lost["refresh_token"]})
    assert renewal.status == 401, "its refresh token ends with it"
    assert await sessions(api.admin) == [remaining["id"]]
    await made(api.admin.post("admin/users/viewer:revoke-sessions"))
    assert (await second.get("admin/sessions/current")).status == 401
    assert await sessions(api.admin) == []
    assert (await api.viewer.get("admin/sessions/current")).status == 200, "this caller has an API key"


async def test_the_list_contains_no_token(api: Api) -> None:
    _, answer = await logged_in(api, "viewer")
    cookie = api.anonymous.http.cookies.get("headwater_8400")
    assert cookie
    text = (await api.admin.get("admin/users/viewer/sessions")).response.text
    assert answer["id"] in text
    for secret in (cookie, answer["token"], answer["refresh_token"], answer["csrf_token"]):
        assert secret not in text
        assert secret[:8] not in text, "not even how it begins"


async def test_a_session_of_somebody_else_is_neither_ended_nor_disclosed(api: Api) -> None:
    editor, theirs = await logged_in(api, "editor")
    viewer, own = await logged_in(api, "viewer")
    refused = await api.admin.post("admin/users/viewer:revoke-sessions", {"sessions": [own["id"], theirs["id"]]})
    absent = await api.admin.post("admin/users/viewer:revoke-sessions", {"sessions": ["ses_absent"]})
    assert refused.status == absent.status == 404
    assert refused.json["detail"].replace(theirs["id"], "") == absent.json["detail"].replace("ses_absent", "")
    key = (await made(api.admin.post("admin/api-keys", {"label": "k", "principal_id": "viewer"})))["id"]
    assert (await api.admin.post("admin/users/viewer:revoke-sessions", {"sessions": [key]})).status == 404
    for browser in (editor, viewer):
        assert (await browser.get("admin/sessions/current")).status == 200, "all of them end, or none"


async def test_an_admin_of_one_organization_knows_nothing_of_the_logins_in_another(api: Api) -> None:
    other = (await made(api.admin.post("admin/organizations", {"name": "other", "spec": {"title": "O"}})))["id"]
    body = {"name": "olga", "organization_id": other, "spec": {}}
    olga = (await made(api.admin.post("admin/users", body)))["id"]
    await grant(api, olga, "rol_admin", other)
    viewer, answer = await logged_in(api, "viewer")
    stranger = api.caller("olga")
    id = (await made(api.admin.get("admin/users/viewer")))["id"]
    for name in ("viewer", id):
        assert (await stranger.get(f"admin/users/{name}/sessions")).status == 404
        ending = await stranger.post(f"admin/users/{name}:revoke-sessions", {"sessions": [answer["id"]]})
        assert ending.status == 404
    taken = await stranger.post(f"admin/users/{olga}:revoke-sessions", {"sessions": [answer["id"]]})
    assert taken.status == 404, "nor by way of their own account"
    assert (await viewer.get("admin/sessions/current")).status == 200


async def test_who_is_no_admin_sees_no_logins_of_others(api: Api) -> None:
    id = await user(api, "ada", password=True)
    await grant(api, id, "rol_editor", "platform")
    ada, _ = await logged_in(api, "ada")
    assert (await ada.get("admin/users/viewer/sessions")).status in (403, 404)
    assert (await ada.post("admin/users/viewer:revoke-sessions", {"sessions": []})).status in (403, 404)
