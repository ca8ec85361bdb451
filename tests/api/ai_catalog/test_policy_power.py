"""Who can lift, evade, or end a policy: no user whom it restricts, and always a user."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from api.kernel.tables import GRANT, RESOURCE
from core import clock
from tests.api.admin.tenants import grant, made, user
from tests.api.ai_catalog.policies import PEOPLE, POLICIES, Office, opened
from tests.api.both_databases import on_both
from tests.api_process import Api

ASSET = f"ai-catalog/assets/{PEOPLE}"


@pytest.fixture
async def office(api: Api) -> Office:
    return await opened(api)


@pytest.mark.parametrize("way", ["update", "disable", "delete", "batch", "validate_only"])
async def test_nobody_lifts_what_restricts_them(office: Office, way: str) -> None:
    id = await office.policy()
    change = {"spec": {"exempt": [office.admin_id, office.ada_id]}}
    calls: dict[str, tuple[str, str, Any]] = {
        "update": ("PATCH", f"{POLICIES}/{id}", change),
        "disable": ("POST", f"{POLICIES}/{id}:disable", {}),
        "delete": ("DELETE", f"{POLICIES}/{id}", None),
        "batch": ("POST", f"{POLICIES}:batch", {"items": [{"method": "UPDATE", "id": id, "body": change}]}),
        "validate_only": ("PATCH", f"{POLICIES}/{id}?validate_only=true", change),
    }
    method, path, body = calls[way]
    reply = await office.ada(method, path, json=body)
    refused = {reply.status, *(item.get("status") for item in (reply.json or {}).get("items", []))}
    assert refused & {403, 409}, reply.response.text
    assert {row["mail"] for row in await office.preview()} == {None}


async def test_a_policy_never_restricts_who_activates_it(office: Office) -> None:
    id = await office.policy(active=False)
    reply = await office.ada.post(f"{POLICIES}/{id}:activate", {})
    assert (reply.status, "would restrict you" in reply.json["detail"]) == (409, True)


async def test_whom_a_policy_restricts_writes_no_other_on_its_tables(office: Office) -> None:
    await office.policy()
    spec = {"title": "Probe", "assets": ["flights.silver.*"], "row_filter": "mail = 'secret-mail-ada'"}
    body = {"name": "probe", "spec": spec | {"exempt": [office.ada_id, office.admin_id]}}
    id = (await made(office.ada.post(POLICIES, body)))["id"]
    assert (await office.ada.post(f"{POLICIES}/{id}:activate", {})).status == 403
    assert (await office.ada.post(f"{POLICIES}/{id}:test", {"asset": PEOPLE})).status == 403
    elsewhere = {"spec": {"assets": ["other.*.*"]}}
    await made(office.ada("PATCH", f"{POLICIES}/{id}", json=elsewhere))
    await made(office.ada.post(f"{POLICIES}/{id}:activate", {}))


async def test_nobody_reads_through_somebody(office: Office) -> None:
    readers = (await made(office.api.admin.post("admin/groups", {"name": "dpo", "spec": {"title": "DPO"}})))["id"]
    eve = await user(office.api, "eve")
    await grant(office.api, eve, "rol_viewer", "default")
    await made(office.api.admin.post(f"admin/groups/{readers}:add-members", {"members": [eve]}))
    await office.policy(exempt=[office.admin_id, readers])
    assert len(await office.preview(office.api.caller("eve"))) == 4
    allowed = {"principal_id": eve, "role_id": "rol_viewer", "securable_id": "default"}
    attempts = [
        ("POST", f"admin/groups/{readers}:add-members", {"members": [office.ada_id]}),
        ("POST", f"admin/groups/{readers}:remove-members", {"members": [eve]}),
        ("DELETE", f"admin/groups/{readers}", None),
        ("POST", "admin/api-keys", {"label": "theirs", "principal_id": eve}),
        ("POST", f"admin/users/{eve}:set-password", {"password": "a long enough password"}),
        ("POST", "admin/grants", allowed),
    ]
    for method, path, body in attempts:
        assert (await office.ada(method, path, json=body)).status == 403, path
    assert {row["mail"] for row in await office.preview()} == {None}


async def test_a_group_that_a_policy_restricts_keeps_its_members(office: Office) -> None:
    body = {"name": "analysts", "spec": {"title": "Analysts"}}
    analysts = (await made(office.api.admin.post("admin/groups", body)))["id"]
    await made(office.api.admin.post(f"admin/groups/{analysts}:add-members", {"members": [office.ada_id]}))
    await office.policy(to=[analysts], exempt=[])
    assert (
        await office.ada.post(f"admin/groups/{analysts}:remove-members", {"members": [office.ada_id]})
    ).status == 403
    assert (await office.ada("DELETE", f"admin/groups/{analysts}")).status == 403
    assert {row["mail"] for row in await office.preview()} == {None}


async def test_a_role_gives_nobody_more_than_its_author_reads(office: Office) -> None:
    """The keys of a principal that reads nothing yet are for every user who holds its rights."""
    body = {"name": "office", "spec": {"title": "Office", "permissions": ["ai_catalog.dataset.get"]}}
    role = (await made(office.ada.post("admin/roles", body)))["id"]
    eve = await user(office.api, "eve")
    crew = (await made(office.api.admin.post("admin/groups", {"name": "crew", "spec": {"title": "Crew"}})))["id"]
    await made(office.api.admin.post(f"admin/groups/{crew}:add-members", {"members": [eve]}))
    await office.policy(exempt=[office.admin_id, eve])
    await made(office.ada.post("admin/grants", {"principal_id": crew, "role_id": role, "securable_id": "default"}))
    await made(office.ada.post("admin/api-keys", {"label": "theirs", "principal_id": eve}))
    wider = {"spec": {"permissions": ["ai_catalog.asset.*"]}}
    attempts = [
        ("PATCH", f"admin/roles/{role}", wider),
        ("PATCH", f"admin/roles/{role}?validate_only=true", wider),
        ("POST", "admin/grants", {"principal_id": crew, "role_id": "rol_viewer", "securable_id": "default"}),
    ]
    for method, path, change in attempts:
        refused = await office.ada(method, path, json=change)
        assert (refused.status, refused.reason) == (403, "EXCEEDS_RIGHTS"), refused.response.text
    assert (await office.api.caller("eve").get(f"{ASSET}/preview")).status == 403
    await made(office.api.admin("PATCH", f"admin/roles/{role}", json=wider))
    assert len(await office.preview(office.api.caller("eve"))) == 4


async def test_a_new_member_reads_no_more_than_who_adds_it(office: Office) -> None:
    crew = (await made(office.api.admin.post("admin/groups", {"name": "crew", "spec": {"title": "Crew"}})))["id"]
    await grant(office.api, crew, "rol_viewer", "default")
    eve, bob = await user(office.api, "eve"), await user(office.api, "bob")
    await office.policy(exempt=[office.admin_id, eve])
    refused = await office.ada.post(f"admin/groups/{crew}:add-members", {"members": [bob, eve]})
    assert (refused.status, refused.reason) == (403, "EXCEEDS_RIGHTS")
    await made(office.ada.post(f"admin/groups/{crew}:add-members", {"members": [bob]}))
    assert {row["mail"] for row in await office.preview(office.api.caller("bob"))} == {None}


@on_both
async def test_there_is_always_a_user_who_can_end_it(office: Office) -> None:
    """The other admin is restricted."""
    boss = await user(office.api, "boss", password=True)
    held = await grant(office.api, boss, "rol_admin", "default")
    id = await office.policy(active=False, exempt=[boss])
    await made(office.api.caller("boss").post(f"{POLICIES}/{id}:activate", {}))
    ways = [
        ("POST", f"admin/users/{boss}:suspend", {}),
        ("DELETE", f"admin/users/{boss}", None),
        ("DELETE", f"admin/users/{boss}?validate_only=true", None),
        ("DELETE", f"admin/grants/{held}", None),
    ]
    for method, path, body in ways:
        refused = await office.api.admin(method, path, json=body)
        assert (refused.status, "No user could end" in refused.json["detail"]) == (409, True), path
    narrowed = {"spec": {"exempt": [office.ada_id]}}
    reply = await office.api.caller("boss")("PATCH", f"{POLICIES}/{id}", json=narrowed)
    assert reply.status == 409
    await made(
        office.api.caller("boss")("PATCH", f"{POLICIES}/{id}", json={"spec": {"exempt": [boss, office.admin_id]}})
    )
    assert (await office.api.admin("DELETE", f"admin/users/{boss}")).status == 204
    await made(office.api.admin.post(f"{POLICIES}/{id}:disable", {}))


async def test_a_policy_without_an_exempt_user_is_ended_by_the_platform_and_the_owner_only(office: Office) -> None:
    boss = await user(office.api, "boss", password=True)
    held = await grant(office.api, boss, "rol_admin", "default")
    id = await office.policy(active=False, exempt=[boss])
    await made(office.api.caller("boss").post(f"{POLICIES}/{id}:activate", {}))
    path = f"{POLICIES}/{id}:disable"
    assert (await office.api.admin.post(path, {})).status == 403, "boss can still end it"
    with office.api.database.write() as connection:
        past = clock.now() - timedelta(hours=1)
        connection.execute(GRANT.update().where(GRANT.c.id == held).values(expires_at=past))
    assert (await office.api.caller("boss").post(path, {})).status == 404
    assert (await office.ada.post(path, {})).status == 403, "ada administers the organization only"
    narrowed = {"spec": {"exempt": [office.ada_id]}}
    assert (await office.api.admin("PATCH", f"{POLICIES}/{id}", json=narrowed)).status == 409, "it restricts admin"
    await made(office.api.admin.post(path, {}))
    (event,) = office.api.events("ai_catalog.policy.disabled")
    assert event["data"]["without_end"] == id


async def test_the_owner_of_an_organization_ends_what_nobody_else_can(office: Office) -> None:
    boss = await user(office.api, "boss", password=True)
    held = await grant(office.api, boss, "rol_admin", "default")
    id = await office.policy(active=False, exempt=[boss])
    await made(office.api.caller("boss").post(f"{POLICIES}/{id}:activate", {}))
    with office.api.database.write() as connection:
        past = clock.now() - timedelta(hours=1)
        connection.execute(GRANT.update().where(GRANT.c.id == held).values(expires_at=past))
        owned = RESOURCE.c.kind == "admin.organization", RESOURCE.c.name == "default"
        connection.execute(RESOURCE.update().where(*owned).values(owner=office.ada_id))
    await made(office.ada.post(f"{POLICIES}/{id}:disable", {}))
    assert {row["mail"] for row in await office.preview()} != {None}


async def test_who_can_lift_it_can_read_the_rows(office: Office) -> None:
    id = await office.policy(to=[office.ada_id])
    guard = await user(office.api, "guard")
    await grant(office.api, guard, "ai_catalog.policy.*", "default")
    refused = await office.api.caller("guard").post(f"{POLICIES}/{id}:disable", {})
    assert (refused.status, refused.reason) == (403, "EXCEEDS_RIGHTS")
    await made(office.api.admin("PATCH", f"{POLICIES}/{id}", json={"spec": {"title": "Renamed"}}))
    assert {row["mail"] for row in await office.preview()} == {None}
