"""Two organizations with the same names in both, as far as names may be the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.api_process import PASSWORD, Api, Caller


@dataclass
class Tenant:
    """An organization with its own project and admin."""

    organization: str
    project: str
    admin_id: str
    admin: Caller


async def made(reply: Any) -> dict[str, Any]:
    """The body of a successful answer."""
    answer = await reply
    assert answer.status in (200, 201), answer.response.text
    return dict(answer.json)


async def user(api: Api, name: str, organization: str = "default", *, password: bool = False) -> str:
    """Creates a user without any right and returns the id."""
    body = {"name": name, "organization_id": organization, "spec": {"title": name.title()}}
    id = str((await made(api.admin.post("admin/users", body)))["id"])
    if password:
        await made(api.admin.post(f"admin/users/{id}:set-password", {"password": PASSWORD}))
    return id


async def grant(api: Api, principal: str, right: str, on: str, **options: Any) -> str:
    """Gives a built-in role, or a permission if it has dots, and returns the id of the grant."""
    granted = {"permission": right} if "." in right else {"role_id": right}
    body = {"principal_id": principal, "securable_id": on, **granted, **options}
    return str((await made(api.admin.post("admin/grants", body)))["id"])


async def tenant(api: Api, name: str) -> Tenant:
    """An organization `name`, a project `<name>_data` and its admin `<name>-admin`."""
    organization = (await made(api.admin.post("admin/organizations", {"name": name, "spec": {"title": name}})))["id"]
    body = {"name": f"{name}_data", "organization_id": organization, "spec": {"title": "Data"}}
    project = (await made(api.admin.post("admin/projects", body)))["id"]
    admin = await user(api, f"{name}-admin", organization)
    await grant(api, admin, "rol_admin", organization)
    return Tenant(organization, project, admin, api.caller(f"{name}-admin"))
