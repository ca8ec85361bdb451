"""The versions of a secret, where it is used, and who used it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import sqlalchemy as sa
from pydantic import Field

from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Query, Request
from api.kernel.storage import store
from api.services.connections.kinds.connection import CONNECTION
from api.services.connections.kinds.secret import SECRET, Secret
from api.services.connections.kinds.storage_credential import STORAGE_CREDENTIAL
from connectors import secrets
from connectors.secrets import SECRET_ACCESS, SECRET_VERSION
from core.errors import Conflict, NotFound

Number = Annotated[int, Field(ge=1, le=2**31 - 1)]
"""Number of a version."""


class OneVersion(Request):
    """A version."""

    version: Number
    """Number of the version."""


class SecretVersion(Model):
    """A version of a secret, without its value."""

    version: int
    """Number."""

    current: bool
    """Whether connections use it."""

    created_at: datetime
    """Time at which it was stored."""

    created_by: str
    """Name of the principal that stored it."""

    destroyed_at: datetime | None
    """Time at which its value was destroyed. Null if the value exists."""


class SecretVersions(Model):
    """The versions of a secret."""

    items: list[SecretVersion]
    """Versions, newest first. At most the last 1,000."""


class SecretUser(Model):
    """A connection that uses a secret."""

    connection_id: str
    """Id of the connection."""

    name: str
    """Name of the connection."""

    fields: list[str]
    """Fields of its configuration that the secret sets."""


class SecretCredentialUser(Model):
    """A storage credential that uses a secret."""

    storage_credential_id: str
    """Id of the storage credential."""

    name: str
    """Name of the storage credential."""

    fields: list[str]
    """Fields of its configuration that the secret sets."""


class SecretUsers(Model):
    """Where a secret is used."""

    connections: list[SecretUser]
    """Connections that the caller can see."""

    storage_credentials: list[SecretCredentialUser]
    """Storage credentials that the caller can see."""

    hidden: int
    """Number of connections and storage credentials that the caller can't see."""


class AccessesQuery(Query):
    """A page of uses."""

    before: Annotated[str, Field(max_length=64)] = ""
    """Returns uses before the one with this id."""

    page_size: Annotated[int, Field(ge=1, le=1000)] = 100
    """Maximum number of uses."""


class SecretAccess(Model):
    """A use of the value of a secret."""

    id: str
    """Id of the use."""

    version: int
    """Number of the version."""

    connection_id: str
    """Id of the connection or storage credential. Empty for the test of a draft."""

    purpose: str
    """What it was used for, such as `test`."""

    principal_id: str
    """Id of the principal that called the operation."""

    at: datetime
    """Time of the use."""


class SecretAccesses(Model):
    """Uses of a secret."""

    items: list[SecretAccess]
    """Uses, last to first."""


@SECRET.view("versions", query=Query, result=SecretVersions)
def get_secret_versions(unit: Unit, secret: Secret, query: Query) -> SecretVersions:
    """Lists the versions of a secret, newest first, without their values."""
    select = sa.select(SECRET_VERSION).where(SECRET_VERSION.c.secret_id == secret.id)
    rows = unit.connection.execute(select.order_by(SECRET_VERSION.c.number.desc()).limit(1000))
    return SecretVersions(
        items=[
            SecretVersion(
                version=row.number,
                current=row.number == secret.status.current_version,
                created_at=row.created_at,
                created_by=row.created_by,
                destroyed_at=row.destroyed_at,
            )
            for row in rows
        ]
    )


@SECRET.command("roll-back", request=OneVersion, result=Secret, past="reverted")
def roll_back_secret(unit: Unit, secret: Secret, request: OneVersion) -> Secret:
    """Makes connections use an earlier version again, whose value was not destroyed."""
    _require_value(unit, secret, request.version)
    secret.status.current_version = request.version
    return secret


@SECRET.command("destroy-version", request=OneVersion, result=Secret, past="version_destroyed")
def destroy_secret_version(unit: Unit, secret: Secret, request: OneVersion) -> Secret:
    """Removes the value of a version permanently. Refused for the version that connections use."""
    if request.version == secret.status.current_version:
        raise Conflict(f"Connections use version {request.version}. Store another value first.")
    _require_value(unit, secret, request.version)
    secrets.destroy(unit.connection, secret.id, request.version, unit.now)
    unit.call.note(destroyed=request.version)
    return secret


@SECRET.view("where-used", query=Query, result=SecretUsers)
def get_secret_users(unit: Unit, secret: Secret, query: Query) -> SecretUsers:
    """Returns what uses a secret, so that you know what a new value changes."""
    rows = {row.id: row for row, _ in store.referring(unit.connection, secret.id)}
    visible = [row for row in rows.values() if unit.allows(f"{row.kind}.get", row.securable, row)]
    visible.sort(key=lambda row: row.name)

    def fields(secrets: dict[str, str]) -> list[str]:
        return sorted(field for field, id in secrets.items() if id == secret.id)

    connections = [CONNECTION.resource(row) for row in visible if row.kind == CONNECTION.full_name]
    credentials = [STORAGE_CREDENTIAL.resource(row) for row in visible if row.kind == STORAGE_CREDENTIAL.full_name]
    return SecretUsers(
        connections=[
            SecretUser(connection_id=one.id, name=one.name, fields=fields(one.spec.secrets)) for one in connections
        ],
        storage_credentials=[
            SecretCredentialUser(storage_credential_id=one.id, name=one.name, fields=fields(one.spec.secrets))
            for one in credentials
        ],
        hidden=len(rows) - len(visible),
    )


@SECRET.view("accesses", query=AccessesQuery, result=SecretAccesses)
def get_secret_accesses(unit: Unit, secret: Secret, query: AccessesQuery) -> SecretAccesses:
    """Lists the uses of a secret, last to first."""
    select = sa.select(SECRET_ACCESS).where(SECRET_ACCESS.c.secret_id == secret.id)
    if query.before:
        select = select.where(SECRET_ACCESS.c.id < query.before)
    rows = unit.connection.execute(select.order_by(SECRET_ACCESS.c.id.desc()).limit(query.page_size))
    return SecretAccesses(
        items=[
            SecretAccess(
                id=row.id,
                version=row.number,
                connection_id=row.connection_id,
                purpose=row.purpose,
                principal_id=row.principal_id,
                at=row.at,
            )
            for row in rows
        ]
    )


def _require_value(unit: Unit, secret: Secret, number: int) -> None:
    """Requires a version whose value exists."""
    row = unit.connection.execute(
        sa.select(SECRET_VERSION.c.destroyed_at).where(
            SECRET_VERSION.c.secret_id == secret.id, SECRET_VERSION.c.number == number
        )
    ).first()
    if row is None:
        raise NotFound(f"{secret.name} has no version {number}.")
    if row.destroyed_at is not None:
        raise Conflict(f"The value of version {number} was destroyed.")
