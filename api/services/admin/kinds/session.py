"""Sessions: logins of browsers and scripts."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

import sqlalchemy as sa
from pydantic import Field

from api.kernel import tokens
from api.kernel.authentication import Authenticator, cookie_header
from api.kernel.context import Context
from api.kernel.cross_site import csrf_token
from api.kernel.kind import Kind
from api.kernel.listing import SqlListing
from api.kernel.models import ListQuery, Model, Page, Request
from api.kernel.roles import Role
from api.kernel.securable import ROOT
from api.kernel.tables import TOKEN
from api.kernel.unit import Unit
from api.services.admin.logic import credentials
from core import clock
from core.errors import NotFound

CURRENT = "current"
_LISTING = SqlListing(id=TOKEN.c.id, fields={}, newest_first=True)

SESSION = Kind(
    "session",
    plural="sessions",
    title="Session",
    description="A login. `current` is the id of the one the request is made with.",
    example=CURRENT,
)


class Session(Model):
    """A login, without its secret."""

    id: str
    """Id of the session."""

    user: str
    """Login name of its user."""

    role: Role | None
    """Highest built-in role the user holds on the platform; null if none, and in lists."""

    label: str
    """What the login was made with."""

    created_at: datetime
    """When the user logged in."""

    expires_at: datetime
    """When the login ends by itself."""


class Login(Request):
    """Credentials."""

    name: Annotated[str, Field(max_length=128)]
    """Login name."""

    password: Annotated[str, Field(max_length=1000, json_schema_extra={"format": "password"})]
    """Password."""


class LoggedIn(Model):
    """A new login. The token is shown only here; browsers also receive it as a cookie."""

    id: str
    """Id of the session."""

    user: str
    """Login name."""

    role: Role | None
    """Highest built-in role the user holds on the platform; null if none."""

    token: str
    """Bearer token of the session."""

    csrf_token: str
    """To be sent as `X-CSRF-Token` with changes authenticated by the cookie."""

    expires_at: datetime
    """When the login ends by itself."""


class LoggedOut(Model):
    """The end of a login."""

    id: str
    """Id of the session that ended."""


@SESSION.collection_action(
    "login", request=Login, result=LoggedIn, role=Role.VIEWER, public=True, secret=True, name="login", past="logged_in"
)
async def login(ctx: Context, request: Login) -> LoggedIn:
    """Logs in with name and password and starts a session.

    Answers the same, and equally late, whether the name or the password is wrong. Repeated failures are slowed down.
    """
    account = await credentials.check(ctx, request.name, request.password)
    hours = timedelta(hours=ctx.platform.settings.session_hours)
    secret, row = await ctx.transact(
        credentials.begin, account, address=ctx.client, expires_at=clock.now() + hours, session_id=ctx.subject
    )
    settings = ctx.platform.settings
    cookie = ctx.platform.part(Authenticator).cookie
    ctx.headers.append(
        ("set-cookie", cookie_header(cookie, secret, row.expires_at, secure=bool(settings.tls_certfile)))
    )
    return LoggedIn(
        id=row.id,
        user=account.name,
        role=ctx.principal.access.highest(ROOT),
        token=secret,
        csrf_token=csrf_token(secret),
        expires_at=row.expires_at,
    )


@SESSION.collection_action(
    "logout", request=Request, result=LoggedOut, role=Role.VIEWER, name="logout", past="logged_out", own=True
)
async def logout(ctx: Context, request: Request) -> LoggedOut:
    """Ends the session the request is made with, and its cookie."""
    ctx.subject = ctx.principal.token_id
    await ctx.write(lambda unit: _end(unit, ctx.principal.token_id))
    _set_cookie(ctx, "", clock.now())
    return LoggedOut(id=ctx.principal.token_id)


@SESSION.list(query=ListQuery, item=Session, own=True)
async def list_sessions(ctx: Context, query: ListQuery) -> Page[Session]:
    """Lists the caller's logins that hold now, newest first."""
    mine = (
        sa.select(*tokens.COLUMNS)
        .select_from(tokens.JOINED)
        .where(
            TOKEN.c.principal_id == ctx.principal.id,
            TOKEN.c.kind == tokens.TokenKind.SESSION.value,
            TOKEN.c.revoked_at.is_(None),
            TOKEN.c.expires_at > clock.now(),
        )
    )
    rows, token = await ctx.query(_LISTING.rows, mine, query)
    return Page[Session](items=[_session(tokens.row_of(row), None) for row in rows], next_page_token=token)


@SESSION.get(result=Session, own=True)
async def get_session(ctx: Context, session: str) -> Session:
    """Returns one of the caller's logins; `current` is the one the request is made with."""
    return _session(await _own(ctx, session), ctx.principal.access.highest(ROOT))


@SESSION.delete(role=Role.VIEWER, own=True)
async def delete_session(ctx: Context, session: str) -> None:
    """Ends one of the caller's logins at once, everywhere."""
    row = await _own(ctx, session)
    ctx.subject = row.id
    await ctx.write(lambda unit: _end(unit, row.id))


def _set_cookie(ctx: Context, secret: str, expires_at: datetime) -> None:
    name = ctx.platform.part(Authenticator).cookie
    secure = bool(ctx.platform.settings.tls_certfile)
    ctx.headers.append(("set-cookie", cookie_header(name, secret, expires_at, secure=secure)))


def _end(unit: Unit, id: str) -> None:
    tokens.revoke(unit.connection, id)
    unit.rights_changed()


async def _own(ctx: Context, id: str) -> tokens.TokenRow:
    row = await ctx.query(tokens.get, ctx.principal.token_id if id == CURRENT else id)
    if row.principal_id != ctx.principal.id:
        raise NotFound(f"There is no session {id!r}.")
    return row


def _session(row: tokens.TokenRow, role: Role | None) -> Session:
    return Session(
        id=row.id,
        user=row.principal,
        role=role,
        label=row.label,
        created_at=row.created_at,
        expires_at=row.expires_at,
    )
