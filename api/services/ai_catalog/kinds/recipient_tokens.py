"""Tokens of recipients: a one-time link activates a token, rotation overlaps, and revocation takes effect at once."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any

import sqlalchemy as sa
from pydantic import Field

from api.kernel.credentials.tokens import digest_of
from api.kernel.kinds.context import Context
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Query, Request
from api.kernel.references import ORGANIZATION
from api.kernel.roles import Role
from api.kernel.securable import Securable
from api.services.ai_catalog.kinds.recipient import RECIPIENT, Recipient
from api.services.ai_catalog.logic import recipients, sharing
from api.services.ai_catalog.sharing_tables import RECIPIENT_TOKEN as TABLE
from core.errors import Conflict, NotFound
from core.ids import new_id

ACTIVATION_PAGE = "/share-activation"
"""Path of the page that downloads a profile. The link's secret follows after #, which browsers send to no server."""


class RecipientTokenState(StrEnum):
    """State of a token. A PENDING one waits for its link to be used."""

    PENDING = "PENDING"
    ACTIVE = "ACTIVE"
    EXPIRED = "EXPIRED"
    REVOKED = "REVOKED"


class RecipientToken(Model):
    """A token of a recipient, without its secret."""

    id: str
    """Id of the token."""

    state: RecipientTokenState
    """State of the token."""

    created_at: datetime
    """Time at which its link was issued."""

    created_by: str
    """Name of the principal that issued the link."""

    link_expires_at: datetime
    """Time at which the link expires."""

    activated_at: datetime | None
    """Time at which the link was used. Null until then."""

    expires_at: datetime | None
    """Time at which the token expires. Null until it is activated."""

    revoked_at: datetime | None
    """Time at which it was revoked. Null while it is not."""


class RecipientTokens(Model):
    """The tokens of a recipient."""

    items: list[RecipientToken]
    """The tokens, newest first."""


class ActivationLink(Model):
    """A link that the recipient uses once to download a profile."""

    token_id: str
    """Id of the token that the link activates."""

    url: str
    """The link. No other response contains it."""

    secret: str
    """The secret of the link, for `recipients:activate`."""

    expires_at: datetime
    """Time at which the link expires."""


class Inviting(Request):
    """How long the link works."""

    link_hours: Annotated[int, Field(ge=1, le=24 * 30)] = 72
    """Hours until the link expires."""


class Rotating(Inviting):
    """How to rotate."""

    overlap_hours: Annotated[int, Field(ge=0, le=24 * 30)] = 24
    """Hours for which the former tokens remain valid, so that the recipient can switch. 0 ends them at once."""


class Activation(Request):
    """Use of a link."""

    secret: Annotated[str, Field(min_length=1, max_length=200)]
    """Secret of the link."""


class Profile(Model):
    """A profile file of Delta Sharing. Store it as `<name>.share`, where only its user can read it."""

    share_credentials_version: int = Field(serialization_alias="shareCredentialsVersion")
    """Version of the format."""

    endpoint: str
    """URL of the server."""

    bearer_token: str = Field(serialization_alias="bearerToken")
    """Bearer token. No other response contains it."""

    expiration_time: str = Field(serialization_alias="expirationTime")
    """Time at which the token expires."""


class RevokedTokens(Model):
    """The result of a revocation."""

    revoked: int
    """Number of tokens and links that ended."""


@RECIPIENT.command("invite", request=Inviting, result=ActivationLink, role=Role.ADMIN, past="invited", secret=True)
def invite_recipient(unit: Unit, recipient: Recipient, request: Inviting) -> ActivationLink:
    """Issues the link with which a recipient downloads its first profile. It works once.

    The caller must be able to read all tables that the recipient can read. An earlier unused link ends.
    """
    sharing.require_readable(unit, sharing.objects_of_recipient(unit.connection, recipient.id))
    if unit.connection.execute(sa.select(TABLE.c.id).where(recipients.valid(recipient.id, unit.now))).first():
        raise Conflict(f"{recipient.name} has a valid token. Rotate it, or revoke it first.")
    return _link(unit, recipient, request)


@RECIPIENT.command("rotate", request=Rotating, result=ActivationLink, role=Role.ADMIN, past="rotated", secret=True)
def rotate_recipient(unit: Unit, recipient: Recipient, request: Rotating) -> ActivationLink:
    """Issues a link to a new token, and ends the current ones after an overlap.

    The caller must be able to read all tables that the recipient can read. An earlier unused link ends.
    """
    sharing.require_readable(unit, sharing.objects_of_recipient(unit.connection, recipient.id))
    ends = unit.now + timedelta(hours=request.overlap_hours)
    current = recipients.valid(recipient.id, unit.now)
    if not unit.connection.execute(sa.select(TABLE.c.id).where(current)).first():
        raise Conflict(f"{recipient.name} has no valid token. Invite it.")
    unit.connection.execute(TABLE.update().where(current, TABLE.c.expires_at > ends).values(expires_at=ends))
    unit.call.note(overlap_hours=request.overlap_hours)
    return _link(unit, recipient, request)


@RECIPIENT.command("revoke", request=Request, result=RevokedTokens, role=Role.ADMIN)
def revoke_recipient(unit: Unit, recipient: Recipient, request: Request) -> RevokedTokens:
    """Ends all tokens and links of a recipient, and its links to files, immediately and in every process."""
    tokens = TABLE.update().where(TABLE.c.recipient_id == recipient.id, TABLE.c.revoked_at.is_(None))
    return RevokedTokens(revoked=unit.connection.execute(tokens.values(revoked_at=unit.now)).rowcount)


@RECIPIENT.view("tokens", query=Query, result=RecipientTokens, role=Role.ADMIN)
def get_recipient_tokens(unit: Unit, recipient: Recipient, query: Query) -> RecipientTokens:
    """Returns the tokens and links of a recipient, without their secrets."""
    rows = sa.select(TABLE).where(TABLE.c.recipient_id == recipient.id).order_by(TABLE.c.id.desc())
    return RecipientTokens(items=[_token(row, unit.now) for row in unit.connection.execute(rows)])


@RECIPIENT.collection_action(
    "activate",
    request=Activation,
    result=Profile,
    role=Role.ADMIN,
    public=True,
    secret=True,
    name="activate_recipient",
)
async def activate_recipient(ctx: Context, request: Activation) -> Profile:
    """Uses a link, once, and returns the profile with a bearer token. Needs no login."""
    return await ctx.write(lambda unit: _activated(unit, request.secret))


def _activated(unit: Unit, secret: str) -> Profile:
    pending = (
        TABLE.c.link_digest == digest_of(secret),
        TABLE.c.digest.is_(None),
        TABLE.c.revoked_at.is_(None),
        TABLE.c.link_expires_at > unit.now,
    )
    row = unit.connection.execute(sa.select(TABLE).where(*pending).with_for_update()).first()
    recipient = row and recipients.find(unit.connection, row.recipient_id, unit.call.client)
    if row is None or recipient is None:
        raise NotFound("The link is unknown, was used, or has expired. Ask the provider of the data for another one.")
    token = f"{recipients.PREFIX}{secrets.token_urlsafe(32)}"
    expires_at = unit.now + timedelta(days=row.days)
    values: dict[str, Any] = {"digest": digest_of(token), "activated_at": unit.now, "expires_at": expires_at}
    used = TABLE.update().where(TABLE.c.id == row.id, *pending).values(link_digest=None, **values)
    if unit.connection.execute(used).rowcount != 1:
        raise NotFound("The link was used. Ask the provider of the data for another one.")
    unit.call.subject = recipient.id
    unit.call.securable = Securable(ORGANIZATION, recipient.organization_id, recipient.organization_id)
    unit.call.note(token_id=row.id, recipient=recipient.name)
    return Profile(
        share_credentials_version=1,
        endpoint=f"{recipients.address(unit.platform)}/delta-sharing",
        bearer_token=token,
        expiration_time=expires_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    )


def _link(unit: Unit, recipient: Recipient, request: Inviting) -> ActivationLink:
    pending = TABLE.c.recipient_id == recipient.id, TABLE.c.digest.is_(None), TABLE.c.revoked_at.is_(None)
    unit.connection.execute(TABLE.update().where(*pending).values(revoked_at=unit.now))
    id, secret = new_id("rct"), f"hwl_{secrets.token_urlsafe(32)}"
    expires_at = unit.now + timedelta(hours=request.link_hours)
    unit.connection.execute(
        TABLE.insert().values(
            id=id,
            organization_id=recipient.organization_id,
            recipient_id=recipient.id,
            link_digest=digest_of(secret),
            link_expires_at=expires_at,
            days=recipient.spec.token_days,
            created_at=unit.now,
            created_by=unit.principal.name,
        )
    )
    unit.call.note(token_id=id)
    url = f"{recipients.address(unit.platform)}{ACTIVATION_PAGE}#{secret}"
    return ActivationLink(token_id=id, url=url, secret=secret, expires_at=expires_at)


def _token(row: Any, now: datetime) -> RecipientToken:
    ends = row.link_expires_at if row.digest is None else row.expires_at
    if row.revoked_at is not None:
        state = RecipientTokenState.REVOKED
    elif ends <= now:
        state = RecipientTokenState.EXPIRED
    else:
        state = RecipientTokenState.PENDING if row.digest is None else RecipientTokenState.ACTIVE
    fields = RecipientToken.model_fields.keys() - {"state"}
    return RecipientToken(**{name: getattr(row, name) for name in fields}, state=state)
