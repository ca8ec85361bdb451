"""Groups: what is granted to one reaches its members, through other groups too, and ends with membership."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.admin.tenants import grant, made, tenant, user
from tests.api_process import Api


async def group(api: Api, name: str, **body: Any) -> str:
    return str((await made(api.admin.post("admin/groups", {"name": name, "spec": {"title": name}, **body})))["id"])


@pytest.mark.effect("admin_add_members_group", "admin_remove_members_group", "admin_get_group_members")
async def test_rights_reach_members_through_nested_groups_and_end_with_membership(api: Api) -> None:
    id, inner, outer = await user(api, "ada"), await group(api, "inner"), await group(api, "outer")
    await grant(api, outer, "rol_viewer", "platform")
    ada = api.caller("ada")
    assert (await ada.get("ai-catalog/assets")).status == 403
    await made(api.admin.post(f"admin/groups/{outer}:add-members", {"members": [inner]}))
    await made(api.admin.post(f"admin/groups/{inner}:add-members", {"members": [id]}))
    assert (await ada.get("ai-catalog/assets")).status == 200
    direct = (await api.admin.get(f"admin/groups/{outer}/members")).json["items"]
    everybody = (await api.admin.get(f"admin/groups/{outer}/members", params={"transitive": "true"})).json["items"]
    assert [member["name"] for member in direct] == ["inner"]
    assert [(member["name"], member["direct"]) for member in everybody] == [("ada", False), ("inner", True)]
    await made(api.admin.post(f"admin/groups/{outer}:remove-members", {"members": [inner]}))
    assert (await ada.get("ai-catalog/assets")).status == 403


async def test_rights_never_run_in_a_circle(api: Api) -> None:
    a, b, c = await group(api, "a"), await group(api, "b"), await group(api, "c")
    for outer, inner in ((a, b), (b, c)):
        await made(api.admin.post(f"admin/groups/{outer}:add-members", {"members": [inner]}))
    assert (await api.admin.post(f"admin/groups/{c}:add-members", {"members": [a]})).status == 409
    assert (await api.admin.post(f"admin/groups/{a}:add-members", {"members": [a]})).status == 409
    assert (await api.admin.get(f"admin/groups/{c}/members")).json["items"] == []


async def test_a_deleted_group_gives_nothing(api: Api) -> None:
    id, all_readers = await user(api, "ada"), await group(api, "readers")
    await grant(api, all_readers, "rol_viewer", "platform")
    await made(api.admin.post(f"admin/groups/{all_readers}:add-members", {"members": [id]}))
    ada = api.caller("ada")
    assert (await ada.get("ai-catalog/assets")).status == 200
    assert (await api.admin("DELETE", f"/api/v1/admin/groups/{all_readers}")).status == 204
    assert (await ada.get("ai-catalog/assets")).status == 403
    await made(api.admin.post(f"admin/groups/{all_readers}:restore"))
    assert (await ada.get("ai-catalog/assets")).status == 200


async def test_members_of_another_organization_cannot_be_named(api: Api) -> None:
    one, other = await tenant(api, "one"), await tenant(api, "other")
    owned = (await made(one.admin.post("admin/groups", {"name": "mine", "spec": {"title": "Mine"}})))["id"]
    reply = await one.admin.post(f"admin/groups/{owned}:add-members", {"members": [other.admin_id]})
    missing = await one.admin.post(f"admin/groups/{owned}:add-members", {"members": ["usr_nobody"]})
    assert reply.status == missing.status == 422
    assert reply.json["detail"].replace(other.admin_id, "usr_nobody") == missing.json["detail"]
