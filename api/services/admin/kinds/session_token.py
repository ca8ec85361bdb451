"""Tokens of sessions: refresh, introspection, and revocation. The endpoints under `/oauth` do the same."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import sqlalchemy as sa
from pydantic import Field

from api.kernel.credentials import tokens
from api.kernel.credentials.tokens import TokenKind
from api.kernel.kinds.context import Context
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Request
from api.kernel.permissions.grants import groups_of
from api.kernel.permissions.principal import Principal, PrincipalKind
from api.kernel.roles import Role
from api.kernel.securable import Securable
from api.kernel.tables import RESOURCE, TOKEN
from api.services.admin.kinds.session import SESSION, Secret
from api.services.admin.logic import session_tokens, signed_tokens

HINT = Annotated[str, Field(max_length=64, examples=["access_token"])]


class Refresh(Request):
    """A refresh token to exchange."""

    refresh_token: Secret
    """The newest refresh token of the session."""


class Refreshed(Model):
    """New tokens of a session. No other response contains them."""

    id: str
    """Id of the session."""

    token: str
    """Access token: a bearer token that is valid for 15 minutes."""

    token_expires_at: datetime
    """Time at which the access token expires."""

    refresh_token: str
    """Refresh token, which can be exchanged once for new tokens."""

    expires_at: datetime
    """Time at which the session expires."""


class TokenQuery(Request):
    """A token to introspect or revoke."""

    token: Annotated[str, Field(max_length=20_000, json_schema_extra={"format": "password"})]
    """The token."""

    token_type_hint: HINT = ""
    """Type of the token according to the caller. It is not needed."""


class Introspection(Model):
    """State of a token in the fields of RFC 7662. For a token that is not active, all other fields are null."""

    active: bool
    """Whether the token is valid now."""

    scope: str | None = None
    """Patterns of permissions that limit it, separated by spaces. Null if it has all rights of its principal."""

    client_id: str | None = None
    """Id of the service account that it authenticates. Null for a user, unless the token is signed."""

    username: str | None = None
    """Login name of its principal."""

    token_type: str | None = None
    """`Bearer`, or null for a refresh token."""

    exp: int | None = None
    """Time at which it expires, in seconds since 1970."""

    iat: int | None = None
    """Time at which it was issued, in seconds since 1970."""

    sub: str | None = None
    """Id of its principal."""

    jti: str | None = None
    """Id of the token."""

    aud: str | None = None
    """Audience of a signed token. Null for tokens of this platform."""


class TokenRevoked(Model):
    """Confirmation that the token is not valid."""

    revoked: bool
    """Always true, so that the response does not disclose which tokens exist."""


class UserInfo(Model):
    """The caller, in the claims of OpenID Connect."""

    sub: str
    """Id of the principal."""

    preferred_username: str
    """Login name of the principal."""

    name: str | None
    """Display name."""

    email: str | None
    """Primary mail address."""

    groups: list[str]
    """Names of the groups of its organization that it is a member of, directly or through other groups."""

    organization_id: str
    """Id of its organization."""


@SESSION.collection_action(
    "refresh",
    request=Refresh,
    result=Refreshed,
    role=Role.VIEWER,
    public=True,
    secret=True,
    past="refreshed",
    name="refresh_session",
)
async def refresh_session(ctx: Context, request: Refresh) -> Refreshed:
    """Exchanges a refresh token for a new access token and a new refresh token.

    Each refresh token works once. If it is used again, it was stolen, and the session ends immediately.
    """
    pair = await session_tokens.refresh(ctx, request.refresh_token)
    return Refreshed(
        id=pair.session.id,
        token=pair.access,
        token_expires_at=pair.access_expires_at,
        refresh_token=pair.refresh,
        expires_at=pair.session.expires_at,
    )


@SESSION.collection_action(
    "introspect", request=TokenQuery, result=Introspection, reads=True, role=Role.ADMIN, own=True, name="introspect"
)
async def introspect(ctx: Context, request: TokenQuery) -> Introspection:
    """Returns the state of a token of the caller, or of a user whose sessions they can introspect."""
    return await ctx.read(lambda unit: token_state(unit, request.token))


@SESSION.collection_action(
    "revoke",
    request=TokenQuery,
    result=TokenRevoked,
    role=Role.VIEWER,
    public=True,
    secret=True,
    past="token_revoked",
    name="revoke_token",
)
async def revoke_token(ctx: Context, request: TokenQuery) -> TokenRevoked:
    """Revokes a token immediately, everywhere. Possession of the token is enough; a refresh token ends its session.

    The response is the same for an unknown token.
    """
    if await ctx.query(tokens.valid, request.token) is None:
        ctx.recorded = True  # An unknown token leaves no event. Otherwise, anyone could fill the audit log.
        return TokenRevoked(revoked=True)

    def change(unit: Unit) -> TokenRevoked:
        valid = tokens.valid(unit.connection, request.token)
        if valid is not None:
            account = valid.principal
            is_refresh = valid.kind is TokenKind.REFRESH
            ctx.principal = Principal(
                *(account.id, account.name, account.kind, account.organization_id, valid.id), ctx.principal.access
            )
            ctx.subject = valid.family if is_refresh else valid.id
            ctx.securable = _place(account.organization_id)
            tokens.revoke(unit.connection, ctx.subject)
            unit.forget()
        return TokenRevoked(revoked=True)

    return await ctx.write(change)


@SESSION.collection_action(
    "userinfo", request=Request, result=UserInfo, reads=True, role=Role.VIEWER, own=True, name="userinfo"
)
async def userinfo(ctx: Context, request: Request) -> UserInfo:
    """Returns the caller."""
    return await ctx.read(user_info)


def token_state(unit: Unit, secret: str) -> Introspection:
    """Returns the state of a token as far as the caller can see it."""
    valid = tokens.valid(unit.connection, secret)
    if valid is None:
        return Introspection(active=False)
    account = valid.principal
    if account.id != unit.principal.id and not unit.allows("admin.session.introspect", _place(account.organization_id)):
        return Introspection(active=False)
    signed = signed_tokens.claims_of(secret) if valid.kind is TokenKind.SIGNED else {}
    created_at = unit.connection.execute(sa.select(TOKEN.c.created_at).where(TOKEN.c.id == valid.id)).scalar_one()
    return Introspection(
        active=True,
        scope=" ".join(valid.scopes) or None,
        client_id=account.id if account.kind is PrincipalKind.SERVICE_ACCOUNT else signed.get("client_id"),
        username=account.name,
        token_type=None if valid.kind is TokenKind.REFRESH else "Bearer",
        exp=int(valid.expires_at.timestamp()),
        iat=int(created_at.timestamp()),
        sub=account.id,
        jti=valid.id,
        aud=signed.get("aud"),
    )


def user_info(unit: Unit) -> UserInfo:
    """Returns the caller in the claims of OpenID Connect."""
    principal = unit.principal
    row = unit.connection.execute(
        sa.select(RESOURCE.c.name, RESOURCE.c.spec).where(RESOURCE.c.id == principal.id)
    ).one()
    groups = list(groups_of(unit.connection, principal.id))
    # Groups of other organizations can have the same names.
    same_organization = RESOURCE.c.organization_id == principal.organization_id
    names = unit.connection.execute(
        sa.select(RESOURCE.c.name).where(RESOURCE.c.id.in_(groups), same_organization)
    ).scalars()
    emails = row.spec.get("emails") or []
    return UserInfo(
        sub=principal.id,
        preferred_username=principal.name,
        name=row.spec.get("title"),
        email=emails[0] if emails else None,
        groups=sorted(names),
        organization_id=principal.organization_id,
    )


def _place(organization_id: str) -> Securable:
    return Securable("admin.organization", organization_id, organization_id)
