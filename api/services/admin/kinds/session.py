"""Sessions: logins of browsers and scripts."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any

import sqlalchemy as sa
from pydantic import Field

from api.kernel.credentials import tokens
from api.kernel.credentials.authentication import Authenticator, cookie_header
from api.kernel.http.cross_site import csrf_token
from api.kernel.kinds.context import Context
from api.kernel.kinds.kind import Kind
from api.kernel.kinds.unit import Unit
from api.kernel.models import ListQuery, Model, Page, Request
from api.kernel.permissions.power import Power
from api.kernel.roles import Role
from api.kernel.securable import ROOT
from api.kernel.storage.listing import SqlListing
from api.kernel.tables import TOKEN
from api.services.admin.logic import credentials, session_tokens
from api.services.admin.logic.password_policy import Policy
from api.services.admin.logic.session_tokens import Pair
from core import clock
from core.errors import NotFound

CURRENT = "current"
ENROLLING = (
    "admin.user.enroll_one_time_password",
    "admin.user.confirm_one_time_password",
)
"""Permissions of a login whose user must set up a one-time password first."""

Secret = Annotated[str, Field(max_length=1000, json_schema_extra={"format": "password"})]
LoginName = Annotated[str, Field(max_length=192)]
Code = Annotated[str, Field(max_length=64, json_schema_extra={"format": "password"})]
_LISTING = SqlListing(id=TOKEN.c.id, fields={}, newest_first=True)

SESSION = Kind(
    "session",
    plural="sessions",
    title="Session",
    description="A login. `current` is the id of the session that authenticates the request.",
    example=CURRENT,
    powers={
        "login": Power.BY_PROOF,
        "change-password": Power.BY_PROOF,
        "request-password-reset": Power.BY_PROOF,
        "reset-password": Power.BY_PROOF,
        "refresh": Power.BY_PROOF,
        "revoke": Power.NOTHING,
        "logout": Power.NOTHING,
        "delete": Power.NOTHING,
    },
)


class Session(Model):
    """A login, without its secret."""

    id: str
    """Id of the session."""

    user: str
    """Login name of the user."""

    role: Role | None
    """Highest built-in role of the user on the platform. Null if they have none, and in lists."""

    must_enroll: bool
    """Whether the session only allows the setup of a one-time password."""

    label: str
    """How the user logged in."""

    created_at: datetime
    """Time of the login."""

    expires_at: datetime
    """Time at which the session expires."""


class Login(Request):
    """Credentials of a user."""

    name: LoginName
    """Login name, or `organization/name`. A name without organization is that of the first user who had it."""

    password: Secret
    """Password of the user."""

    one_time_password: Code = ""
    """Code of the user's authenticator app, or a recovery code. Required if the user has a one-time password."""


class LoggedIn(Model):
    """A new session. No other response contains its tokens. Browsers also get a cookie that expires with it."""

    id: str
    """Id of the session."""

    user: str
    """Login name of the user."""

    role: Role | None
    """Highest built-in role of the user on the platform. Null if they have none."""

    token: str
    """Access token: a bearer token that is valid for 15 minutes."""

    token_expires_at: datetime
    """Time at which the access token expires."""

    refresh_token: str
    """Refresh token, which `sessions:refresh` exchanges once for new tokens."""

    csrf_token: str
    """Value of the header `X-CSRF-Token` in changes that the cookie authenticates."""

    expires_at: datetime
    """Time at which the session expires."""

    must_enroll: bool
    """Whether the user must set up a one-time password before anything else."""


class LoggedOut(Model):
    """The session that ended."""

    id: str
    """Id of the session."""


@SESSION.collection_action(
    "login", request=Login, result=LoggedIn, role=Role.VIEWER, public=True, secret=True, name="login", past="logged_in"
)
async def login(ctx: Context, request: Login) -> LoggedIn:
    """Logs in with name and password, and starts a session.

    The response and its time are the same whether the name or the password is wrong. Repeated failures are delayed.
    """
    checked = await credentials.check(ctx, request.name, request.password, request.one_time_password)
    checked.require_fresh_password()
    scopes = ENROLLING if checked.must_enroll else ()

    def change(unit: Unit) -> tuple[str, Pair]:
        credentials.accept(unit.connection, checked, ctx.client)
        options: dict[str, Any] = {"session_id": ctx.subject, "address": ctx.client, "scopes": scopes}
        options["life"] = session_life(ctx, checked.policy)
        cookie, session = session_tokens.start(unit.connection, checked.account, **options)
        return cookie, session_tokens.first_pair(unit.connection, session)

    cookie, pair = await ctx.write(change)
    set_cookie(ctx, cookie, pair.session.expires_at)
    return LoggedIn(
        id=pair.session.id,
        user=checked.account.name,
        role=None if scopes else ctx.principal.access.highest(ROOT),
        token=pair.access,
        token_expires_at=pair.access_expires_at,
        refresh_token=pair.refresh,
        csrf_token=csrf_token(cookie),
        expires_at=pair.session.expires_at,
        must_enroll=checked.must_enroll,
    )


@SESSION.collection_action(
    "logout", request=Request, result=LoggedOut, role=Role.VIEWER, name="logout", past="logged_out", own=True
)
async def logout(ctx: Context, request: Request) -> LoggedOut:
    """Ends the session that authenticates the request, and its cookie."""

    def change(unit: Unit) -> LoggedOut:
        ctx.subject = session_tokens.session_of(unit.connection, ctx.principal.token_id).id
        _end(unit, ctx.subject)
        return LoggedOut(id=ctx.subject)

    ended = await ctx.write(change)
    set_cookie(ctx, "", clock.now())
    return ended


@SESSION.list(query=ListQuery, item=Session, own=True)
async def list_sessions(ctx: Context, query: ListQuery) -> Page[Session]:
    """Lists the caller's valid sessions, newest first."""
    own = (
        sa.select(*tokens.COLUMNS)
        .select_from(tokens.JOINED)
        .where(
            TOKEN.c.principal_id == ctx.principal.id,
            TOKEN.c.kind == tokens.TokenKind.SESSION.value,
            TOKEN.c.revoked_at.is_(None),
            TOKEN.c.expires_at > clock.now(),
        )
    )
    rows, token = await ctx.query(_LISTING.rows, own, query)
    return Page[Session](items=[_session(tokens.row_of(row), None) for row in rows], next_page_token=token)


@SESSION.get(result=Session, own=True)
async def get_session(ctx: Context, session: str) -> Session:
    """Returns one of the caller's sessions. `current` is the one that authenticates the request."""
    return _session(await _require_own(ctx, session), ctx.principal.access.highest(ROOT))


@SESSION.delete(role=Role.VIEWER, own=True)
async def delete_session(ctx: Context, session: str) -> None:
    """Ends one of the caller's sessions immediately, everywhere."""
    row = await _require_own(ctx, session)
    ctx.subject = row.id
    await ctx.write(lambda unit: _end(unit, row.id))


def set_cookie(ctx: Context, secret: str, expires_at: datetime) -> None:
    """Adds the cookie of a session to the response. An empty secret deletes the cookie."""
    name = ctx.platform.part(Authenticator).cookie
    secure = bool(ctx.platform.settings.tls_certfile)
    ctx.headers.append(("set-cookie", cookie_header(name, secret, expires_at, secure=secure)))


def session_life(ctx: Context, policy: Policy) -> timedelta:
    """Returns the duration of a session."""
    return timedelta(hours=policy.session_hours or ctx.platform.settings.session_hours)


def _end(unit: Unit, id: str) -> None:
    tokens.revoke(unit.connection, id)
    unit.forget()


async def _require_own(ctx: Context, id: str) -> tokens.TokenRow:
    if id == CURRENT:
        return await ctx.query(session_tokens.session_of, ctx.principal.token_id)
    try:
        row = await ctx.query(tokens.get, id)
    except NotFound:
        raise SESSION.unknown(id) from None
    if row.principal_id != ctx.principal.id or row.kind is not tokens.TokenKind.SESSION:
        raise SESSION.unknown(id)
    return row


def _session(row: tokens.TokenRow, role: Role | None) -> Session:
    return Session(
        id=row.id,
        user=row.principal,
        role=role,
        must_enroll=tuple(row.scopes) == ENROLLING,
        label=row.label,
        created_at=row.created_at,
        expires_at=row.expires_at,
    )
