"""Organizations: closed to one another, and closed altogether while suspended."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
import sqlalchemy as sa

from api.kernel.outbox.tables import WEBHOOK_ENDPOINT
from api.kernel.tables import GRANT, MEMBER, RESOURCE, TOKEN
from api.services.admin.logic import erasing, exporting
from core import clock
from core.definitions import ASSET_CLAIM
from migrations.tables import METADATA
from tests.api.admin.tenants import grant, made, tenant, user
from tests.api.both_databases import on_both
from tests.api_process import Api
from tests.orchestration import FakeOrchestrator, node

TRAIL = ("event",)
"""Tables that may name what was purged."""


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


@on_both
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
    @on_both
    @pytest.mark.effect("admin_purge_organization")
    async def test_a_purge_leaves_nothing_but_the_trail(self, api: Api) -> None:
        one, other = await tenant(api, "one"), await tenant(api, "other")
        users, projects = f"admin/users/{one.admin_id}", f"admin/projects/{one.project}"
        path = f"admin/organizations/{one.organization}"
        spec = {"title": "Login", "issuer": "https://login.example.org", "client_id": "headwater"}
        provider = await made(one.admin.post("admin/identity-providers", {"name": "login", "spec": spec}))
        await made(one.admin("PATCH", "/api/v1/admin/preferences/current", json={"theme": "DARK"}))
        linked = {"name": "linked", "spec": {"identity_provider_id": provider["id"]}}
        ada = await made(one.admin.post("admin/users", linked))
        for item in (f"admin/users/{ada['id']}", f"admin/identity-providers/{provider['id']}", projects, users, path):
            assert (await api.admin("DELETE", f"/api/v1/{item}")).status == 204
        early = await api.admin.post(f"{path}:purge", {"name": "one"})
        assert (early.status, "30 days" in early.json["detail"]) == (409, True)
        with api.database.write() as connection:
            long_ago = clock.now() - timedelta(days=31)
            query = RESOURCE.update().where(RESOURCE.c.id == one.organization)
            connection.execute(query.values(deleted_at=long_ago))
        assert (await api.admin.post(f"{path}:purge", {"name": "other"})).status == 422
        gone = await made(api.admin.post(f"{path}:purge", {"name": "one"}))
        assert (gone["erased"]["admin.project"], gone["erased"]["admin.user"]) == (1, 2)
        assert (await api.admin.post(f"{path}:restore")).status == 404
        with api.database.read() as connection:
            for table in METADATA.sorted_tables:
                rows = str([tuple(row) for row in connection.execute(sa.select(table))])
                left = [id for id in (one.organization, one.admin_id, ada["id"], provider["id"]) if id in rows]
                assert not left or table.name in TRAIL, table.name
        assert [event["type"] for event in api.events("admin.organization")][-1] == "admin.organization.purged"
        assert (await other.admin.get("admin/projects")).json["items"][0]["id"] == other.project

    @on_both
    async def test_a_purge_takes_the_definitions_along_and_a_project_that_still_makes_something_stays(
        self, api: Api
    ) -> None:
        """The kind: the end of what holds things passes by what is kept outside the table of resources."""
        one, other = await tenant(api, "one"), await tenant(api, "other")
        theirs = {owner: f"{owner.removesuffix('-admin')}_data.gold.sums" for owner in ("one-admin", "other-admin")}
        for admin, asset in zip((one.admin, other.admin), theirs.values(), strict=True):
            attributes = {"asset": asset, "sql": "SELECT 1"}
            body = {"component": "SqlTransformComponent", "attributes": attributes}
            await made(admin.post("ai-catalog/definitions", body))
            await made(admin.post(f"ai-catalog/definitions/{asset}:publish"))
        asset = theirs["one-admin"]
        project = f"/api/v1/admin/projects/{one.project}"
        refused = await api.admin("DELETE", project)
        assert (refused.status, "live definitions" in refused.json["detail"]) == (409, True)
        await made(one.admin.post(f"ai-catalog/definitions/{asset}:retire"))
        for path in (project, f"/api/v1/admin/users/{one.admin_id}", f"/api/v1/admin/organizations/{one.organization}"):
            assert (await api.admin("DELETE", path)).status == 204
        with api.database.write() as connection:
            query = RESOURCE.update().where(RESOURCE.c.id == one.organization)
            connection.execute(query.values(deleted_at=clock.now() - timedelta(days=31)))
        gone = await made(api.admin.post(f"admin/organizations/{one.organization}:purge", {"name": "one"}))
        assert gone["erased"]["definitions"] == 1
        assert (await api.admin.get(f"ai-catalog/definitions/{asset}")).status == 404
        with api.database.read() as connection:
            assert list(connection.execute(sa.select(ASSET_CLAIM.c.definition)).scalars()) == [theirs["other-admin"]]
        assert (await other.admin.get(f"ai-catalog/definitions/{theirs['other-admin']}")).status == 200

    async def test_what_a_purge_leaves_in_the_lakehouse_becomes_visible_to_no_other_tenant(
        self, api: Api, orchestrator: FakeOrchestrator
    ) -> None:
        """The kind: a table without an owner falls to the owner of tables that never had one."""
        one, asset = await tenant(api, "one"), "one_data.gold.left"
        orchestrator.nodes[asset] = node(asset)
        heir = await user(api, "heir")
        await grant(api, heir, "rol_admin", "org_default")
        path = f"ai-catalog/assets/{asset}"
        assert (await one.admin.get(path)).status == 200
        assert (await api.caller("heir").get(path)).status == 404
        for gone in (f"projects/{one.project}", f"users/{one.admin_id}", f"organizations/{one.organization}"):
            assert (await api.admin("DELETE", f"/api/v1/admin/{gone}")).status == 204
        with api.database.write() as connection:
            expiry = RESOURCE.update().where(RESOURCE.c.id == one.organization)
            connection.execute(expiry.values(deleted_at=clock.now() - timedelta(days=31)))
        await made(api.admin.post(f"admin/organizations/{one.organization}:purge", {"name": "one"}))
        assert (await api.caller("heir").get(path)).status == 404
        assert (await api.admin.get(path)).status == 200

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


class TestContents:
    @pytest.mark.parametrize("page", [1, 2, 3, 500])
    async def test_pages_neither_repeat_nor_lose_a_line(
        self, api: Api, monkeypatch: pytest.MonkeyPatch, page: int
    ) -> None:
        monkeypatch.setattr(exporting, "_PAGE", page)
        one = await tenant(api, "one")
        people = [await user(api, f"one-{n}", one.organization) for n in range(2)]
        group = (await made(one.admin.post("admin/groups", {"name": "readers", "spec": {"title": "Readers"}})))["id"]
        await made(one.admin.post(f"admin/groups/{group}:add-members", {"members": [one.admin_id, *people]}))
        for person in people:
            await grant(api, person, "rol_viewer", one.project)
        text = (await one.admin.get(f"admin/organizations/{one.organization}/contents")).response.text
        lines = [json.loads(line) for line in text.splitlines()]
        elements = sorted(line["resource"]["id"] for line in lines if "resource" in line)
        assert elements == sorted([one.organization, one.project, one.admin_id, group, *people])
        assert sorted(line["grant"]["principal_id"] for line in lines if "grant" in line) == sorted(
            [one.admin_id, *people]
        )
        members = sorted(line["member"]["member_id"] for line in lines if "member" in line)
        assert members == sorted([one.admin_id, *people])

    @on_both
    async def test_each_line_is_one_that_the_caller_may_see(self, api: Api) -> None:
        one = await tenant(api, "one")
        group = (await made(one.admin.post("admin/groups", {"name": "readers", "spec": {"title": "Readers"}})))["id"]
        await made(one.admin.post(f"admin/groups/{group}:add-members", {"members": [one.admin_id]}))
        reader = await user(api, "reader", one.organization)
        gone = (await made(one.admin.post("admin/groups", {"name": "gone", "spec": {"title": "Gone"}})))["id"]
        await made(one.admin.post(f"admin/groups/{gone}:add-members", {"members": [one.admin_id]}))
        assert (await one.admin("DELETE", f"admin/groups/{gone}")).status == 204
        for right in ("admin.organization.get", "admin.organization.contents"):
            await grant(api, reader, right, one.organization)
        await grant(api, reader, "admin.grant.get", one.project)
        await grant(api, reader, "admin.project.get", one.project)
        hidden = {"name": "hidden", "organization_id": one.organization, "spec": {"title": "Hidden"}}
        await made(one.admin.post("admin/projects", hidden))
        on_project = await grant(api, one.admin_id, "rol_viewer", one.project)
        path = f"admin/organizations/{one.organization}/contents"
        lines = [json.loads(line) for line in (await api.caller("reader").get(path)).response.text.splitlines()]
        elements = {line["resource"]["id"] for line in lines if "resource" in line}
        assert elements == {one.organization, one.project}
        seen = {line["grant"]["id"] for line in lines if "grant" in line}
        assert on_project in seen
        assert {line["grant"]["securable_id"] for line in lines if "grant" in line} == {one.project}
        assert [line for line in lines if "member" in line] == []
        everything = (await one.admin.get(path)).response.text
        assert gone not in everything


@on_both
async def test_a_purge_takes_the_webhooks_and_memberships_and_leaves_those_of_others(api: Api) -> None:
    one, other = await tenant(api, "one"), await tenant(api, "other")
    with api.database.write() as connection:
        for place in (one, other):
            hook = {"id": f"whk_{place.organization}", "organization_id": place.organization, "types": []}
            texts = {"url": "x", "secret": "x", "state": "ACTIVE", "created_at": clock.now()}
            connection.execute(WEBHOOK_ENDPOINT.insert().values(**hook, **texts))
            values = {"member_id": place.admin_id, "added_at": clock.now(), "added_by": "x"}
            connection.execute(MEMBER.insert().values(group_id=f"grp_{place.organization}", **values))
        erased = erasing.erase_organization(connection, one.organization)
        left = [row.organization_id for row in connection.execute(sa.select(WEBHOOK_ENDPOINT))]
        assert left == [other.organization]
        assert [row.member_id for row in connection.execute(sa.select(MEMBER))] == [other.admin_id]
        for table in (TOKEN, GRANT):
            holders = set(connection.execute(sa.select(table.c.principal_id)).scalars())
            assert one.admin_id not in holders
            assert other.admin_id in holders
        assert (erased["keys"], erased["grants"], erased["admin.user"]) == (1, 1, 1)
