"""Stored connections, opened outside the API: for a run that reads through one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from connectors import secrets
from connectors.connector import Config, Connector
from connectors.egress import Egress
from connectors.egress_policies import egress_of
from connectors.registry import CONNECTORS
from core import clock
from core.db import Database
from core.errors import Conflict, NotFound
from core.sealing import Sealer
from core.settings import Settings

_RESOURCE = sa.table(
    "resource",
    *(sa.column(name) for name in ("id", "kind", "organization_id", "project_id", "name", "state", "deleted_at")),
    sa.column("spec", sa.JSON),
    sa.column("status", sa.JSON),
)
"""The columns of resources that a run needs. The API owns the table."""


@dataclass(frozen=True, slots=True)
class OpenedConnection:
    """A connection with the values of its secrets. It is never stored, logged, or returned."""

    id: str
    name: str
    connector: Connector
    config: Config
    egress: Egress


def open_connection(
    database: Database, settings: Settings, *, project: str, reference: str, principal_id: str
) -> OpenedConnection:
    """Returns a connection of a project, and records the use of its secrets before it happens.

    Args:
        database: the metadata database.
        settings: the settings of this process, which say where the master key is.
        project: name of the project.
        reference: id or name of the connection.
        principal_id: id of the principal with whose right it is used. Empty for code of the repository.

    Raises:
        NotFound: the project has no such connection.
        Conflict: it is disabled, or a secret has no value.
        Unavailable: a secret can't be decrypted.
    """
    sealer = Sealer(settings.keys_dir)
    with database.write() as connection:
        row = _connection(connection, project, reference)
        if row.state == "DISABLED":
            raise Conflict(f"The connection {row.name} is disabled. Enable it, and run the asset again.")
        values = {
            field: _value(connection, sealer, row, field, id, principal_id)
            for field, id in row.spec.get("secrets", {}).items()
        }
        rules = egress_of(connection, settings, row.organization_id, row.project_id)
    kind = CONNECTORS[row.spec["connector"]]
    config = kind.config.completed(row.spec.get("config", {}), values)
    return OpenedConnection(row.id, row.name, kind, config, rules)


def _connection(connection: Connection, project: str, reference: str) -> sa.Row[Any]:
    of_project = (
        sa.select(_RESOURCE.c.id)
        .where(_RESOURCE.c.kind == "admin.project", _RESOURCE.c.name == project, _RESOURCE.c.deleted_at.is_(None))
        .scalar_subquery()
    )
    row = connection.execute(
        sa.select(_RESOURCE).where(
            _RESOURCE.c.kind == "connections.connection",
            _RESOURCE.c.project_id == of_project,
            sa.or_(_RESOURCE.c.id == reference, _RESOURCE.c.name == reference),
            _RESOURCE.c.deleted_at.is_(None),
        )
    ).first()
    if row is None:
        raise NotFound(f"The project {project} has no connection {reference}. It may be deleted or renamed.")
    return row


def _value(
    connection: Connection, sealer: Sealer, user: sa.Row[Any], field: str, secret_id: str, principal_id: str
) -> str:
    secret = connection.execute(
        sa.select(_RESOURCE).where(_RESOURCE.c.id == secret_id, _RESOURCE.c.deleted_at.is_(None))
    ).first()
    number = secret.status.get("current_version") if secret else None
    if number is None:
        raise Conflict(f"The secret of {field} of the connection {user.name} has no value. Store one first.")
    value = secrets.value_of(connection, sealer, secret_id, number)
    secrets.note_access(
        connection,
        secret_id=secret_id,
        number=number,
        organization_id=user.organization_id,
        project_id=user.project_id,
        connection_id=user.id,
        purpose="load",
        principal_id=principal_id,
        at=clock.now(),
    )
    return value
