"""Cases of operations that pass on power through keys, grants, groups, roles, users, and service accounts."""

from __future__ import annotations

import pyotp

from tests.api.admin.tenants import grant
from tests.api_process import PASSWORD
from tests.conformance.power_world import Call, Gift, World, case


@case("admin_create_api_key")
async def create_key(world: World, gift: Gift) -> Call:
    return "POST", "admin/api-keys", {"label": "theirs", "principal_id": await world.user(gift), "scopes": ["*"]}


@case("admin_rotate_api_key")
async def rotate_key(world: World, gift: Gift) -> Call:
    key = await world.post("admin/api-keys", {"label": "old", "principal_id": await world.user(gift)})
    return "POST", f"admin/api-keys/{key['id']}:rotate", {}


@case("admin_create_grant")
async def create_grant(world: World, gift: Gift) -> Call:
    return (
        "POST",
        "admin/grants",
        {"principal_id": await world.user(), "role_id": gift.role, "securable_id": gift.on},
    )


@case("admin_delete_grant")
async def delete_denial(world: World, gift: Gift) -> Call:
    denial = await grant(world.api, await world.user(), gift.role, gift.on, effect="DENY")
    return "DELETE", f"admin/grants/{denial}", None


@case("admin_apply_grants")
async def apply_denial(world: World, gift: Gift) -> Call:
    denial = await grant(world.api, await world.user(), gift.role, gift.on, effect="DENY")
    return "POST", "admin/grants:apply", {"revoke": [denial]}


async def _denying_group(world: World, gift: Gift) -> tuple[str, str]:
    group, member = await world.group(), await world.user()
    await grant(world.api, group, gift.role, gift.on, effect="DENY")
    await world.post(f"admin/groups/{group}:add-members", {"members": [member]})
    return group, member


@case("admin_delete_group")
async def delete_group(world: World, gift: Gift) -> Call:
    return "DELETE", f"admin/groups/{(await _denying_group(world, gift))[0]}", None


@case("admin_batch_groups")
async def batch_groups(world: World, gift: Gift) -> Call:
    item = {"method": "DELETE", "id": (await _denying_group(world, gift))[0]}
    return "POST", "admin/groups:batch", {"items": [item]}


@case("admin_remove_members_group")
async def remove_members(world: World, gift: Gift) -> Call:
    group, member = await _denying_group(world, gift)
    return "POST", f"admin/groups/{group}:remove-members", {"members": [member]}


@case("admin_add_members_group")
async def add_members(world: World, gift: Gift) -> Call:
    return "POST", f"admin/groups/{await world.nested(gift)}:add-members", {"members": [await world.user()]}


@case("admin_restore_group")
async def restore_group(world: World, gift: Gift) -> Call:
    group = await world.group(gift)
    await world.delete(f"admin/groups/{group}")
    return "POST", f"admin/groups/{group}:restore", {}


def _patterns(gift: Gift) -> list[str]:
    return ["ai_catalog.asset.get"] if gift.role == "rol_viewer" else ["*"]


async def _role(world: World, permissions: list[str], denied: list[str]) -> str:
    spec = {"title": "A role", "permissions": permissions, "denied": denied}
    body = {"name": world.name(), "organization_id": world.organization, "spec": spec}
    return str((await world.post("admin/roles", body))["id"])


@case("admin_create_role", higher=False)
async def create_role(world: World, gift: Gift) -> Call:
    spec = {"title": "A role", "permissions": _patterns(gift)}
    return "POST", "admin/roles", {"name": world.name(), "organization_id": world.organization, "spec": spec}


@case("admin_update_role", higher=False)
async def update_role(world: World, gift: Gift) -> Call:
    role = await _role(world, ["admin.project.get"], _patterns(gift))
    return "PATCH", f"admin/roles/{role}", {"spec": {"denied": []}}


@case("admin_batch_roles", higher=False)
async def batch_roles(world: World, gift: Gift) -> Call:
    role = await _role(world, ["admin.project.get"], [])
    item = {"method": "UPDATE", "id": role, "body": {"spec": {"permissions": _patterns(gift)}}}
    return "POST", "admin/roles:batch", {"items": [item]}


@case("admin_restore_role", higher=False)
async def restore_role(world: World, gift: Gift) -> Call:
    role = await _role(world, _patterns(gift), [])
    await world.delete(f"admin/roles/{role}")
    return "POST", f"admin/roles/{role}:restore", {}


@case("admin_clone_role", higher=False)
async def clone_role(world: World, gift: Gift) -> Call:
    role = await _role(world, _patterns(gift), [])
    body = {"name": world.name(), "organization_id": world.organization}
    return "POST", f"admin/roles/{role}:clone", body


@case("admin_update_user")
async def update_user(world: World, gift: Gift) -> Call:
    return "PATCH", f"admin/users/{await world.user(gift)}", {"spec": {"emails": ["mine@example.org"]}}


@case("admin_batch_users")
async def batch_users(world: World, gift: Gift) -> Call:
    body = {"spec": {"external_id": "mine"}}
    return "POST", "admin/users:batch", {"items": [{"method": "UPDATE", "id": await world.user(gift), "body": body}]}


@case("admin_restore_user")
async def restore_user(world: World, gift: Gift) -> Call:
    id = await world.user(gift)
    await world.delete(f"admin/users/{id}")
    return "POST", f"admin/users/{id}:restore", {}


@case("admin_activate_user")
async def activate_user(world: World, gift: Gift) -> Call:
    id = await world.user(gift)
    await world.post(f"admin/users/{id}:suspend", {})
    return "POST", f"admin/users/{id}:activate", {}


@case("admin_set_password_user")
async def set_password(world: World, gift: Gift) -> Call:
    return "POST", f"admin/users/{await world.user(gift)}:set-password", {"password": PASSWORD + "!"}


@case("admin_enroll_one_time_password_user")
async def enroll(world: World, gift: Gift) -> Call:
    return "POST", f"admin/users/{await world.user(gift)}:enroll-one-time-password", {}


async def _enrolled(world: World, id: str) -> str:
    return pyotp.TOTP((await world.post(f"admin/users/{id}:enroll-one-time-password", {}))["secret"]).now()


@case("admin_confirm_one_time_password_user")
async def confirm(world: World, gift: Gift) -> Call:
    id = await world.user(gift)
    return "POST", f"admin/users/{id}:confirm-one-time-password", {"code": await _enrolled(world, id)}


@case("admin_disable_one_time_password_user")
async def disable(world: World, gift: Gift) -> Call:
    id = await world.user(gift)
    await world.post(f"admin/users/{id}:confirm-one-time-password", {"code": await _enrolled(world, id)})
    return "POST", f"admin/users/{id}:disable-one-time-password", {}


@case("admin_activate_service_account")
async def activate_account(world: World, gift: Gift) -> Call:
    id = await world.account(gift)
    await world.post(f"admin/service-accounts/{id}:suspend", {})
    return "POST", f"admin/service-accounts/{id}:activate", {}


@case("admin_restore_service_account")
async def restore_account(world: World, gift: Gift) -> Call:
    id = await world.account(gift)
    await world.delete(f"admin/service-accounts/{id}")
    return "POST", f"admin/service-accounts/{id}:restore", {}
