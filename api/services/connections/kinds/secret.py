"""Secrets: passwords and keys that connections use. No operation returns their values."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from api.kernel.credentials.sealing import open_sealer
from api.kernel.kinds.resource import Level, Resource, Spec, Status, Text, Title
from api.kernel.kinds.resource_kind import ResourceKind
from api.kernel.kinds.unit import Unit
from api.kernel.models import Request
from connectors import secrets

PUT_VERSION = "put-version"
"""The right to store a value. Who holds it may use the secret in a connection, too."""

SecretValue = Annotated[str, Field(min_length=1, max_length=20_000, json_schema_extra={"format": "password"})]
"""The value of a secret."""


class SecretSpec(Spec):
    """What a secret is for."""

    title: Title
    """Display name."""

    description: Text = ""
    """What it opens, and who can replace it."""

    rotate_after_days: Annotated[int | None, Field(ge=1, le=3650)] = None
    """Days after which its value should be replaced. Null if it never has to."""


class SecretStatus(Status):
    """Which value a secret has. The value itself is never returned."""

    current_version: int | None = None
    """Number of the version that connections use. Null until a value is stored."""


class Secret(Resource[SecretSpec, SecretStatus]):
    """A password or key that connections use. No operation returns its value."""


SECRET = ResourceKind(
    Secret, plural="secrets", prefix="sec", level=Level.PROJECT, filter_by=("status.current_version",)
)


class NewValue(Request):
    """A value to store."""

    value: SecretValue
    """The value. It is stored encrypted and never returned."""


@SECRET.command(PUT_VERSION, request=NewValue, result=Secret, past="version_stored")
def put_secret_version(unit: Unit, secret: Secret, request: NewValue) -> Secret:
    """Stores a value as a new version of a secret. Connections use it from now on."""
    store_value(unit, secret, request.value)
    return secret


def store_value(unit: Unit, secret: Secret, value: str, *, use: bool = True) -> int:
    """Stores a value as a new version, and returns its number. With `use`, connections use it from now on."""
    number = secrets.put(
        unit.connection,
        unit.platform.part(open_sealer),
        value,
        secret_id=secret.id,
        organization_id=str(secret.organization_id),
        project_id=str(secret.project_id),
        by=unit.principal.name,
        at=unit.now,
    )
    if use:
        secret.status.current_version = number
    return number
