"""Rotation: a new password at the system and in the secret."""

from __future__ import annotations

import secrets as random

import sqlalchemy as sa

from api.kernel.credentials.sealing import open_sealer
from api.kernel.kinds.context import Context
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Request
from api.services.connections.kinds.connection import CONNECTION, require_use
from api.services.connections.kinds.secret import PUT_VERSION, SECRET
from api.services.connections.logic.configurations import FieldName
from api.services.connections.logic.opened import Opened, opened
from connectors import asking, secrets
from connectors.connector import Capability, Config
from connectors.secrets import SECRET_VERSION
from core import clock
from core.errors import Conflict, InvalidPayload

_BYTES = 32
"""Random bytes of a new password."""


class RotateCredential(Request):
    """A credential to replace."""

    field: FieldName
    """Field of the configuration that the secret sets, such as `password`."""


class RotatedCredential(Model):
    """The credential that replaced another one."""

    secret_id: str
    """Id of the secret."""

    version: int
    """Version of the secret that connections use now."""

    resumed: bool
    """Whether an earlier rotation that was interrupted was completed, instead of a new one."""


@CONNECTION.action(
    "rotate-credential",
    request=RotateCredential,
    result=RotatedCredential,
    outside=True,
    timeout_seconds=120,
    past="credential_rotated",
)
async def rotate_connection_credential(ctx: Context, connection: str, request: RotateCredential) -> RotatedCredential:
    """Replaces a password by a random one, at the system and in the secret.

    The new value is stored before the system gets it, so that an interruption loses neither. After one, the next call
    completes the interrupted rotation.
    """
    found = await opened(ctx, connection, "rotate-credential")
    secret_id = await ctx.read(lambda unit: _secret_of(unit, found, request.field))
    pending = await ctx.read(lambda unit: _pending(unit, secret_id))
    resumed = pending is not None and await _logs_in(found, _with(found, request.field, pending[1]))
    if pending is not None and resumed:
        number = pending[0]
    else:
        value = random.token_urlsafe(_BYTES)
        number = await ctx.platform.workers.write.run(lambda: _store(ctx, secret_id, value))
        await asking.rotate(found.connector, found.config, found.egress, {request.field: value})

    def adopt(unit: Unit) -> RotatedCredential:
        row = unit.row(CONNECTION, found.connection.id, permission=CONNECTION.permission("rotate-credential"))
        unit.subject(row)
        stored = unit.row(SECRET, secret_id)
        secret = SECRET.resource(stored)
        secret.status.current_version = number
        unit.save(SECRET, stored, secret)
        unit.call.note(secret=secret_id)
        return RotatedCredential(secret_id=secret_id, version=number, resumed=resumed)

    return await ctx.write(adopt)


def _secret_of(unit: Unit, found: Opened, field: str) -> str:
    """Returns the id of the secret to rotate, which the caller may replace."""
    if Capability.ROTATE not in found.connector.capabilities:
        raise Conflict(
            f"{found.connector.title} can't replace a credential. Replace it there, and store the new value."
        )
    if field not in found.connection.spec.secrets:
        fault = {"pointer": "/field", "detail": "is set by no secret of this connection"}
        raise InvalidPayload(f"{found.connection.name} takes no {field!r} from a secret.", errors=[fault])
    id = found.connection.spec.secrets[field]
    require_use(unit, {field: id}, str(found.connection.project_id))
    return id


def _pending(unit: Unit, secret_id: str) -> tuple[int, str] | None:
    """Returns the newest version and its value if it is newer than the one that connections use."""
    current = SECRET.resource(unit.row(SECRET, secret_id)).status.current_version or 0
    newest = sa.select(SECRET_VERSION.c.number).where(
        SECRET_VERSION.c.secret_id == secret_id,
        SECRET_VERSION.c.number > current,
        SECRET_VERSION.c.destroyed_at.is_(None),
    )
    number = unit.connection.execute(newest.order_by(SECRET_VERSION.c.number.desc()).limit(1)).scalar()
    if number is None:
        return None
    return number, secrets.value_of(unit.connection, unit.platform.part(open_sealer), secret_id, number)


def _store(ctx: Context, secret_id: str, value: str) -> int:
    """Stores the value that the system is about to get. Connections don't use it yet."""
    with ctx.platform.database.write() as connection:
        unit = Unit(ctx, connection, writes=True)
        row = unit.row(SECRET, secret_id, permission=SECRET.permission(PUT_VERSION))
        return secrets.put(
            connection,
            ctx.platform.part(open_sealer),
            value,
            secret_id=row.id,
            organization_id=str(row.organization_id),
            project_id=str(row.project_id),
            by=ctx.principal.name,
            at=clock.now(),
        )


def _with(found: Opened, field: str, value: str) -> Config:
    return found.connector.config.completed(found.connection.spec.config, found.config.secret_values() | {field: value})


async def _logs_in(found: Opened, config: Config) -> bool:
    """Returns whether the system accepts a configuration."""
    outcomes = await asking.test(found.connector, config, found.egress)
    return all(one.state == "PASSED" for one in outcomes if one.name != "read")
