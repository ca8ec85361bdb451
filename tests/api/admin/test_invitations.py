"""Invitations: who may promise what, and that a promise is kept once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from core import clock
from tests.api.admin.tenants import Tenant, grant, made, tenant, user
from tests.api.both_databases import on_both
from tests.api_process import PASSWORD, Api, Caller, Reply

INVITATIONS = "admin/invitations"
pytestmark = pytest.mark.effect("admin_accept_invitation")


async def invite(caller: Caller, **extra: Any) -> dict[str, Any]:
    return await made(caller.post(INVITATIONS, {"email": "zoe@example.org", **extra}))


async def accept(api: Api, token: str, name: str = "zoe", password: str = PASSWORD) -> Reply:
    body = {"token": token, "name": name, "title": "Zoe", "password": password}
    return await api.anonymous.post(f"{INVITATIONS}:accept", body)


async def group(caller: Caller, one: Tenant, **spec: Any) -> str:
    body = {"name": "g", "organization_id": one.organization, "spec": {"title": "G", **spec}}
    return str((await made(caller.post("admin/groups", body)))["id"])


async def test_who_accepts_is_a_user_with_what_was_promised(api: Api) -> None:
    one = await tenant(api, "one")
    members = await group(one.admin, one)
    request = {"role_id": "rol_viewer", "securable_id": one.project}
    issued = await invite(one.admin, organization_id=one.organization, groups=[members], grants=[request])
    assert (issued["state"], issued["grants"]) == ("PENDING", [request])
    accepted = await made(accept(api, issued["token"]))
    login = await made(api.anonymous.post("admin/sessions:login", {"name": "zoe", "password": PASSWORD}))
    zoe = Caller(api.app, login["token"])
    assert [item["id"] for item in (await zoe.get("admin/projects")).json["items"]] == [one.project]
    info = await made(zoe.post("admin/sessions:userinfo"))
    assert (info["email"], info["name"], info["groups"]) == ("zoe@example.org", "Zoe", ["g"])
    assert info["organization_id"] == one.organization
    stored = await made(one.admin.get(f"{INVITATIONS}/{issued['id']}"))
    assert (stored["state"], stored["user_id"]) == ("ACCEPTED", accepted["user_id"])
    text = str(api.events())
    assert issued["token"] not in text
    assert PASSWORD not in text
    assert "token" not in stored


@on_both
async def test_it_works_once_even_if_two_accept_at_the_same_moment(api: Api) -> None:
    token = (await invite(api.admin))["token"]
    answers = await asyncio.gather(*(accept(api, token, f"zoe{n}") for n in range(3)))
    assert sorted(answer.status for answer in answers) == [200, 404, 404]
    users = (await made(api.admin.get('admin/users?filter=name.startsWith("zoe")')))["items"]
    assert len(users) == 1


async def test_a_taken_name_or_weak_password_leaves_it_open(api: Api) -> None:
    token = (await invite(api.admin))["token"]
    assert (await accept(api, token, "editor")).status == 409
    assert (await accept(api, token, password="short")).status == 422
    assert (await accept(api, token, "NOT A NAME")).status == 422
    assert (await accept(api, token)).status == 200


@on_both
@pytest.mark.effect("admin_revoke_invitation")
async def test_a_revoked_one_is_worth_nothing(api: Api) -> None:
    issued = await invite(api.admin)
    revoked = await made(api.admin.post(f"{INVITATIONS}/{issued['id']}:revoke"))
    assert revoked["state"] == "REVOKED"
    unknown, ended = await accept(api, "nonsense"), await accept(api, issued["token"])
    assert (ended.status, ended.json["detail"]) == (404, unknown.json["detail"])
    assert (await api.admin.post(f"{INVITATIONS}/{issued['id']}:revoke")).status == 409
    assert (await api.admin.post(f"{INVITATIONS}/{issued['id']}:resend")).status == 409


@pytest.mark.effect("admin_resend_invitation")
async def test_a_resent_one_has_a_new_token_and_the_old_one_ends(api: Api) -> None:
    issued = await invite(api.admin, days=1)
    clock.freeze(lambda: datetime.now(UTC) + timedelta(days=2))
    try:
        fresh_admin = api.caller("admin")
        stored = await made(fresh_admin.get(f"{INVITATIONS}/{issued['id']}"))
        assert stored["state"] == "EXPIRED"
        assert (await accept(api, issued["token"])).status == 404
        again = await made(fresh_admin.post(f"{INVITATIONS}/{issued['id']}:resend", {"days": 3}))
        assert again["state"] == "PENDING"
        assert (await accept(api, issued["token"])).status == 404
        assert (await accept(api, again["token"])).status == 200
    finally:
        clock.freeze(None)


async def test_nobody_promises_what_he_cannot_give(api: Api) -> None:
    one, two = await tenant(api, "one"), await tenant(api, "two")

    async def status(caller: Caller = one.admin, **extra: Any) -> int:
        body = {"email": "zoe@example.org", "organization_id": one.organization, **extra}
        return (await caller.post(INVITATIONS, body)).status

    assert await status(grants=[{"role_id": "rol_viewer", "securable_id": "platform"}]) in (403, 404)
    assert await status(grants=[{"role_id": "rol_viewer", "securable_id": two.project}]) == 404
    assert await status(organization_id=two.organization) == 404
    assert await status(groups=[await group(two.admin, two)]) == 422
    assert await status(groups=[await group(one.admin, one, source="CLAIM")]) == 422
    inviter = await user(api, "inviter", one.organization)
    for right in ("admin.invitation.*", "admin.user.create", "admin.organization.get", "admin.role.get"):
        await grant(api, inviter, right, one.organization)
    caller = api.caller("inviter")
    assert await status(caller) == 201
    request = {"role_id": "rol_viewer", "securable_id": one.organization}
    assert await status(caller, grants=[request]) == 403
    assert await status(api.viewer) == 403


async def test_it_gives_nothing_that_who_invited_could_not_give_any_more(api: Api) -> None:
    one = await tenant(api, "one")
    second = await user(api, "second", one.organization)
    given = await grant(api, second, "rol_admin", one.organization)
    request = {"role_id": "rol_admin", "securable_id": one.organization}
    issued = await invite(api.caller("second"), organization_id=one.organization, grants=[request])
    assert (await api.admin("DELETE", f"/api/v1/admin/grants/{given}")).status == 204
    assert (await accept(api, issued["token"])).status == 409
    assert (await api.admin.get("admin/users/zoe")).status == 404
    await made(one.admin.post(f"{INVITATIONS}/{issued['id']}:resend"))


@on_both
async def test_one_tenant_sees_nothing_of_the_invitations_of_another(api: Api) -> None:
    one, two = await tenant(api, "one"), await tenant(api, "two")
    issued = await invite(one.admin, organization_id=one.organization)
    assert (await made(two.admin.get(INVITATIONS)))["items"] == []
    for verb in (":revoke", ":resend"):
        assert (await two.admin.post(f"{INVITATIONS}/{issued['id']}{verb}")).status == 404
    assert (await two.admin.get(f"{INVITATIONS}/{issued['id']}")).status == 404
    assert [item["id"] for item in (await made(one.admin.get(INVITATIONS)))["items"]] == [issued["id"]]
