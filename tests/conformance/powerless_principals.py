"""Cases of users, groups, service accounts, and their credentials that pass on no power."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from core import clock
from tests.api.admin.tenants import grant, made
from tests.api_process import PASSWORD, Caller
from tests.conformance.power_of_tenants import new_provider
from tests.conformance.power_world import Call, World
from tests.conformance.powerless_case import case, whole_organization


async def _denied(world: World) -> str:
    """A user who holds everything, and whom a grant, a group and a role each deny something."""
    id, group = await world.user(whole_organization(world)), await world.group()
    await grant(world.api, id, "rol_viewer", world.acme.project, effect="DENY")
    await grant(world.api, group, "rol_viewer", world.organization, effect="DENY")
    await world.post(f"admin/groups/{group}:add-members", {"members": [id]})
    return id


async def _key(world: World) -> str:
    return str((await world.post("admin/api-keys", {"label": "theirs", "principal_id": await _denied(world)}))["id"])


@case
async def update_api_key(world: World) -> Call:
    return "PATCH", f"admin/api-keys/{await _key(world)}", {"label": "other"}


@case
async def revoke_api_key(world: World) -> Call:
    return "POST", f"admin/api-keys/{await _key(world)}:revoke", {}


@case
async def create_group(world: World) -> Call:
    return "POST", "admin/groups", {"name": world.name(), "organization_id": world.organization, "spec": {"title": "A"}}


@case
async def update_group(world: World) -> Call:
    group = await world.group(whole_organization(world))
    await world.post(f"admin/groups/{group}:add-members", {"members": [await world.user()]})
    return "PATCH", f"admin/groups/{group}", {"name": world.name(), "spec": {"title": "B", "external_id": "theirs"}}


async def _linked(world: World, **spec: Any) -> str:
    """An identity provider with a user who holds everything."""
    id = str((await world.post("admin/identity-providers", new_provider(world, **spec)))["id"])
    change = {"spec": {"identity_provider_id": id, "external_id": "subject"}}
    await made(world.api.admin("PATCH", f"admin/users/{await _denied(world)}", json=change))
    return id


@case
async def delete_identity_provider(world: World) -> Call:
    return "DELETE", f"admin/identity-providers/{await _linked(world)}", None


@case
async def set_client_secret_identity_provider(world: World) -> Call:
    return "POST", f"admin/identity-providers/{await _linked(world)}:set-client-secret", {"client_secret": "a secret"}


@case
async def revoke_invitation(world: World) -> Call:
    promised = [{"role_id": "rol_admin", "securable_id": world.organization}]
    body = {"email": "new@example.org", "organization_id": world.organization, "grants": promised}
    return "POST", f"admin/invitations/{(await world.post('admin/invitations', body))['id']}:revoke", {}


async def _account(world: World) -> str:
    id = await world.account(whole_organization(world))
    await grant(world.api, id, "rol_viewer", world.acme.project, effect="DENY")
    await world.post("admin/api-keys", {"label": "theirs", "principal_id": id})
    return id


@case
async def create_service_account(world: World) -> Call:
    return "POST", "admin/service-accounts", {"name": world.name(), "project_id": world.acme.project, "spec": {}}


@case
async def update_service_account(world: World) -> Call:
    return "PATCH", f"admin/service-accounts/{await _account(world)}", {"name": world.name(), "spec": {"key_days": 3}}


@case
async def suspend_service_account(world: World) -> Call:
    return "POST", f"admin/service-accounts/{await _account(world)}:suspend", {}


@case
async def delete_service_account(world: World) -> Call:
    return "DELETE", f"admin/service-accounts/{await _account(world)}", None


@case
async def batch_service_accounts(world: World) -> Call:
    items = [
        {"method": "UPDATE", "id": await _account(world), "body": {"spec": {"key_days": 3000}}},
        {"method": "DELETE", "id": await _account(world)},
    ]
    return "POST", "admin/service-accounts:batch", {"items": items}


async def _login(world: World) -> dict[str, Any]:
    id = await _denied(world)
    name = (await made(world.api.admin.get(f"admin/users/{id}/account")))["login_name"]
    return await made(world.api.anonymous.post("admin/sessions:login", {"name": name, "password": PASSWORD}))


@case
async def delete_session(world: World) -> Call:
    await _login(world)
    body = {"name": "admin", "password": PASSWORD}
    own = await made(world.api.anonymous.post("admin/sessions:login", body))
    return "DELETE", f"admin/sessions/{own['id']}", None


@case
async def logout(world: World) -> Call:
    body = {"name": "admin", "password": PASSWORD}
    own = await made(world.api.anonymous.post("admin/sessions:login", body))
    world.api.admin = Caller(world.api.app, own["token"])
    return "POST", "admin/sessions:logout", {}


@case
async def revoke_token(world: World) -> Call:
    return "POST", "admin/sessions:revoke", {"token": (await _login(world))["refresh_token"]}


@case
async def rotate_signing_keys(world: World) -> Call:
    # Others must have had the time to fetch the next key.
    clock.freeze(lambda: datetime.now(UTC) + timedelta(minutes=20))
    return "POST", "admin/signing-keys:rotate", {}


@case
async def revoke_signing_key(world: World) -> Call:
    await world.post("admin/signing-keys:rotate", {})
    keys = (await made(world.api.admin.get("admin/signing-keys")))["items"]
    return "POST", f"admin/signing-keys/{keys[0]['id']}:revoke", {}


@case
async def create_user(world: World) -> Call:
    body = {"name": world.name(), "organization_id": world.organization, "spec": {"emails": ["new@example.org"]}}
    return "POST", "admin/users", body


@case
async def delete_user(world: World) -> Call:
    return "DELETE", f"admin/users/{await _denied(world)}", None


@case
async def require_reset_user(world: World) -> Call:
    return "POST", f"admin/users/{await _denied(world)}:require-reset", {}


@case
async def revoke_sessions_user(world: World) -> Call:
    return "POST", f"admin/users/{await _denied(world)}:revoke-sessions", {}


@case
async def suspend_user(world: World) -> Call:
    return "POST", f"admin/users/{await _denied(world)}:suspend", {}


@case
async def update_preferences(world: World) -> Call:
    return "PATCH", "admin/preferences/current", {"theme": "DARK"}


@case
async def reset_preferences(world: World) -> Call:
    await made(world.api.admin("PATCH", "admin/preferences/current", json={"theme": "LIGHT"}))
    return "POST", "admin/preferences/current:reset", {}
