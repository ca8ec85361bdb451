"""Cases of organizations, projects, roles, and webhook endpoints that pass on no power."""

from __future__ import annotations

from tests.api.admin.tenants import grant
from tests.conformance.power_of_tenants import new_hook
from tests.conformance.power_world import Call, Gift, World
from tests.conformance.powerless_case import case, whole_organization


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
