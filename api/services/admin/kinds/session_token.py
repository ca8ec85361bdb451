"""The tokens of sessions: taken for new ones, looked at, ended. The protocol faces under `/oauth` do the same."""

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
    """A refresh token to use up."""

    refresh_token: Secret
    """The newest refresh token of the login."""


class Refreshed(Model):
    """The next tokens of a login. They are shown only here."""

    id: str
    """Id of the session."""

    token: str
    """Access token: a bearer token for a quarter of an hour."""

    token_expires_at: datetime
    """When the access token ends."""

    refresh_token: str
    """Buys the next access token, once."""

    expires_at: datetime
    """When the login ends by itself."""


class TokenQuery(Request):
    """A token to look at or to end."""

    token: Annotated[str, Field(max_length=20_000, json_schema_extra={"format": "password"})]
    """The token."""

    token_type_hint: HINT = ""
    """What the caller takes it for. Not needed: tokens are found without it."""


class Introspection(Model):
    """What a token is good for, as RFC 7662 names it. Of one that is not active, nothing else is told."""

    active: bool
    """Whether it holds now."""

    scope: str | None = None
    """Patterns of permissions it is limited to, separated by spaces; null if it can do all its principal can."""

    client_id: str | None = None
    """The service account it stands for; null for a user, if the token is not signed."""

    username: str | None = None
    """Login name of its principal."""

    token_type: str | None = None
    """How to send it: `Bearer`, or null for a refresh token."""

    exp: int | None = None
    """When it ends, in seconds since 1970."""

    iat: int | None = None
    """When it was issued, in seconds since 1970."""

    sub: str | None = None
    """Id of its principal."""

    jti: str | None = None
    """Id of the token."""

    aud: str | None = None
    """The only system that a signed token is for; null for tokens of this platform."""


class TokenRevoked(Model):
    """The token holds no more, if it ever did."""

    revoked: bool
    """Always true: nobody learns here which tokens there are."""


class UserInfo(Model):
    """Who asks, by the claim names of OpenID Connect."""

    sub: str
    """Id of the principal."""

    preferred_username: str
    """Login name."""

    name: str | None
    """Name for people."""

    email: str | None
    """Main address."""

    groups: list[str]
    """Names of the groups it is in, directly or through others."""

    organization_id: str
    """Organization it belongs to."""


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
    """Takes a refresh token for a new access token and the next refresh token.

    Each works once. If one comes a second time, somebody else has it, too: then the whole login ends at once.
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
    """Tells what a token is good for: one's own, or that of somebody whose sessions one may look into."""
    return await ctx.read(lambda unit: introspected(unit, request.token))


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
    """Ends a token at once, everywhere. To have it is right enough; a refresh token ends its whole login.

    Answers the same for a token that nobody knows.
    """
    if await ctx.query(tokens.holding, request.token) is None:
        ctx.recorded = True  # nothing happens, so nothing is told: else anybody could fill the audit log
        return TokenRevoked(revoked=True)

    def work(unit: Unit) -> TokenRevoked:
        valid = tokens.holding(unit.connection, request.token)
        if valid is not None:
            account = valid.principal
            whole = valid.kind is TokenKind.REFRESH
            ctx.principal = Principal(
                *(account.id, account.name, account.kind, account.organization_id, valid.id), ctx.principal.access
            )
            ctx.subject = valid.family if whole else valid.id
            ctx.securable = _place(account.organization_id)
            tokens.revoke(unit.connection, ctx.subject)
            unit.rights_changed()
        return TokenRevoked(revoked=True)

    return await ctx.write(work)


@SESSION.collection_action(
    "userinfo", request=Request, result=UserInfo, reads=True, role=Role.VIEWER, own=True, name="userinfo"
)
async def userinfo(ctx: Context, request: Request) -> UserInfo:
    """Tells who asks."""
    return await ctx.read(user_info)


def introspected(unit: Unit, secret: str) -> Introspection:
    """What the caller may know of a token."""
    valid = tokens.holding(unit.connection, secret)
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
    """Who the caller is."""
    principal = unit.principal
    row = unit.connection.execute(
        sa.select(RESOURCE.c.name, RESOURCE.c.spec).where(RESOURCE.c.id == principal.id)
    ).one()
    groups = list(groups_of(unit.connection, principal.id))
    names = unit.connection.execute(sa.select(RESOURCE.c.name).where(RESOURCE.c.id.in_(groups))).scalars()
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
