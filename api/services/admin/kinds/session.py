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
from api.kernel.roles import Role
from api.kernel.securable import ROOT
from api.kernel.storage.listing import SqlListing
from api.kernel.tables import TOKEN
from api.services.admin.logic import credentials, password_policy, session_tokens
from api.services.admin.logic.password_policy import Policy
from api.services.admin.logic.session_tokens import Pair
from core import clock
from core.errors import InvalidPayload, NotFound

CURRENT = "current"
ENROLLING = (
    "admin.user.enroll_one_time_password",
    "admin.user.confirm_one_time_password",
)
"""All that a login may do whose user has yet to set up a one-time password."""

Secret = Annotated[str, Field(max_length=1000, json_schema_extra={"format": "password"})]
Code = Annotated[str, Field(max_length=64, json_schema_extra={"format": "password"})]
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

    must_enroll: bool
    """Whether it can do nothing but set up a one-time password."""

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

    password: Secret
    """Password."""

    one_time_password: Code = ""
    """The code of his authenticator app, or a recovery code, for a user who has one."""


class PasswordChange(Request):
    """A password to take the place of another one."""

    name: Annotated[str, Field(max_length=128)]
    """Login name."""

    password: Secret
    """The password as it is."""

    new_password: Secret
    """The password as it shall be."""

    one_time_password: Code = ""
    """The code of his authenticator app, or a recovery code, for a user who has one."""


class LoggedIn(Model):
    """A new login. Its tokens are shown only here; browsers also receive a cookie, which lives as long as the login."""

    id: str
    """Id of the session."""

    user: str
    """Login name."""

    role: Role | None
    """Highest built-in role the user holds on the platform; null if none."""

    token: str
    """Access token: a bearer token for a quarter of an hour."""

    token_expires_at: datetime
    """When the access token ends."""

    refresh_token: str
    """Buys the next access token, once: `sessions:refresh`."""

    csrf_token: str
    """To be sent as `X-CSRF-Token` with changes authenticated by the cookie."""

    expires_at: datetime
    """When the login ends by itself."""

    must_enroll: bool
    """Whether the user has to set up a one-time password before he can do anything else."""


class PasswordChanged(Model):
    """A password that was changed."""

    user: str
    """Login name."""

    password_changed_at: datetime
    """When."""


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
    checked = await credentials.check(ctx, request.name, request.password, request.one_time_password)
    checked.require_fresh_password()
    scopes = ENROLLING if checked.must_enroll else ()

    def work(unit: Unit) -> tuple[str, Pair]:
        credentials.accept(unit.connection, checked, ctx.client)
        how: dict[str, Any] = {"session_id": ctx.subject, "address": ctx.client, "scopes": scopes}
        how["life"] = session_life(ctx, checked.policy)
        cookie, session = session_tokens.start(unit.connection, checked.account, **how)
        return cookie, session_tokens.first_pair(unit.connection, session)

    cookie, pair = await ctx.write(work)
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
    "change-password",
    request=PasswordChange,
    result=PasswordChanged,
    role=Role.VIEWER,
    public=True,
    secret=True,
    past="password_changed",
    name="change_password",
)
async def change_password(ctx: Context, request: PasswordChange) -> PasswordChanged:
    """Changes one's own password, also one that must be changed before the next login, and ends all logins with it.

    Answers the same, and equally late, whatever of the credentials is wrong. Repeated failures are slowed down.
    """
    checked = await credentials.check(ctx, request.name, request.password, request.one_time_password)
    account = checked.account
    if request.new_password == request.password:
        fault = {"pointer": "/new_password", "detail": "is the password as it is"}
        raise InvalidPayload("Choose another password than the one you have.", errors=[fault])
    digest = await password_policy.new_hash(ctx, request.new_password, account_id=account.id, pointer="/new_password")

    def work(unit: Unit) -> PasswordChanged:
        ctx.subject = account.id
        credentials.accept(unit.connection, checked, ctx.client)
        password_policy.set_password(unit.connection, account.id, digest)
        tokens.end_logins(unit.connection, account.id)
        unit.rights_changed()
        return PasswordChanged(user=account.name, password_changed_at=unit.now)

    return await ctx.write(work)


@SESSION.collection_action(
    "logout", request=Request, result=LoggedOut, role=Role.VIEWER, name="logout", past="logged_out", own=True
)
async def logout(ctx: Context, request: Request) -> LoggedOut:
    """Ends the session the request is made with, and its cookie."""

    def work(unit: Unit) -> LoggedOut:
        ctx.subject = session_tokens.session_of(unit.connection, ctx.principal.token_id).id
        _end(unit, ctx.subject)
        return LoggedOut(id=ctx.subject)

    ended = await ctx.write(work)
    set_cookie(ctx, "", clock.now())
    return ended


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


def set_cookie(ctx: Context, secret: str, expires_at: datetime) -> None:
    """Gives the browser the cookie of a login; an empty secret takes it away."""
    name = ctx.platform.part(Authenticator).cookie
    secure = bool(ctx.platform.settings.tls_certfile)
    ctx.headers.append(("set-cookie", cookie_header(name, secret, expires_at, secure=secure)))


def session_life(ctx: Context, policy: Policy) -> timedelta:
    """How long a login lasts."""
    return timedelta(hours=policy.session_hours or ctx.platform.settings.session_hours)


def _end(unit: Unit, id: str) -> None:
    tokens.revoke(unit.connection, id)
    unit.rights_changed()


async def _own(ctx: Context, id: str) -> tokens.TokenRow:
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
