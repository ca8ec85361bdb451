"""Webhook endpoints: URLs of an organization to which its events are posted."""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.outbox import deliveries
from api.kernel.outbox.tables import WEBHOOK_ENDPOINT
from core import clock, events
from core.addresses import parse_address
from core.errors import InvalidPayload, NotFound
from core.ids import new_id
from core.sealing import Sealer

KIND = "admin.webhook_endpoint"
PREFIX = "webhook:"
"""Prefix of the consumer names of endpoints."""


class WebhookState(StrEnum):
    """State of an endpoint. A `DISABLED` endpoint receives nothing, and its events are not delivered later either."""

    ACTIVE = "ACTIVE"
    DISABLED = "DISABLED"


@dataclass(frozen=True, slots=True)
class WebhookEndpoint:
    """A URL to which events are posted."""

    id: str
    organization_id: str
    project_id: str | None
    url: str
    types: tuple[str, ...]
    secret: str
    """Signing secret, sealed."""
    former_secret: str | None
    """Former signing secret, sealed. It also signs until `former_until`."""
    former_until: datetime | None
    state: WebhookState
    created_at: datetime

    @property
    def consumer(self) -> str:
        """Name of the consumer in the outbox."""
        return consumer_of(self.id)


def consumer_of(id: str) -> str:
    """Returns the consumer name of an endpoint."""
    return f"{PREFIX}{id}"


def create(
    connection: Connection,
    sealer: Sealer,
    *,
    organization_id: str,
    url: str,
    types: Sequence[str],
    project_id: str | None = None,
    id: str = "",
) -> tuple[WebhookEndpoint, str]:
    """Stores an endpoint. It receives the events from now on. Returns it with its signing secret.

    Raises:
        InvalidPayload: the URL is not a plain http or https URL.
    """
    require_url(url)
    id, secret = id or new_id("whk"), _new_secret()
    values: dict[str, Any] = {"id": id, "organization_id": organization_id, "project_id": project_id, "url": url}
    values |= {"types": list(types), "secret": sealer.seal(secret, id), "state": WebhookState.ACTIVE.value}
    connection.execute(WEBHOOK_ENDPOINT.insert().values(**values, created_at=clock.now()))
    endpoint = get(connection, id)
    deliveries.create_cursor(connection, endpoint.consumer, events.head(connection)[0])
    return endpoint, secret


def change(connection: Connection, id: str, *, url: str, types: Sequence[str], project_id: str | None) -> None:
    """Changes the URL and the filters of an endpoint.

    Raises:
        InvalidPayload: the URL is not a plain http or https URL.
    """
    require_url(url)
    values = {"url": url, "types": list(types), "project_id": project_id}
    connection.execute(WEBHOOK_ENDPOINT.update().where(WEBHOOK_ENDPOINT.c.id == id).values(**values))


def rotate_secret(connection: Connection, sealer: Sealer, id: str, overlap: timedelta = timedelta()) -> str:
    """Replaces the signing secret of an endpoint and returns the new one.

    The former secret also signs during the overlap. A secret that was replaced before is no longer used.
    """
    secret = _new_secret()
    values: dict[str, Any] = {"secret": sealer.seal(secret, id), "former_secret": None, "former_until": None}
    if overlap:
        values |= {"former_secret": WEBHOOK_ENDPOINT.c.secret, "former_until": clock.now() + overlap}
    connection.execute(WEBHOOK_ENDPOINT.update().where(WEBHOOK_ENDPOINT.c.id == id).values(**values))
    return secret


def get(connection: Connection, id: str) -> WebhookEndpoint:
    """Returns the endpoint with this id.

    Raises:
        NotFound: there is none.
    """
    row = connection.execute(sa.select(WEBHOOK_ENDPOINT).where(WEBHOOK_ENDPOINT.c.id == id)).first()
    if row is None:
        raise NotFound(f"There is no webhook endpoint {id!r}.")
    return _endpoint(row)


def active(connection: Connection) -> list[WebhookEndpoint]:
    """Returns the active endpoints."""
    query = sa.select(WEBHOOK_ENDPOINT).where(WEBHOOK_ENDPOINT.c.state == WebhookState.ACTIVE.value)
    return [_endpoint(row) for row in connection.execute(query.order_by(WEBHOOK_ENDPOINT.c.id))]


def disable(connection: Connection, id: str) -> None:
    """Disables an endpoint and removes its pending deliveries."""
    values = {"state": WebhookState.DISABLED.value}
    connection.execute(WEBHOOK_ENDPOINT.update().where(WEBHOOK_ENDPOINT.c.id == id).values(**values))
    deliveries.remove(connection, consumer_of(id))


def enable(connection: Connection, id: str) -> None:
    """Enables an endpoint. It receives the events from now on."""
    endpoint = get(connection, id)
    values = {"state": WebhookState.ACTIVE.value}
    connection.execute(WEBHOOK_ENDPOINT.update().where(WEBHOOK_ENDPOINT.c.id == id).values(**values))
    deliveries.create_cursor(connection, endpoint.consumer, events.head(connection)[0])


def delete(connection: Connection, id: str) -> None:
    """Removes an endpoint with its deliveries."""
    connection.execute(WEBHOOK_ENDPOINT.delete().where(WEBHOOK_ENDPOINT.c.id == id))
    deliveries.remove(connection, consumer_of(id))


def _new_secret() -> str:
    return f"whsec_{base64.b64encode(os.urandom(24)).decode()}"


def require_url(url: str) -> None:
    """Raises `InvalidPayload` unless this is a plain http or https URL."""
    try:
        parts = parse_address(url)
        is_plain = parts.scheme in ("http", "https") and not parts.username and not parts.fragment
    except ValueError:
        is_plain = False
    if not is_plain:
        raise InvalidPayload(
            "A webhook needs an http or https URL with a host, without a user name or a fragment.",
            errors=[{"pointer": "/spec/url", "detail": "is not such a URL"}],
        )


def _endpoint(row: sa.Row[*tuple[Any, ...]]) -> WebhookEndpoint:
    values = dict(row._mapping)
    return WebhookEndpoint(**values | {"types": tuple(values["types"]), "state": WebhookState(values["state"])})
