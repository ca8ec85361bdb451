"""Former ways to act for another principal, and chains of them.

The kind is held over every operation by `tests/conformance/test_power.py`; here are attacks as they were made, by REST
and by SCIM, with the rights that attackers had.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest

from core import clock
from tests.api.admin.tenants import Tenant, grant, made, tenant, user
from tests.api.both_databases import on_both
from tests.api_process import PASSWORD, Api, Caller

PATCH = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"]}
BULK = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"]}


async def admin_id(api: Api) -> str:
    return str((await made(api.admin.get("admin/users/admin")))["id"])


async def holder(api: Api, organization: str, *rights: str, scopes: tuple[str, ...] = ()) -> tuple[str, Caller]:
    """A user in the organization with these permissions on it."""
    name = f"holder{len(api.events('admin.user.created'))}"
    id = await user(api, name, organization, password=True)
    for right in rights:
        await grant(api, id, right, organization)
    if not scopes:
        return id, api.caller(name)
    key = await made(api.admin.post("admin/api-keys", {"label": "k", "principal_id": id, "scopes": list(scopes)}))
    return id, Caller(api.app, key["secret"])


async def refused(reply: Any) -> None:
    answer = await reply
    assert (answer.status, answer.reason) == (403, "EXCEEDS_RIGHTS"), answer.response.text


@on_both
async def test_an_organization_admin_issues_no_key_for_the_admin_of_the_platform(api: Api) -> None:
    _, boss = await holder(api, "org_default", "rol_admin")
    await refused(boss.post("admin/api-keys", {"label": "mine", "principal_id": await admin_id(api)}))
    await refused(boss.post("admin/api-keys", {"label": "m", "principal_id": "admin", "scopes": ["admin.user.get"]}))


async def test_an_end_or_a_scope_does_not_make_a_key_for_somebody_stronger_right(api: Api) -> None:
    """A user with the right for a day issues a key for a day, and none for longer."""
    strong = await user(api, "strong")
    await grant(api, strong, "rol_admin", "org_default")
    day = clock.now() + timedelta(days=1)
    id = await user(api, "brief", password=True)
    await grant(api, id, "rol_admin", "org_default", expires_at=day.isoformat())
    brief = api.caller("brief")
    key = {"label": "k", "principal_id": strong, "expires_at": (day - timedelta(hours=1)).isoformat()}
    await made(brief.post("admin/api-keys", key))
    await refused(brief.post("admin/api-keys", key | {"expires_at": (day + timedelta(hours=1)).isoformat()}))
    await refused(brief.post(f"admin/users/{strong}:set-password", {"password": PASSWORD}))
    lasting = {"principal_id": strong, "role_id": "rol_viewer", "securable_id": "org_default"}
    await refused(brief.post("admin/grants", lasting))
    await made(brief.post("admin/grants", lasting | {"expires_at": day.isoformat()}))


class TestDirectory:
    """The key of a directory holds `admin.user.*` and `admin.group.*`, and nothing else."""

    async def directory(self, api: Api) -> httpx.AsyncClient:
        rights = ("admin.user.*", "admin.group.*")
        return (await holder(api, "org_default", *rights, scopes=rights))[1].http

    async def test_it_sets_no_password_of_an_admin(self, api: Api) -> None:
        scim, id = await self.directory(api), await admin_id(api)
        password = {"op": "replace", "path": "password", "value": "a password of mine"}
        whole = {"op": "replace", "value": {"password": "a password of mine"}}
        moved = {"op": "replace", "path": "emails", "value": [{"value": "mine@example.org", "primary": True}]}
        for operation in (password, whole, moved):
            answer = await scim.patch(f"/scim/v2/Users/{id}", json=PATCH | {"Operations": [operation]})
            assert answer.status_code == 403, answer.text
        body = {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "admin"}
        for extra in ({"password": "a password of mine"}, {"externalId": "mine"}):
            assert (await scim.put(f"/scim/v2/Users/{id}", json=body | extra)).status_code == 403
        operation = {"method": "PATCH", "path": f"/Users/{id}", "data": PATCH | {"Operations": [password]}}
        answer = await scim.post("/scim/v2/Bulk", json=BULK | {"Operations": [operation]})
        assert answer.json()["Operations"][0]["status"] == "403"
        assert (
            await scim.post(f"/api/v1/admin/users/{id}:set-password", json={"password": PASSWORD})
        ).status_code == 403
        await made(api.anonymous.post("admin/sessions:login", {"name": "admin", "password": PASSWORD}))

    async def test_it_puts_nobody_into_a_group_that_holds_more(self, api: Api) -> None:
        scim, strong, inner = await self.directory(api), await self._group(api, "strong"), await self._group(api, "in")
        await grant(api, strong, "rol_admin", "platform")
        await made(api.admin.post(f"admin/groups/{strong}:add-members", {"members": [inner]}))
        name = {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "mine"}
        owned = (await scim.post("/scim/v2/Users", json=name)).json()["id"]
        for group in (strong, inner):
            added = {"op": "add", "path": "members", "value": [{"value": owned}]}
            answer = await scim.patch(f"/scim/v2/Groups/{group}", json=PATCH | {"Operations": [added]})
            assert answer.status_code == 403, answer.text
            put = await scim.put(f"/scim/v2/Groups/{group}", json={"displayName": "x", "members": [{"value": owned}]})
            assert put.status_code == 403, put.text

    @on_both
    async def test_it_keeps_users_and_groups_that_hold_nothing_more(self, api: Api) -> None:
        scim = await self.directory(api)
        body = {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "ada", "password": PASSWORD}
        id = (await scim.post("/scim/v2/Users", json=body)).json()["id"]
        members = {"displayName": "Team", "members": [{"value": id}]}
        assert (await scim.post("/scim/v2/Groups", json=members)).status_code == 201
        off = {"Operations": [{"op": "replace", "path": "active", "value": False}]}
        on = {"Operations": [{"op": "replace", "path": "active", "value": True}]}
        for change in (off, on):
            assert (await scim.patch(f"/scim/v2/Users/{id}", json=PATCH | change)).status_code in (200, 204)
        await grant(api, id, "rol_editor", "org_default")
        for change, status in ((off, 204), (on, 403)):
            assert (await scim.patch(f"/scim/v2/Users/{id}", json=PATCH | change)).status_code == status

    async def _group(self, api: Api, name: str) -> str:
        return str((await made(api.admin.post("admin/groups", {"name": name, "spec": {"title": name}})))["id"])


async def test_a_keeper_of_groups_does_not_join_the_admins(api: Api) -> None:
    id, keeper = await holder(api, "org_default", "admin.group.*", "admin.user.get", "admin.organization.get")
    spec = {"name": "admins", "spec": {"title": "Admins"}}
    group = (await made(api.admin.post("admin/groups", spec)))["id"]
    await grant(api, group, "rol_admin", "platform")
    await refused(keeper.post(f"admin/groups/{group}:add-members", {"members": [id]}))
    owned = (await made(keeper.post("admin/groups", {"name": "mine", "spec": {"title": "Mine"}})))["id"]
    await refused(keeper.post(f"admin/groups/{group}:add-members", {"members": [owned]}))


class TestLimits:
    """Only a principal who holds what a limit excludes can remove the limit."""

    async def test_nobody_ends_a_denial_on_themselves(self, api: Api) -> None:
        one = await tenant(api, "one")
        for holder_id in (one.admin_id, await self._group_of(api, one)):
            denial = await grant(api, holder_id, "ai_catalog.asset.materialize", one.organization, effect="DENY")
            await refused(one.admin("DELETE", f"admin/grants/{denial}"))
            await refused(one.admin.post("admin/grants:apply", {"revoke": [denial]}))
            await refused(one.admin.post("admin/decisions:simulate", {"revoke": [denial]}))
            assert (await api.admin("DELETE", f"admin/grants/{denial}")).status == 204

    async def test_nobody_leaves_a_group_that_denies_them_something(self, api: Api) -> None:
        one = await tenant(api, "one")
        group = await self._group_of(api, one)
        await grant(api, group, "ai_catalog.asset.materialize", one.project, effect="DENY")
        await refused(one.admin.post(f"admin/groups/{group}:remove-members", {"members": [one.admin_id]}))
        await refused(one.admin("DELETE", f"admin/groups/{group}"))

    async def test_nobody_rewrites_a_role_that_denies_them_something(self, api: Api) -> None:
        one = await tenant(api, "one")
        spec = {"title": "Most", "permissions": ["*"], "denied": ["admin.api_key.*"]}
        body = {"name": "most", "organization_id": one.organization, "spec": spec}
        role = (await made(api.admin.post("admin/roles", body)))["id"]
        id = await user(api, "most", one.organization, password=True)
        right = await grant(api, id, role, one.organization)
        most = api.caller("most")
        for change in ({"denied": []}, {"denied": ["admin.api_key.rotate"]}, {"denied": ["admin.user.delete"]}):
            await refused(most("PATCH", f"admin/roles/{role}", json={"spec": change}))
        await made(
            most("PATCH", f"admin/roles/{role}", json={"spec": {"denied": ["admin.api_key.*", "admin.project.*"]}})
        )
        other = await grant(api, id, "rol_admin", one.organization)
        assert (await most("DELETE", f"admin/grants/{right}")).status == 403, "its denials would end with it"
        assert (await api.admin("DELETE", f"admin/grants/{other}")).status == 204

    async def test_a_condition_is_not_taken_off(self, api: Api) -> None:
        one = await tenant(api, "one")
        id = await user(api, "part", one.organization, password=True)
        for right in ("admin.grant.*", "admin.user.*", "admin.organization.get"):
            await grant(api, id, right, one.organization)
        where = 'labels.stage == "test"'
        await grant(api, id, "admin.project.*", one.organization, condition=where)
        part, owned = api.caller("part"), {"principal_id": id, "securable_id": one.organization}
        await refused(part.post("admin/grants", owned | {"permission": "admin.project.delete"}))
        other = {"permission": "admin.project.delete", "condition": 'labels.stage == "live"'}
        await refused(part.post("admin/grants", owned | other))
        await made(part.post("admin/grants", owned | other | {"condition": where}))

    async def test_a_label_is_not_changed_to_meet_a_condition(self, api: Api) -> None:
        """What a condition looks at is as much a limit as the grant that has it, for oneself and for others."""
        one = await tenant(api, "one")
        id, friend = (
            await user(api, "part", one.organization, password=True),
            await user(api, "friend", one.organization),
        )
        for right in ("admin.project.get", "admin.project.update", "admin.project.batch"):
            await grant(api, id, right, one.organization)
        path, part = f"admin/projects/{one.project}", api.caller("part")
        for holder_id in (id, friend):
            right = await grant(api, holder_id, "admin.project.*", one.organization, condition='labels.stage == "test"')
            await refused(part("PATCH", path, json={"labels": {"stage": "test"}}))
            batch = {"items": [{"method": "UPDATE", "id": one.project, "body": {"labels": {"stage": "test"}}}]}
            await refused(part.post("admin/projects:batch", batch))
            assert (await api.admin("DELETE", f"admin/grants/{right}")).status == 204
        stored = {"effect": "DENY", "condition": 'labels.keep == "yes"'}
        await made(api.admin("PATCH", path, json={"labels": {"keep": "yes"}}))
        await grant(api, friend, "admin.project.delete", one.organization, **stored)
        await refused(part("PATCH", path, json={"labels": {"keep": None}}))
        await made(part("PATCH", path, json={"labels": {"color": "red"}}))
        await made(one.admin("PATCH", path, json={"labels": {"keep": None, "stage": "test"}}))

    async def _group_of(self, api: Api, one: Tenant) -> str:
        body = {"name": "held", "organization_id": one.organization, "spec": {"title": "Held"}}
        id = str((await made(api.admin.post("admin/groups", body)))["id"])
        await made(api.admin.post(f"admin/groups/{id}:add-members", {"members": [one.admin_id]}))
        return id


async def test_a_chain_leads_no_further_than_its_first_link(api: Api) -> None:
    """A principal who may act for a second one may act for everyone the second one may act for."""
    one = await tenant(api, "one")
    _, clerk = await holder(api, one.organization, "admin.user.*", "admin.api_key.*")
    middle, boss = await user(api, "middle", one.organization), one.admin_id
    for right in ("admin.user.*", "admin.api_key.*", "ai_catalog.asset.get"):
        await grant(api, middle, right, one.organization)
    await refused(clerk.post("admin/api-keys", {"label": "k", "principal_id": middle}))
    narrow = {"label": "k", "principal_id": middle, "scopes": ["admin.*"]}
    acting = Caller(api.app, (await made(clerk.post("admin/api-keys", narrow)))["secret"])
    await refused(acting.post("admin/api-keys", {"label": "k", "principal_id": boss}))
    await refused(acting.post(f"admin/users/{middle}:set-password", {"password": PASSWORD}))


@pytest.mark.parametrize("verb", ["create", "resend"])
async def test_an_invitation_gives_no_more_than_whoever_invites(api: Api, verb: str) -> None:
    one = await tenant(api, "one")
    _, host = await holder(
        api, one.organization, "admin.invitation.*", "admin.group.*", "admin.user.*", "admin.organization.get"
    )
    body = {"name": "strong", "organization_id": one.organization, "spec": {"title": "Strong"}}
    group = (await made(api.admin.post("admin/groups", body)))["id"]
    await grant(api, group, "rol_editor", one.project)
    asked = {"email": "new@example.org", "organization_id": one.organization, "groups": [group]}
    if verb == "create":
        await refused(host.post("admin/invitations", asked))
    else:
        sent = await made(api.admin.post("admin/invitations", asked))
        await refused(host.post(f"admin/invitations/{sent['id']}:resend", {}))
