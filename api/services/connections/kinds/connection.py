"""Connections: the databases and object stores that a project reaches."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from api.kernel.kinds import standard
from api.kernel.kinds.reference import Reference
from api.kernel.kinds.resource import Draft, Level, Resource, Spec, Status, Text, Title
from api.kernel.kinds.resource_kind import ResourceKind
from api.kernel.kinds.unit import Unit
from api.kernel.models import Name, Request
from api.kernel.references import RefersTo
from api.services.connections.kinds.secret import PUT_VERSION, SECRET
from api.services.connections.logic.configurations import FieldName, checked
from core.errors import InvalidPayload

SecretReference = Annotated[str, Field(max_length=128), RefersTo(("connections.secret",))]
"""Id or name of a secret of the same project."""

SecretReferences = Annotated[dict[FieldName, SecretReference], Field(max_length=20)]
"""Secrets by the field of the configuration that they set."""


class ConnectionState(StrEnum):
    """The state of a connection. Nothing uses a DISABLED connection."""

    ENABLED = "ENABLED"
    DISABLED = "DISABLED"


class ConnectionSpec(Spec):
    """A system, and how to reach it."""

    title: Title
    """Display name."""

    description: Text = ""
    """What the system holds, and who runs it."""

    connector: Annotated[str, Field(max_length=64, examples=["postgresql"])]
    """Name of the connector type."""

    config: dict[str, Any] = {}
    """Configuration, without secrets. `GET /connector-types/{id}/schema` returns its JSON Schema."""

    secrets: SecretReferences = {}
    """Ids of secrets of the same project, by the field of the configuration that they set."""


class ConnectionStatus(Status):
    """State of a connection."""

    state: ConnectionState = ConnectionState.ENABLED
    """ENABLED, or DISABLED. Nothing uses a DISABLED connection."""


class Connection(Resource[ConnectionSpec, ConnectionStatus]):
    """A database or object store that a project reaches."""


CONNECTION = ResourceKind(
    Connection,
    plural="connections",
    prefix="con",
    level=Level.PROJECT,
    filter_by=("spec.connector", "status.state"),
    immutable=("connector",),
    references=(Reference("secrets", "connections.secret"),),
)


class ConnectionCopy(Request):
    """A copy to create."""

    name: Name
    """Name of the copy."""


@CONNECTION.validate
def check_configuration(unit: Unit, connection: Connection, before: Connection | None) -> None:
    """Checks the configuration, and requires the right to use its secrets: a host decides who gets to see them."""
    spec = connection.spec
    if before is not None and (before.spec.config, before.spec.secrets) == (spec.config, spec.secrets):
        return
    checked(spec.connector, spec.config, spec.secrets)
    require_use(unit, spec.secrets, str(connection.project_id))


def require_use(unit: Unit, secrets: dict[str, str], project: str, at: str = "/spec/secrets") -> None:
    """Requires that each secret belongs to the project, and that the caller may use it.

    Raises:
        InvalidPayload: the caller can see no such secret, or it belongs to another project.
        PermissionDenied: the caller may not use one.
    """
    for field, id in secrets.items():
        row = unit.find(SECRET, id)
        visible = (
            row is not None and row.deleted_at is None and unit.allows(SECRET.permission("get"), row.securable, row)
        )
        if row is None or not visible or row.project_id != project:
            fault = {"pointer": f"{at}/{field}", "detail": "is no secret of this project that you may see"}
            raise InvalidPayload(f"There is no secret {id!r} in this project.", errors=[fault])
        unit.require(SECRET.permission(PUT_VERSION), row.securable, row)


@CONNECTION.command("clone", request=ConnectionCopy, result=Connection, past="cloned")
def clone_connection(unit: Unit, connection: Connection, request: ConnectionCopy) -> Connection:
    """Creates a connection with the same configuration and the same secrets, in the same project."""
    spec = connection.spec.model_copy(deep=True)
    draft = Draft[ConnectionSpec](
        name=request.name, project_id=connection.project_id, labels=connection.labels, spec=spec
    )
    return standard.create(unit, CONNECTION, draft)


@CONNECTION.transition(
    "disable", request=Request, sources=(ConnectionState.ENABLED,), to=ConnectionState.DISABLED, past="disabled"
)
def disable_connection(unit: Unit, connection: Connection, request: Request) -> None:
    """Disables a connection: nothing connects through it until it is enabled."""


@CONNECTION.transition(
    "enable", request=Request, sources=(ConnectionState.DISABLED,), to=ConnectionState.ENABLED, past="enabled"
)
def enable_connection(unit: Unit, connection: Connection, request: Request) -> None:
    """Enables a connection again."""
