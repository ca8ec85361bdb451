"""Resources of a new platform: an organization, the built-in roles, and an admin."""

from __future__ import annotations

import json
import secrets
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.credentials import accounts, passwords
from api.kernel.credentials.accounts import Account, AccountState
from api.kernel.permissions import grants
from api.kernel.permissions.grants import BUILT_IN, Effect, GrantRow
from api.kernel.permissions.principal import PrincipalKind
from api.kernel.permissions.projects import DEFAULT_ORGANIZATION
from api.kernel.roles import Role
from api.kernel.securable import PLATFORM
from api.kernel.storage import store
from api.kernel.storage.store import Stored
from api.kernel.tables import RESOURCE
from core import clock, events
from core.db import Database
from core.ids import new_id

ADMIN = "admin"
_BY = "headwater"
_DESCRIPTIONS = {
    Role.VIEWER: "Reads everything except users, keys, and grants.",
    Role.EDITOR: "Also changes data, models, and automation.",
    Role.ADMIN: "Also manages users, keys, and grants.",
}


def bootstrap(database: Database, password: str = "", project: str = "") -> str | None:
    """Prepares a new platform and returns the password of its admin, which is only stored as a hash.

    Args:
        database: The migrated metadata database.
        password: The password to use. Empty to generate one.
        project: A project to create on the first start, such as that of the sample.

    Returns:
        The password, or None if there is an admin already. Then only missing resources are added.
    """
    with database.read() as connection:
        has_users = _exists(connection, "admin.user")
    chosen = password or secrets.token_urlsafe(12)
    digest = None if has_users else passwords.hash_password(chosen)
    with database.write() as connection:
        _organization(connection)
        _roles(connection)
        if digest is None or _exists(connection, "admin.user"):
            return None
        add_user(connection, ADMIN, digest, role=Role.ADMIN)
        if project:
            spec = {"title": project.title(), "description": ""}
            _insert(
                connection, new_id("prj"), "admin.project", DEFAULT_ORGANIZATION, project, spec, {"state": "ACTIVE"}
            )
    return chosen


def add_user(
    connection: Connection,
    name: str,
    password_hash: str | None,
    *,
    role: Role | None,
    organization: str = DEFAULT_ORGANIZATION,
) -> str:
    """Creates a user with a built-in role on the whole platform, and returns their id."""
    now = clock.now()
    id = new_id("usr")
    spec: dict[str, Any] = {"title": None, "emails": [], "external_id": None, "identity_provider_id": None}
    _insert(connection, id, "admin.user", organization, name, spec, {"state": "ACTIVE", "directory": {}})
    grant_events: list[events.Event] = []
    changed = now if password_hash else None
    identity = (id, PrincipalKind.USER, name, organization, AccountState.ACTIVE, changed, False, None, now)
    accounts.insert(connection, Account(*identity), password_hash)
    if role is not None:
        role_id = next(id for id, built_in in BUILT_IN.items() if built_in is role)
        values = (new_id("gra"), id, role_id, None, Effect.ALLOW.value)
        grant = GrantRow(*values, PLATFORM, PLATFORM, None, None, "", None, now, _BY)
        grants.insert(connection, grant)
        details = {"outcome": "succeeded", "bootstrap": True, **grants.facts(grant)}
        grant_events.append(events.Event("admin.grant.given", grant.id, _BY, details, kind="admin.grant"))
    data = {"action": "admin.user.create", "outcome": "succeeded", "bootstrap": True}
    created = events.Event("admin.user.created", id, _BY, data, kind="admin.user", organization_id=organization)
    events.append_all(connection, [created, *grant_events])
    return id


def _organization(connection: Connection) -> None:
    if not _exists(connection, "admin.organization"):
        spec = {"title": "Default", "description": "", "region": ""}
        id = DEFAULT_ORGANIZATION
        _insert(connection, id, "admin.organization", id, "default", spec, {"state": "ACTIVE"})


def _roles(connection: Connection) -> None:
    present = set(connection.execute(sa.select(RESOURCE.c.id).where(RESOURCE.c.id.in_(BUILT_IN))).scalars())
    for id, role in BUILT_IN.items():
        if id not in present:
            name = role.value.lower()
            spec = {"title": name.title(), "description": _DESCRIPTIONS[role], "permissions": [], "denied": []}
            _insert(connection, id, "admin.role", None, name, spec, {"built_in": True})


def _insert(
    connection: Connection,
    id: str,
    kind: str,
    organization: str | None,
    name: str,
    spec: dict[str, Any],
    status: dict[str, Any],
) -> None:
    now = clock.now()
    named = kind in ("admin.organization", "admin.project")
    row = Stored(
        id=id,
        kind=kind,
        organization_id=organization,
        project_id=id if kind == "admin.project" else None,
        scope_id=PLATFORM if named or organization is None else organization,
        name=name,
        owner=id if kind == "admin.user" else _BY,
        state=status.get("state"),
        generation=1,
        version=1,
        created_at=now,
        created_by=_BY,
        updated_at=now,
        updated_by=_BY,
        deleted_at=None,
        labels="{}",
        spec=json.dumps(spec),
        status=json.dumps(status),
    )
    store.insert(connection, row, action=f"{kind}.create", request_id="")


def _exists(connection: Connection, kind: str) -> bool:
    return connection.execute(sa.select(RESOURCE.c.id).where(RESOURCE.c.kind == kind).limit(1)).first() is not None
