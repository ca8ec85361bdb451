"""What a directory asks of SCIM, and what tests look at afterwards."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

import httpx
import sqlalchemy as sa
from scim2_models import ScimProvider

from api.kernel.application import Application
from api.kernel.kinds.context import Context
from api.kernel.kinds.unit import Unit
from api.kernel.permissions.grants import access_of
from api.kernel.permissions.principal import Principal, PrincipalKind
from api.kernel.tables import PRINCIPAL, RESOURCE
from api.protocols.scim.app import provider
from api.protocols.scim.storage import DirectoryStorage
from core.events import EVENT
from tests.api_server import Server

ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
USER = "urn:ietf:params:scim:schemas:core:2.0:User"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
BULK = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
NUMBERS = itertools.count()


def created(directory: httpx.Client, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = directory.post(path, json=body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def a_user(directory: httpx.Client, **attributes: Any) -> dict[str, Any]:
    name = f"Ada.{next(NUMBERS)}@Acme.example"
    return created(directory, "Users", {"schemas": [USER], "userName": name, "active": True} | attributes)


def a_group(directory: httpx.Client, *members: dict[str, Any], **attributes: Any) -> dict[str, Any]:
    name = f"Data Science {next(NUMBERS)}"
    return created(
        directory, "Groups", {"displayName": name, "members": [{"value": m["id"]} for m in members]} | attributes
    )


def patched(directory: httpx.Client, path: str, *operations: dict[str, Any]) -> dict[str, Any]:
    answer = directory.patch(path, json={"schemas": [PATCH], "Operations": list(operations)})
    assert answer.status_code == 204, answer.text
    return dict(directory.get(path).json())


def members(directory: httpx.Client, group: dict[str, Any]) -> set[str]:
    return {member["value"] for member in directory.get(f"Groups/{group['id']}").json().get("members", ())}


def as_user(server: Server, user: dict[str, Any]) -> httpx.Client:
    """The platform as this user, with a separate login."""
    token = server.api.caller(user["userName"].lower()).token
    return httpx.Client(base_url=server.url, headers={"authorization": f"Bearer {token}"})


@contextmanager
def service_account(server: Server, admin: httpx.Client, *permissions: str) -> Iterator[httpx.Client]:
    """SCIM, as the key of a service account that holds just these permissions in the organization speaks it."""
    [organization] = admin.get("organizations").json()["items"]
    name = f"robot{next(NUMBERS)}"

    def create(path: str, **body: Any) -> Any:
        return admin.post(path, json=body).raise_for_status().json()

    spec = {"title": "Identity"}
    project = create("projects", name=name, organization_id=organization["id"], spec=spec)["id"]
    account = create("service-accounts", name=name, project_id=project, spec={})["id"]
    for permission in permissions:
        create("grants", principal_id=account, permission=permission, securable_id=organization["id"])
    secret = create("api-keys", label="SCIM", principal_id=account, scopes=list(permissions))["secret"]
    with httpx.Client(base_url=f"{server.url}/scim/v2/", headers={"authorization": f"Bearer {secret}"}) as client:
        yield client


def events(server: Server, subject: str) -> list[tuple[str, str]]:
    with server.api.database.read() as connection:
        rows = connection.execute(sa.select(EVENT).where(EVENT.c.subject == subject).order_by(EVENT.c.sequence))
        return [(row.type, row.data["outcome"]) for row in rows]


@cache
def described() -> ScimProvider:
    return provider()


class _Undo(Exception):
    pass


@contextmanager
def empty_directory(app: Application) -> Iterator[DirectoryStorage]:
    """The storage of an empty organization. What is done in it is undone."""
    platform = app.platform
    endpoint = next(one for one in app.registry.endpoints if one.operation_id == "admin_create_user")
    with suppress(_Undo), platform.database.write() as connection:
        admin = connection.execute(sa.select(PRINCIPAL.c.id).where(PRINCIPAL.c.name == "admin")).scalar_one()
        empty = connection.execute(
            sa.select(RESOURCE).where(RESOURCE.c.kind == "admin.organization", RESOURCE.c.id == "org_default")
        ).one()
        attributes = {"id": "org_empty", "organization_id": "org_empty", "name": "empty"}
        connection.execute(RESOURCE.insert().values(**empty._asdict() | attributes))
        access = access_of(connection, admin, platform.permissions)
        principal = Principal(admin, "admin", PrincipalKind.USER, "org_empty", "tok", access)
        ctx = Context(platform, endpoint, principal, request_id="req")
        yield DirectoryStorage(Unit(ctx, connection, writes=True), described())
        raise _Undo
