"""Requests of every sort that a caller repeats under one key."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.api.admin.tenants import Tenant, grant, made, user
from tests.api_process import Api, Caller

SECRET = "what-the-first-wrote"
REPLAYED = "idempotency-replayed"


async def member(api: Api, name: str, home: Tenant) -> tuple[str, Caller]:
    """A user who may do everything in an organization, and is called so."""
    id = await user(api, name, home.organization)
    await grant(api, id, "rol_admin", home.organization)
    return id, api.caller(name)


async def group(caller: Caller, organization: str, name: str) -> str:
    body = {"name": name, "organization_id": organization, "spec": {"title": SECRET}}
    return str((await made(caller.post("admin/groups", body)))["id"])


REQUESTS: dict[str, Callable[[str], tuple[str, str, dict[str, Any] | None]]] = {
    "create": lambda id: ("POST", "admin/groups", {"name": "made", "spec": {"title": SECRET}}),
    "update": lambda id: ("PATCH", f"admin/groups/{id}", {"spec": {"description": SECRET}}),
    "delete": lambda id: ("DELETE", f"admin/groups/{id}", None),
    "command": lambda id: (
        "POST",
        f"admin/groups/{id}:remove-members",
        {"members": ["usr_06e1xq0000exampe0000000000"]},
    ),
    "batch": lambda id: ("POST", "admin/groups:batch", {"items": [{"method": "DELETE", "id": id}], "atomic": False}),
    "launch": lambda id: ("POST", "ai-catalog/assets/flights.bronze.flights:materialize", {}),
}
