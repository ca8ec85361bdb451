"""Connections with the values of their secrets, for the time of one request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.engine import Connection as SqlConnection

from api.kernel.credentials.sealing import open_sealer
from api.kernel.kinds.context import Context
from api.kernel.kinds.unit import Unit
from api.kernel.platform import Platform
from api.kernel.storage import store
from api.services.connections.kinds.connection import CONNECTION, Connection, ConnectionState
from api.services.connections.kinds.secret import SECRET
from api.services.connections.logic.configurations import require_connector
from connectors.connector import Config, Connector
from connectors.egress import Egress
from connectors.egress_policies import egress_of
from connectors.secrets import note_access, value_of
from core import clock
from core.errors import Conflict, NotFound


@dataclass(frozen=True, slots=True)
class Opened:
    """A connection that is about to be used. It is never stored, logged, or returned."""

    connection: Connection
    connector: Connector
    config: Config
    egress: Egress


@dataclass(frozen=True, slots=True)
class UsedSecret:
    """A version of a secret that a request uses, with its value."""

    field: str
    secret_id: str
    organization_id: str
    project_id: str
    number: int
    value: str


async def opened(ctx: Context, id: str, verb: str) -> Opened:
    """Returns a connection that the caller may use, and records the use of its secrets before it happens.

    Raises:
        NotFound: there is no such connection that the caller can see.
        PermissionDenied: the caller lacks the permission of the verb on it.
        Conflict: it is disabled, or a secret has no value.
        Unavailable: a secret can't be decrypted.
    """

    def read(unit: Unit) -> tuple[Opened, list[UsedSecret]]:
        row = unit.row(CONNECTION, id, permission=CONNECTION.permission(verb))
        unit.subject(row)
        connection = CONNECTION.resource(row)
        used = used_secrets(unit, require_enabled(connection).spec.secrets)
        return _completed(unit.platform, unit.connection, connection, used), used

    found, used = await ctx.read(read)
    await note_use(ctx, used, found.connection.id, verb)
    return found


def used_secrets(unit: Unit, secrets: Mapping[str, str]) -> list[UsedSecret]:
    """Returns the current values of secrets by field. Does not check whether the caller may use them.

    Raises:
        Conflict: a secret was deleted, or has no value.
        Unavailable: a secret can't be decrypted.
    """
    return _values(unit.platform, unit.connection, secrets)


def _values(platform: Platform, connection: SqlConnection, secrets: Mapping[str, str]) -> list[UsedSecret]:
    sealer = platform.part(open_sealer)
    used = []
    for field, id in secrets.items():
        row = store.find(connection, SECRET.full_name, id, within=None)
        if row is None or row.deleted_at is not None:
            raise Conflict(f"The secret of {field} was deleted. Refer to another one.")
        number = SECRET.resource(row).status.current_version
        if number is None:
            raise Conflict(f"The secret {row.name} has no value. Store one first.")
        value = value_of(connection, sealer, row.id, number)
        used.append(UsedSecret(field, row.id, str(row.organization_id), str(row.project_id), number, value))
    return used


async def note_use(ctx: Context, used: Sequence[UsedSecret], connection_id: str, purpose: str) -> None:
    """Records that secrets are about to be used. If that fails, nothing uses them."""
    await _note_use(ctx.platform, ctx.principal.id, used, connection_id, purpose)


async def opened_by_platform(platform: Platform, id: str, purpose: str, principal_id: str) -> Opened:
    """Returns a connection for work that goes on without its caller, whose right was checked when it began.

    Raises:
        NotFound: the connection was deleted.
        Conflict, Unavailable: as `opened`.
    """

    def read(session: SqlConnection) -> tuple[Opened, list[UsedSecret]]:
        row = store.find(session, CONNECTION.full_name, id, within=None)
        if row is None or row.deleted_at is not None:
            raise NotFound("The connection was deleted.")
        connection = CONNECTION.resource(row)
        used = _values(platform, session, require_enabled(connection).spec.secrets)
        return _completed(platform, session, connection, used), used

    found, used = await platform.reads.run(read)
    await _note_use(platform, principal_id, used, found.connection.id, purpose)
    return found


def require_enabled(connection: Connection) -> Connection:
    """Returns a connection that may be used.

    Raises:
        Conflict: it is disabled.
    """
    if connection.status.state is ConnectionState.DISABLED:
        raise Conflict(f"{connection.name} is disabled. Enable it first.")
    return connection


def _completed(
    platform: Platform, session: SqlConnection, connection: Connection, used: Sequence[UsedSecret]
) -> Opened:
    connector = require_connector(connection.spec.connector)
    config = connector.config.completed(connection.spec.config, {one.field: one.value for one in used})
    place = str(connection.organization_id), str(connection.project_id)
    return Opened(connection, connector, config, egress_of(session, platform.settings, *place))


async def _note_use(
    platform: Platform, principal_id: str, used: Sequence[UsedSecret], connection_id: str, purpose: str
) -> None:
    if not used:
        return

    def note() -> None:
        with platform.database.write() as connection:
            for one in used:
                note_access(
                    connection,
                    secret_id=one.secret_id,
                    number=one.number,
                    organization_id=one.organization_id,
                    project_id=one.project_id,
                    connection_id=connection_id,
                    purpose=purpose,
                    principal_id=principal_id,
                    at=clock.now(),
                )

    await platform.workers.write.run(note)
