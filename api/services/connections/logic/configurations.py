"""Configurations of connections: their check, and their completion with the values of secrets."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Any

from pydantic import Field, ValidationError

from connectors.connector import Connector
from connectors.registry import CONNECTORS
from core.errors import InvalidPayload

FieldName = Annotated[str, Field(min_length=1, max_length=100)]
"""Name of a field of a configuration."""

_PLACEHOLDER = "0"
"""Stands for the value of a secret in a check. The check must not depend on it."""


def require_connector(name: str, at: str = "/spec/connector") -> Connector:
    """Returns a connector.

    Raises:
        InvalidPayload: there is none of this name.
    """
    if name not in CONNECTORS:
        known = ", ".join(sorted(CONNECTORS))
        fault = {"pointer": at, "detail": f"is none of {known}"}
        raise InvalidPayload(f"There is no connector type {name!r}.", errors=[fault])
    return CONNECTORS[name]


def checked(
    connector: str, config: Mapping[str, Any], secrets: Collection[str], *, at: str = "/spec/config"
) -> Connector:
    """Checks a configuration without the values of its secrets.

    Args:
        connector: name of the connector type.
        config: the configuration.
        secrets: the fields that secrets set.
        at: JSON pointer of the configuration in the request.

    Raises:
        InvalidPayload: the connector or the configuration is not valid.
    """
    return checked_for(require_connector(connector), config, secrets, at=at)


def checked_for(kind: Connector, config: Mapping[str, Any], secrets: Collection[str], *, at: str) -> Connector:
    """Does what `checked` does for a connector that is known."""
    fields = kind.config.secret_fields()
    faults = [
        {"pointer": f"{at}/{name}", "detail": "is a secret. Store its value as a secret, and refer to that"}
        for name in fields
        if name in config
    ]
    faults += [
        {"pointer": at.replace("config", f"secrets/{name}"), "detail": f"is no secret of {kind.title}"}
        for name in secrets
        if name not in fields
    ]
    if not faults:
        try:
            kind.config.completed(config, dict.fromkeys(secrets, _PLACEHOLDER))
        except ValidationError as error:
            faults = [_fault(one, at, fields) for one in error.errors(include_url=False, include_input=False)]
    if faults:
        first = faults[0]
        raise InvalidPayload(f"{first['pointer']}: {first['detail']}", errors=faults)
    return kind


def config_schema(kind: Connector) -> dict[str, Any]:
    """Returns the JSON Schema of a configuration."""
    return kind.config.model_json_schema()


def _fault(error: Any, at: str, secret_fields: Collection[str]) -> dict[str, str]:
    name = str(error["loc"][0]) if error["loc"] else ""
    if name in secret_fields:
        return {"pointer": at.replace("config", f"secrets/{name}"), "detail": "needs a secret"}
    return {"pointer": "/".join([at, *(str(part) for part in error["loc"])]), "detail": error["msg"]}
