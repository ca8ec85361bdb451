"""Organizations: closed to one another, and closed altogether while suspended."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
import sqlalchemy as sa

from api.kernel.tables import GRANT, PRINCIPAL, RESOURCE
from core import clock
from tests.api.admin.tenants import made, tenant
from tests.api_process import Api


class TestTenancy:
    async def test_an_admin_of_one_sees_nothing_of_another(self, api: Api) -> None:
        one, other = await tenant(api, "one"), await tenant(api, "other")
        for path in ("organizations", "projects", "users", "groups", "roles", "service-accounts", "grants"):
            listed = (await one.admin.get(f"admin/{path}", params={"page_size": 1000})).response.text
            for id in (other.organization, other.project, other.admin_id):
                assert id not in listed, path
        assert one.project in (await one.admin.get("admin/projects")).response.text
        for path in (f"organizations/{other.organization}", f"projects/{other.project}", f"users/{other.admin_id}"):
            hidden = await one.admin.get(f"admin/{path}")
            missing = await one.admin.get(f"admin/{path[:-4]}zzzz")
            assert hidden.status == missing.status == 404
            assert hidden.json["detail"].replace(path[-4:], "zzzz") == missing.json["detail"]

    async def test_nothing_can_be_put_into_another(self, api: Api) -> None:
        one, other = await tenant(api, "one"), await tenant(api, "other")
        for kind, body in (
            ("projects", {"name": "mine", "spec": {"title": "Mine"}}),
            ("users", {"name": "spy", "spec": {}}),
            ("groups", {"name": "spies", "spec": {"title": "Spies"}}),
            ("roles", {"name": "spy", "spec": {"title": "Spy", "permissions": ["admin.user.get"]}}),
        ):
            reply = await one.admin.post(f"admin/{kind}", {**body, "organization_id": other.organization})
            assert reply.status == 404, kind
            assert (await one.admin.post(f"admin/{kind}", body)).status == 201, kind
        bot = {"name": "bot", "project_id": other.project, "spec": {}}
        assert (await one.admin.post("admin/service-accounts", bot)).status == 404

    async def test_only_the_platform_makes_them(self, api: Api) -> None:
        one = await tenant(api, "one")
        assert (await one.admin.post("admin/organizations", {"name": "two", "spec": {"title": "Two"}})).status == 403


class TestSuspension:
    @pytest.mark.effect("admin_suspend_organization", "admin_resume_organization")
    async def test_shuts_everybody_out_at_once_and_lets_them_in_again(self, api: Api) -> None:
        one = await tenant(api, "one")
        assert (await one.admin.get("admin/projects")).status == 200
        await made(api.admin.post(f"admin/organizations/{one.organization}:suspend"))
        assert (await one.admin.get("admin/projects")).status == 401
        body = {"name": "late", "organization_id": one.organization, "spec": {"title": "Late"}}
        assert (await api.admin.post("admin/projects", body)).status == 409
        await made(api.admin.post(f"admin/organizations/{one.organization}:resume"))
        assert (await one.admin.get("admin/projects")).status == 200
        assert (await api.admin.post("admin/projects", body)).status == 201

    async def test_the_platforms_own_admins_cannot_be_shut_out(self, api: Api) -> None:
        reply = await api.admin.post("admin/organizations/default:suspend")
        assert (reply.status, reply.reason) == (409, "CONFLICT")
        assert (await api.admin.get("admin/organizations/default")).json["status"]["state"] == "ACTIVE"


async def test_one_that_holds_anything_is_not_deleted(api: Api) -> None:
    one = await tenant(api, "one")
    reply = await api.admin("DELETE", f"/api/v1/admin/organizations/{one.organization}")
    assert reply.status == 409
    assert reply.json["metadata"] == {"admin.project": 1, "admin.user": 1}
    empty = await made(api.admin.post("admin/organizations", {"name": "empty", "spec": {"title": "Empty"}}))
    assert (await api.admin("DELETE", f"/api/v1/admin/organizations/{empty['id']}")).status == 204
    assert (await api.admin.get(f"admin/organizations/{empty['id']}")).status == 404
    await made(api.admin.post(f"admin/organizations/{empty['id']}:restore"))
    assert (await api.admin.get("admin/organizations/empty")).status == 200


class TestEnd:
    @pytest.mark.effect("admin_purge_organization")
    async def test_a_purge_leaves_nothing_but_the_trail(self, api: Api) -> None:
        one, other = await tenant(api, "one"), await tenant(api, "other")
        users, projects = f"admin/users/{one.admin_id}", f"admin/projects/{one.project}"
        path = f"admin/organizations/{one.organization}"
        for thing in (projects, users, path):
            assert (await api.admin("DELETE", f"/api/v1/{thing}")).status == 204
        early = await api.admin.post(f"{path}:purge", {"name": "one"})
        assert (early.status, "30 days" in early.json["detail"]) == (409, True)
        with api.database.write() as connection:
            long_ago = clock.now() - timedelta(days=31)
            ours = RESOURCE.update().where(RESOURCE.c.id == one.organization)
            connection.execute(ours.values(deleted_at=long_ago))
        assert (await api.admin.post(f"{path}:purge", {"name": "other"})).status == 422
        gone = await made(api.admin.post(f"{path}:purge", {"name": "one"}))
        assert gone["erased"]["admin.project"] == gone["erased"]["admin.user"] == 1
        assert (await api.admin.post(f"{path}:restore")).status == 404
        with api.database.read() as connection:
            for table in (RESOURCE, GRANT, PRINCIPAL):
                rows = str([tuple(row) for row in connection.execute(sa.select(table))])
                assert one.organization not in rows
                assert one.admin_id not in rows
        assert [event["type"] for event in api.events("admin.organization")][-1] == "admin.organization.purged"
        assert (await other.admin.get("admin/projects")).json["items"][0]["id"] == other.project

    @pytest.mark.effect("admin_get_organization_contents")
    async def test_all_of_it_comes_out_and_nothing_of_another(self, api: Api) -> None:
        one, other = await tenant(api, "one"), await tenant(api, "other")
        readers = await made(one.admin.post("admin/groups", {"name": "readers", "spec": {"title": "Readers"}}))
        await made(one.admin.post(f"admin/groups/{readers['id']}:add-members", {"members": [one.admin_id]}))
        text = (await one.admin.get(f"admin/organizations/{one.organization}/contents")).response.text
        lines = [json.loads(line) for line in text.splitlines()]
        names = {line["resource"]["name"] for line in lines if "resource" in line}
        assert names == {"one", "one_data", "one-admin", "readers"}
        assert [line["grant"]["principal_id"] for line in lines if "grant" in line] == [one.admin_id]
        assert [line["member"]["member_id"] for line in lines if "member" in line] == [one.admin_id]
        assert other.organization not in text
        assert (await one.admin.get(f"admin/organizations/{other.organization}/contents")).status == 404
