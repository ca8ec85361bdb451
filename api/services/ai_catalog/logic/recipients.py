"""Recipients as callers of the Delta Sharing server."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.credentials.tokens import digest_of
from api.kernel.platform import Platform
from api.kernel.references import ORGANIZATION
from api.kernel.tables import RESOURCE
from api.services.ai_catalog.sharing_tables import RECIPIENT_TOKEN as TABLE
from core import clock

PREFIX = "hws_"
"""First characters of the tokens."""

KIND = "ai_catalog.recipient"
"""The kind of recipients."""


@dataclass(frozen=True, slots=True)
class RecipientCaller:
    """An authenticated recipient."""

    id: str
    name: str
    organization_id: str
    token_id: str = ""


def valid(recipient_id: str, now: datetime) -> sa.ColumnElement[bool]:
    """Returns the condition for the tokens of a recipient that are valid."""
    return sa.and_(
        TABLE.c.recipient_id == recipient_id,
        TABLE.c.digest.is_not(None),
        TABLE.c.revoked_at.is_(None),
        TABLE.c.expires_at > now,
    )


def find(connection: Connection, id: str, client: str, token_id: str = "") -> RecipientCaller | None:
    """Returns the recipient with this id if it and its organization are active, and its networks include the client."""
    organization = RESOURCE.alias("organization")
    row = connection.execute(
        sa.select(RESOURCE.c.id, RESOURCE.c.name, RESOURCE.c.organization_id, RESOURCE.c.spec)
        .join(organization, organization.c.id == RESOURCE.c.organization_id)
        .where(RESOURCE.c.id == id, RESOURCE.c.kind == KIND, RESOURCE.c.deleted_at.is_(None))
        .where(organization.c.kind == ORGANIZATION, organization.c.deleted_at.is_(None))
        .where(organization.c.state == "ACTIVE")
    ).first()
    if row is None or not _within(client, row.spec.get("networks") or []):
        return None
    return RecipientCaller(row.id, row.name, row.organization_id, token_id)


def of_secret(connection: Connection, secret: str, client: str) -> RecipientCaller | None:
    """Returns the recipient with this token, if it is valid, as `find`."""
    row = connection.execute(sa.select(TABLE.c.id).where(TABLE.c.digest == digest_of(secret))).first()
    return None if row is None else of_token(connection, row.id, client)


def of_token(connection: Connection, token_id: str, client: str) -> RecipientCaller | None:
    """Returns the recipient of the token with this id, if it is valid, as `find`."""
    row = connection.execute(sa.select(TABLE).where(TABLE.c.id == token_id)).first()
    if row is None or row.digest is None or row.revoked_at is not None or row.expires_at <= clock.now():
        return None
    return find(connection, row.recipient_id, client, row.id)


def address(platform: Platform) -> str:
    """Returns the URL of the platform for recipients."""
    settings = platform.settings
    scheme = "https" if settings.tls_certfile else "http"
    return settings.url.rstrip("/") or f"{scheme}://{settings.host}:{settings.port}"


def _within(client: str, networks: list[str]) -> bool:
    if not networks:
        return True
    try:
        parsed = ipaddress.ip_address(client)
    except ValueError:
        return False
    parsed = getattr(parsed, "ipv4_mapped", None) or parsed
    return any(parsed in ipaddress.ip_network(network) for network in networks)
