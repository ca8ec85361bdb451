"""Projects: archived they are read only, and they move with everything in them, or not at all."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from api.kernel.tables import REFERENCE
from tests.api.admin.tenants import Tenant, grant, made, tenant, user
from tests.api.both_databases import on_both
from tests.api_process import Api, Caller


async def ended(api: Api, operation: str) -> dict[str, Any]:
    for _ in range(600):
        found = (await api.admin.get(f"operations/{operation}")).json
        if found["state"] in ("SUCCEEDED", "FAILED", "CANCELED"):
            return dict(found)
        await asyncio.sleep(0.05)
    raise AssertionError(found)


async def move(api: Api, project: str, organization: str) -> dict[str, Any]:
    reply = await api.admin.post(f"admin/projects/{project}:move", {"organization_id": organization})
    assert reply.status == 202, reply.response.text
    return await ended(api, reply.json["id"])


@pytest.mark.effect("admin_archive_project", "admin_unarchive_project")
async def test_nothing_is_created_in_an_archived_one(api: Api) -> None:
    one = await tenant(api, "one")
    bot = {"name": "bot", "project_id": one.project, "spec": {}}
    await made(one.admin.post(f"admin/projects/{one.project}:archive"))
    assert (await one.admin.post("admin/service-accounts", bot)).status == 409
    assert (await one.admin.get(f"admin/projects/{one.project}")).status == 200
    await made(one.admin.post(f"admin/projects/{one.project}:unarchive"))
    assert (await one.admin.post("admin/service-accounts", bot)).status == 201


async def test_one_that_holds_anything_is_not_deleted_and_its_name_stays(api: Api) -> None:
    one = await tenant(api, "one")
    bot = {"name": "bot", "project_id": one.project, "spec": {}}
    id = (await made(one.admin.post("admin/service-accounts", bot)))["id"]
    assert (await one.admin("DELETE", f"/api/v1/admin/projects/{one.project}")).status == 409
    assert (await one.admin("PATCH", f"/api/v1/admin/projects/{one.project}", json={"name": "other"})).status == 409
    assert (await one.admin("DELETE", f"/api/v1/admin/service-accounts/{id}")).status == 204
    assert (await one.admin("DELETE", f"/api/v1/admin/projects/{one.project}")).status == 204


class TestMove:
    async def furnished(self, api: Api, one: Tenant) -> tuple[str, Caller, str]:
        """A service account with a key and a grant, and a reader from the old organization."""
        body = {"name": "bot", "project_id": one.project, "spec": {}}
        bot = (await made(one.admin.post("admin/service-accounts", body)))["id"]
        await grant(api, bot, "rol_viewer", one.project)
        key = await made(one.admin.post("admin/api-keys", {"label": "nightly", "principal_id": bot}))
        reader = await user(api, "reader", one.organization)
        lost = await grant(api, reader, "rol_viewer", one.project)
        return bot, Caller(api.app, key["secret"]), lost

    @on_both
    @pytest.mark.effect("admin_move_project", "admin_preview_move_project")
    async def test_everything_changes_hands_at_once(self, api: Api) -> None:
        one, other = await tenant(api, "one"), await tenant(api, "other")
        bot, program, lost = await self.furnished(api, one)
        preview = await made(
            api.admin.post(f"admin/projects/{one.project}:preview-move", {"organization_id": other.organization})
        )
        assert (preview["movable"], preview["blockers"]) == (True, [])
        assert preview["resources"] == {"admin.project": 1, "admin.service_account": 1}
        assert [grant["grant_id"] for grant in preview["lost_grants"]] == [lost]
        (ending,), (beginning,) = preview["ending_grants"], preview["beginning_grants"]
        assert (ending["principal_id"], ending["role"]) == (one.admin_id, "admin")
        assert (beginning["principal_id"], beginning["effect"]) == (other.admin_id, "ALLOW")
        assert preview["names"][other.admin_id] == "other-admin"
        operation = await move(api, one.project, other.organization)
        assert operation["state"] == "SUCCEEDED", operation
        (key,) = preview["revoked_keys"]
        assert (key["principal_id"], key["label"], key["name"]) == (bot, "nightly", "bot")
        revoked = {"revoked_grants": [lost], "revoked_keys": [key["key_id"]]}
        assert operation["result"] == {"resources": 2, **revoked}
        assert lost in [event["subject"] for event in api.events("admin.grant.revoked")]
        assert (await one.admin.get(f"admin/projects/{one.project}")).status == 404
        assert (await one.admin.get(f"admin/service-accounts/{bot}")).status == 404
        seen = (await other.admin.get(f"admin/projects/{one.project}")).json
        assert (seen["organization_id"], seen["status"]["state"]) == (other.organization, "ACTIVE")
        assert (await other.admin.get(f"admin/service-accounts/{bot}")).status == 200
        while (reply := await program.get("admin/projects")).status == 200:
            await asyncio.sleep(0.05)  # what a saga changes works within a second, as in any other process
        assert reply.status == 401, "the former organization knows its key"
        (reported,) = api.events("admin.api_key.revoked")
        assert (reported["subject"], reported["organization_id"]) == (key["key_id"], one.organization)
        (stored,) = (await made(other.admin.get("admin/api-keys", params={"filter": f'principal_id == "{bot}"'})))[
            "items"
        ]
        assert (stored["label"], stored["revoked_at"] is None) == ("former-organization", False)
        new = await made(other.admin.post("admin/api-keys", {"label": "new", "principal_id": bot}))
        assert (await Caller(api.app, new["secret"]).get(f"admin/projects/{one.project}")).status == 200
        assert (await api.admin.get(f"admin/grants/{lost}")).status == 404
        places = {event["type"]: event["organization_id"] for event in api.events("admin.project.")}
        assert places["admin.project.left"] == one.organization
        assert places["admin.project.moved"] == other.organization

    async def test_what_cannot_move_along_stops_it_and_everything_is_as_before(self, api: Api) -> None:
        one, other = await tenant(api, "one"), await tenant(api, "other")
        bot, _, lost = await self.furnished(api, one)
        edge = {"from_id": bot, "from_kind": "admin.service_account", "field": "owner_id"}
        with api.database.write() as connection:
            connection.execute(REFERENCE.insert().values(to_id=one.admin_id, **edge))
        body = {"organization_id": other.organization}
        preview = await made(api.admin.post(f"admin/projects/{one.project}:preview-move", body))
        assert preview["movable"] is False
        operation = await move(api, one.project, other.organization)
        assert operation["state"] == "FAILED"
        assert "doesn't move" in operation["error"]
        seen = (await one.admin.get(f"admin/projects/{one.project}")).json
        assert (seen["organization_id"], seen["status"]["state"]) == (one.organization, "ACTIVE")
        assert (await api.admin.get(f"admin/grants/{lost}")).status == 200

    async def test_it_needs_rights_at_both_ends(self, api: Api) -> None:
        one, other = await tenant(api, "one"), await tenant(api, "other")
        paths = [f"admin/projects/{one.project}:{verb}" for verb in ("move", "preview-move")]
        body = {"organization_id": other.organization}
        for path in paths:
            assert (await one.admin.post(path, body)).status == 404
            assert (await other.admin.post(path, body)).status == 404
            assert (await api.admin.post(path, {"organization_id": "no-such"})).status == 404
        await grant(api, one.admin_id, "rol_viewer", other.organization)
        for path in paths:
            assert (await one.admin.post(path, body)).status == 403
