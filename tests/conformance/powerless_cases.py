"""A case for each operation that declares that it passes on no power: how the platform's admin calls it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from core import clock
from tests.api.admin.tenants import grant, made
from tests.api_process import PASSWORD, Caller
from tests.conformance.power_of_tenants import (
    access_request,
    definition,
    new_hook,
    new_policy,
    new_provider,
    release,
    salaries,
)
from tests.conformance.power_world import Call, Gift, World

Prepare = Callable[[World], Awaitable[Call]]
CASES: dict[str, Prepare] = {}


def case(prepare: Prepare) -> Prepare:
    service = (
        "ai_catalog"
        if prepare.__name__.endswith(("_definition", "_policy", "_release", "_access_request"))
        else "admin"
    )
    CASES[f"{service}_{prepare.__name__.replace('try_', 'test_')}"] = prepare
    return prepare


def whole_organization(world: World) -> Gift:
    """The most there is in the organization."""
    return Gift("rol_admin", world.organization)


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


async def _organization(world: World, *, empty: bool = False) -> str:
    body = {"name": world.name(), "spec": {"title": "Other"}}
    id = str((await world.post("admin/organizations", body))["id"])
    if not empty:
        await world.user(Gift("rol_admin", id), organization=id)
        await grant(world.api, await world.user(), "rol_viewer", id, effect="DENY")
    return id


@case
async def create_organization(world: World) -> Call:
    return "POST", "admin/organizations", {"name": world.name(), "spec": {"title": "Other"}}


@case
async def update_organization(world: World) -> Call:
    return (
        "PATCH",
        f"admin/organizations/{await _organization(world)}",
        {"name": world.name(), "spec": {"region": "eu"}},
    )


@case
async def suspend_organization(world: World) -> Call:
    return "POST", f"admin/organizations/{await _organization(world)}:suspend", {}


async def _emptied(world: World) -> str:
    id = await _organization(world, empty=True)
    await grant(world.api, await world.user(), "rol_viewer", id, effect="DENY")
    return id


@case
async def delete_organization(world: World) -> Call:
    return "DELETE", f"admin/organizations/{await _emptied(world)}", None


@case
async def purge_organization(world: World) -> Call:
    body = {"name": world.name(), "spec": {"title": "Other"}}
    id = str((await world.post("admin/organizations", body))["id"])
    await grant(world.api, await world.user(), "rol_viewer", id)
    await world.delete(f"admin/organizations/{id}")
    return "POST", f"admin/organizations/{id}:purge", {"name": body["name"]}


@case
async def batch_organizations(world: World) -> Call:
    items = [
        {"method": "CREATE", "body": {"name": world.name(), "spec": {"title": "Other"}}},
        {"method": "UPDATE", "id": await _organization(world), "body": {"spec": {"title": "Another"}}},
        {"method": "DELETE", "id": await _emptied(world)},
    ]
    return "POST", "admin/organizations:batch", {"items": items}


async def _project(world: World) -> str:
    body = {"name": world.name(), "organization_id": world.organization, "spec": {"title": "A project"}}
    id = str((await world.post("admin/projects", body))["id"])
    await grant(world.api, await world.user(), "rol_admin", id)
    await grant(world.api, await world.user(whole_organization(world)), "rol_viewer", id, effect="DENY")
    return id


@case
async def create_project(world: World) -> Call:
    return (
        "POST",
        "admin/projects",
        {"name": world.name(), "organization_id": world.organization, "spec": {"title": "A"}},
    )


@case
async def update_project(world: World) -> Call:
    return "PATCH", f"admin/projects/{await _project(world)}", {"spec": {"title": "Other"}, "labels": {"a": "b"}}


@case
async def delete_project(world: World) -> Call:
    return "DELETE", f"admin/projects/{await _project(world)}", None


@case
async def restore_project(world: World) -> Call:
    id = await _project(world)
    await world.delete(f"admin/projects/{id}")
    return "POST", f"admin/projects/{id}:restore", {}


@case
async def archive_project(world: World) -> Call:
    return "POST", f"admin/projects/{await _project(world)}:archive", {}


@case
async def unarchive_project(world: World) -> Call:
    id = await _project(world)
    await world.post(f"admin/projects/{id}:archive")
    return "POST", f"admin/projects/{id}:unarchive", {}


@case
async def batch_projects(world: World) -> Call:
    items = [
        {"method": "UPDATE", "id": await _project(world), "body": {"spec": {"title": "Another"}}},
        {"method": "DELETE", "id": await _project(world)},
    ]
    return "POST", "admin/projects:batch", {"items": items}


@case
async def delete_role(world: World) -> Call:
    spec = {"title": "A role", "permissions": ["*"], "denied": ["admin.project.get"]}
    body = {"name": world.name(), "organization_id": world.organization, "spec": spec}
    return "DELETE", f"admin/roles/{(await world.post('admin/roles', body))['id']}", None


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


async def _endpoint(world: World) -> str:
    return f"admin/webhook-endpoints/{(await world.post('admin/webhook-endpoints', new_hook(world)))['id']}"


@case
async def delete_webhook_endpoint(world: World) -> Call:
    return "DELETE", await _endpoint(world), None


@case
async def disable_webhook_endpoint(world: World) -> Call:
    return "POST", f"{await _endpoint(world)}:disable", {}


@case
async def redeliver_webhook_endpoint(world: World) -> Call:
    return "POST", f"{await _endpoint(world)}:redeliver", {}


@case
async def rotate_secret_webhook_endpoint(world: World) -> Call:
    return "POST", f"{await _endpoint(world)}:rotate-secret", {}


@case
async def try_webhook_endpoint(world: World) -> Call:
    return "POST", f"{await _endpoint(world)}:test", {}


@case
async def create_definition(world: World) -> Call:
    attributes = {"asset": f"acme_data.gold.{world.name()}", "description": "Made here.", "sql": "SELECT 1 AS one"}
    return "POST", "ai-catalog/definitions", {"component": "SqlTransformComponent", "attributes": attributes}


@case
async def update_definition(world: World) -> Call:
    path = await definition(world)
    attributes = {"asset": path.rpartition("/")[2], "sql": "SELECT 2 AS two", "reads": ["acme_data.gold.salaries"]}
    return "PATCH", path, {"attributes": attributes}


@case
async def retire_definition(world: World) -> Call:
    path = await definition(world)
    await world.post(f"{path}:publish", {})
    return "POST", f"{path}:retire", {}


@case
async def delete_definition(world: World) -> Call:
    return "DELETE", await definition(world), None


@case
async def revoke_release(world: World) -> Call:
    method, path, body = await release(world, whole_organization(world))
    assert method == "POST"
    return "POST", f"{path}/{(await world.post(path, body))['id']}:revoke", {}


@case
async def create_access_request(world: World) -> Call:
    return "POST", "ai-catalog/access-requests", {"asset": salaries(world), "copies": "acme_data", "purpose": "x"}


@case
async def reject_access_request(world: World) -> Call:
    return "POST", f"{await access_request(world)}:reject", {"comment": "No."}


@case
async def cancel_access_request(world: World) -> Call:
    path = "ai-catalog/access-requests"
    body = {"asset": salaries(world), "copies": "acme_data.gold", "purpose": "x"}
    return "POST", f"{path}/{(await world.post(path, body))['id']}:cancel", {}


@case
async def create_policy(world: World) -> Call:
    return "POST", "ai-catalog/policies", await new_policy(world)


async def _made_policy(world: World) -> str:
    return f"ai-catalog/policies/{(await world.post('ai-catalog/policies', await new_policy(world)))['id']}"


@case
async def delete_policy(world: World) -> Call:
    return "DELETE", await _made_policy(world), None


@case
async def restore_policy(world: World) -> Call:
    path = await _made_policy(world)
    await world.delete(path)
    return "POST", f"{path}:restore", {}


@case
async def activate_policy(world: World) -> Call:
    return "POST", f"{await _made_policy(world)}:activate", {}
