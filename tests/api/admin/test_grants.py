"""Grants and roles: inheritance, denial, conditions, expiry, and that no principal grants what they do not hold."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from api.kernel.tables import GRANT
from core import clock
from tests.api.admin.tenants import grant, made, tenant, user
from tests.api.both_databases import on_both
from tests.api_process import Api


async def projects_seen(caller: object) -> list[str]:
    reply = await caller.get("admin/projects", params={"page_size": 1000})  # type: ignore[attr-defined]
    return [item["name"] for item in reply.json["items"]]


async def project(api: Api, name: str, **body: object) -> str:
    return str((await made(api.admin.post("admin/projects", {"name": name, "spec": {"title": name}, **body})))["id"])


@on_both
async def test_a_right_is_inherited_downward_and_ends_with_its_grant(api: Api) -> None:
    id, sales, _ = await user(api, "ada"), await project(api, "sales"), await project(api, "secret")
    ada = api.caller("ada")
    given = await grant(api, id, "rol_viewer", sales)
    assert await projects_seen(ada) == ["sales"]
    assert (await ada.get("admin/projects/secret")).status == 404
    assert (await ada.get("admin/organizations")).json["items"] == []
    on_all = await grant(api, id, "rol_viewer", "org_default")
    assert await projects_seen(ada) == ["sales", "secret"]
    for one in (given, on_all):
        assert (await api.admin("DELETE", f"/api/v1/admin/grants/{one}")).status == 204
    assert (await ada.get("admin/projects/sales")).status == 403


@on_both
async def test_deny_wins_over_whatever_allows(api: Api) -> None:
    id, sales = await user(api, "ada"), await project(api, "sales")
    ada = api.caller("ada")
    await grant(api, id, "rol_admin", "platform")
    await grant(api, id, "admin.project.*", sales, effect="DENY")
    assert await projects_seen(ada) == []
    assert (await ada.get(f"admin/projects/{sales}")).status == 404
    assert "sales" not in (await ada.get("admin/projects:export")).response.text
    assert (await ada.get("admin/projects", params={"total": "true"})).json["total_size"] == 0


@on_both
async def test_a_condition_decides_by_what_the_resource_is(api: Api) -> None:
    id = await user(api, "ada")
    await project(api, "open", labels={"stage": "test"})
    await project(api, "closed", labels={"stage": "live"})
    await grant(api, id, "rol_viewer", "org_default", condition='labels.stage == "test"')
    ada = api.caller("ada")
    assert await projects_seen(ada) == ["open"]
    assert (await ada.get("admin/projects/open")).status == 200
    assert (await ada.get("admin/projects/closed")).status == 404
    bad = {"principal_id": id, "role_id": "rol_viewer", "securable_id": "platform", "condition": "lables == 1"}
    assert (await api.admin.post("admin/grants", bad)).status == 400


@on_both
async def test_it_ends_by_itself(api: Api) -> None:
    id, sales = await user(api, "ada"), await project(api, "sales")
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    given = await grant(api, id, "rol_viewer", sales, expires_at=soon)
    ada = api.caller("ada")
    assert await projects_seen(ada) == ["sales"]
    with api.database.write() as connection:
        past = clock.now() - timedelta(seconds=1)
        connection.execute(GRANT.update().where(GRANT.c.id == given).values(expires_at=past))
    await grant(api, id, "rol_viewer", await project(api, "other"))  # a change of rights: nothing is remembered
    assert await projects_seen(ada) == ["other"]


async def test_nobody_gives_what_he_does_not_hold(api: Api) -> None:
    one, other = await tenant(api, "one"), await tenant(api, "other")
    id = (await made(one.admin.post("admin/users", {"name": "ada", "spec": {}})))["id"]

    async def tries(**body: str) -> int:
        return (await one.admin.post("admin/grants", {"principal_id": id, **body})).status

    assert await tries(role_id="rol_admin", securable_id="platform") == 403
    assert await tries(role_id="rol_viewer", securable_id=other.project) == 404
    assert await tries(role_id="rol_editor", securable_id=one.organization) == 201
    part = {"title": "Granter", "permissions": ["admin.grant.*", "admin.role.*", "admin.user.*", "*.*.get"]}
    role = (await made(one.admin.post("admin/roles", {"name": "granter", "spec": part})))["id"]
    boss = (await made(one.admin.post("admin/users", {"name": "boss", "spec": {}})))["id"]
    await grant(api, boss, role, one.organization)
    caller = api.caller("boss")
    body = {"principal_id": id, "role_id": "rol_admin", "securable_id": one.organization}
    assert (await caller.post("admin/grants", body)).status == 403
    extra = {"spec": {"permissions": ["*"]}}
    assert (await caller("PATCH", f"/api/v1/admin/roles/{role}", json=extra)).status == 403
    assert (await caller.post("admin/grants", {**body, "role_id": role})).status == 201
    foreign = (await made(other.admin.post("admin/roles", {"name": "theirs", "spec": part})))["id"]
    assert await tries(role_id=foreign, securable_id=one.organization) == 422


@pytest.mark.effect("admin_apply_grants")
async def test_many_are_given_together_or_not_at_all(api: Api) -> None:
    id, sales = await user(api, "ada"), await project(api, "sales")
    old = await grant(api, id, "rol_viewer", sales)
    good = {"principal_id": id, "role_id": "rol_editor", "securable_id": sales}
    bad = {"principal_id": "usr_nobody", "role_id": "rol_viewer", "securable_id": sales}
    before = api.events("admin.grant.")
    assert (await api.admin.post("admin/grants:apply", {"grant": [good, bad], "revoke": [old]})).status == 422
    after = [event for event in api.events("admin.grant.") if event not in before]
    assert [event["data"]["outcome"] for event in after if "outcome" in event["data"]] in ([], ["failed"])
    assert (await api.admin.get(f"admin/grants/{old}")).status == 200
    done = await made(api.admin.post("admin/grants:apply", {"grant": [good], "revoke": [old]}))
    assert (await api.admin.get(f"admin/grants/{old}")).status == 404
    assert (await api.admin.get(f"admin/grants/{done['granted'][0]['id']}")).status == 200
    types = [event["type"] for event in api.events("admin.grant.")]
    assert types.count("admin.grant.revoked") == 1


async def test_a_grant_on_one_asset_shows_only_that(api: Api) -> None:
    id = await user(api, "ada")
    assets = [item["id"] for item in (await api.admin.get("ai-catalog/assets")).json["items"]]
    await grant(api, id, "ai_catalog.asset.*", assets[0], securable_kind="ai_catalog.asset")
    ada = api.caller("ada")
    assert [item["id"] for item in (await ada.get("ai-catalog/assets")).json["items"]] == [assets[0]]
    hidden, missing = await ada.get(f"ai-catalog/assets/{assets[1]}"), await ada.get("ai-catalog/assets/no.such.thing")
    assert hidden.status == missing.status == 404
    assert assets[1] not in hidden.response.text.replace(f"'{assets[1]}'", "").replace(f"/{assets[1]}", "")
    assert hidden.json["reason"] == missing.json["reason"]


class TestRoles:
    @on_both
    async def test_a_change_of_a_role_works_at_once(self, api: Api) -> None:
        id, sales = await user(api, "ada"), await project(api, "sales")
        spec = {"title": "Reader", "permissions": ["admin.project.*"], "denied": ["admin.project.delete"]}
        role = (await made(api.admin.post("admin/roles", {"name": "reader", "spec": spec})))["id"]
        await grant(api, id, role, "org_default")
        ada = api.caller("ada")
        assert (await ada.get(f"admin/projects/{sales}")).status == 200
        assert (await ada("DELETE", f"/api/v1/admin/projects/{sales}")).status == 403
        await made(
            api.admin("PATCH", f"/api/v1/admin/roles/{role}", json={"spec": {"permissions": ["admin.user.get"]}})
        )
        assert (await ada.get(f"admin/projects/{sales}")).status == 403
        assert (await api.admin("DELETE", f"/api/v1/admin/roles/{role}")).status == 409

    @pytest.mark.effect("admin_clone_role", "admin_get_role_assignees")
    async def test_a_clone_of_a_built_in_role_gives_the_same(self, api: Api) -> None:
        id = await user(api, "ada")
        clone = await made(api.admin.post("admin/roles/rol_viewer:clone", {"name": "my-viewer"}))
        given = await grant(api, id, clone["id"], "org_default")
        assert (await api.caller("ada").get("ai-catalog/assets")).status == 200
        assert (await api.caller("ada").get("admin/users")).status == 403
        found = (await api.admin.get(f"admin/roles/{clone['id']}/assignees")).json["items"]
        assert found == [{"grant_id": given, "principal_id": id, "securable_id": "org_default"}]
        assert (await api.admin("PATCH", "/api/v1/admin/roles/rol_viewer", json={"spec": {"title": "x"}})).status == 409
        assert (await api.admin("DELETE", "/api/v1/admin/roles/rol_viewer")).status == 409

    async def test_a_pattern_that_matches_nothing_is_a_typing_error(self, api: Api) -> None:
        spec = {"title": "Typo", "permissions": ["ai_catalog.asset.get", "ai_catalgo.*"]}
        reply = await api.admin.post("admin/roles", {"name": "typo", "spec": spec})
        assert (reply.status, reply.json["errors"][0]["pointer"]) == (422, "/spec/permissions/1")


@on_both
async def test_who_has_a_role_is_told_as_far_as_the_caller_may_read_grants(api: Api) -> None:
    one, other = await tenant(api, "one"), await tenant(api, "other")
    owned, theirs = [await user(api, f"ada-{place.organization[-6:]}", place.organization) for place in (one, other)]
    await grant(api, owned, "rol_viewer", one.project)
    await grant(api, theirs, "rol_viewer", other.project)

    async def assignees(caller: object) -> set[str]:
        reply = await caller.get("admin/roles/rol_viewer/assignees")  # type: ignore[attr-defined]
        assert reply.status == 200, reply.response.text
        return {item["principal_id"] for item in reply.json["items"]}

    reader = await user(api, "reader", one.organization)
    for right in ("admin.role.get", "admin.role.assignees"):
        await grant(api, reader, right, "platform")
    assert await assignees(api.caller("reader")) == set()
    await grant(api, reader, "admin.grant.get", one.organization)
    assert await assignees(api.caller("reader")) == {owned}
    assert {owned, theirs} <= await assignees(api.admin)


@on_both
async def test_a_role_of_one_organization_is_granted_in_no_other(api: Api) -> None:
    """Also not by who sees both: the role would change in one and give rights in the other."""
    one, other = await tenant(api, "one"), await tenant(api, "other")
    spec = {"title": "Reader", "permissions": ["admin.project.get"]}
    role = await made(one.admin.post("admin/roles", {"name": "reader", "spec": spec}))
    for place in (other.project, other.organization):
        body = {"principal_id": other.admin_id, "role_id": role["id"], "securable_id": place}
        refused = await api.admin.post("admin/grants", body)
        assert (refused.status, refused.json["errors"][0]["pointer"]) == (422, "/role_id")
    assert role["id"] not in (await api.admin.get("admin/grants", params={"page_size": 1000})).response.text
    within = {"principal_id": one.admin_id, "role_id": role["id"], "securable_id": one.project}
    assert (await api.admin.post("admin/grants", within)).status == 201
