"""Tokens of a session: a cookie, short-lived access tokens, and refresh tokens that work once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.credentials import accounts, tokens
from api.kernel.credentials.accounts import Account
from api.kernel.credentials.authentication import Authenticator
from api.kernel.credentials.tokens import TokenKind, TokenRow
from api.kernel.kinds.context import Context
from api.kernel.kinds.unit import Unit
from api.kernel.permissions import grants
from api.kernel.permissions.principal import Principal
from api.kernel.securable import Securable
from api.kernel.tables import TOKEN
from core import clock, events
from core.errors import Unauthenticated
from core.ids import new_id

ACCESS_LIFETIME = timedelta(minutes=15)
_RETENTION = timedelta(days=30)
"""Time for which sessions that ended are stored, for investigations."""


@dataclass(frozen=True, slots=True)
class Pair:
    """An access token, and the refresh token for the next one."""

    access: str
    access_expires_at: datetime
    refresh: str
    session: TokenRow


class _Reused(Exception):
    def __init__(self, row: Any) -> None:
        self.row = row


def start(
    connection: Connection,
    account: Account,
    *,
    session_id: str,
    address: str,
    life: timedelta,
    scopes: tuple[str, ...] = (),
) -> tuple[str, TokenRow]:
    """Starts a session and stores the time of the login. Returns the secret of its cookie and the session's row."""
    now = clock.now()
    accounts.change(connection, account.id, last_login_at=now)
    options: dict[str, Any] = {"kind": TokenKind.SESSION, "label": f"login from {address}", "scopes": scopes}
    return tokens.issue(connection, account.id, **options, expires_at=now + life, id=session_id)


def first_pair(connection: Connection, session: TokenRow) -> Pair:
    """Returns the first tokens of a session."""
    return _pair(connection, session)[0]


def issue_access(
    connection: Connection, principal_id: str, *, label: str, until: datetime, scopes: tuple[str, ...], family: str = ""
) -> tuple[str, TokenRow]:
    """Issues an access token without a refresh token, for keys and identities that can authenticate again."""
    delete_expired(connection, principal_id)
    expires_at = min(clock.now() + ACCESS_LIFETIME, until)
    options: dict[str, Any] = {"kind": TokenKind.ACCESS, "label": label, "scopes": scopes, "family": family}
    return tokens.issue(connection, principal_id, **options, expires_at=expires_at)


async def refresh(ctx: Context, secret: str) -> Pair:
    """Exchanges a refresh token for a new pair. A token that is used twice was stolen, so its session ends.

    Raises:
        Unauthenticated: The token is unknown, expired, revoked, or was used already.
    """
    try:
        return await ctx.write(lambda unit: _rotate(unit, secret))
    except _Reused as reused:
        await ctx.platform.workers.write.run(_end_reused, ctx, reused.row)
        ctx.platform.part(Authenticator).forget()
        raise _refused() from None


def session_of(connection: Connection, token_id: str) -> TokenRow:
    """Returns the session of a token, or the token itself if it belongs to none."""
    row = tokens.get(connection, token_id)
    if row.kind in (TokenKind.ACCESS, TokenKind.REFRESH) and row.family != row.id:
        parent = tokens.get(connection, row.family)
        return parent if parent.kind is TokenKind.SESSION else row
    return row


def _rotate(unit: Unit, secret: str) -> Pair:
    connection = unit.connection
    select = sa.select(TOKEN).where(TOKEN.c.digest == tokens.digest_of(secret), TOKEN.c.kind == TokenKind.REFRESH.value)
    row = connection.execute(select).first()
    if row is None:
        raise _refused()
    if row.replaced_by is not None:
        raise _Reused(row)
    valid = tokens.valid(connection, secret)
    if valid is None:
        raise _refused()
    account = valid.principal
    unit.call.subject = row.family
    unit.call.securable = Securable("admin.organization", account.organization_id, account.organization_id)
    access = grants.access_of(connection, account.id, unit.platform.permissions, valid.scopes)
    identity = (account.id, account.name, account.kind, account.organization_id)
    unit.call.principal = Principal(*identity, row.family, access)
    pair, id = _pair(connection, tokens.get(connection, row.family))
    unused = TOKEN.update().where(TOKEN.c.id == row.id, TOKEN.c.replaced_by.is_(None))
    if connection.execute(unused.values(replaced_by=id)).rowcount == 0:
        raise _Reused(row)
    return pair


def _pair(connection: Connection, session: TokenRow) -> tuple[Pair, str]:
    """Issues a new pair of a session. Returns it and the id of the refresh token. Neither outlives the session."""
    delete_expired(connection, session.principal_id)
    options: dict[str, Any] = {"label": session.label, "scopes": session.scopes, "family": session.id}
    ends = min(clock.now() + ACCESS_LIFETIME, session.expires_at)
    access, row = tokens.issue(connection, session.principal_id, kind=TokenKind.ACCESS, expires_at=ends, **options)
    id = new_id("tok")
    options |= {"kind": TokenKind.REFRESH, "expires_at": session.expires_at, "id": id}
    secret, _ = tokens.issue(connection, session.principal_id, **options)
    return Pair(access, row.expires_at, secret, session), id


def delete_expired(connection: Connection, principal_id: str) -> None:
    """Deletes the account's expired access and signed tokens, and sessions that ended 30 days ago.

    Refresh tokens stay as long as their session, so that a second use is detected.
    """
    now = clock.now()
    short = TOKEN.c.kind.in_((TokenKind.ACCESS.value, TokenKind.SIGNED.value))
    access = sa.and_(short, TOKEN.c.expires_at < now)
    logins = sa.and_(TOKEN.c.kind != TokenKind.TOKEN.value, TOKEN.c.expires_at < now - _RETENTION)
    connection.execute(TOKEN.delete().where(TOKEN.c.principal_id == principal_id, sa.or_(access, logins)))


def _end_reused(ctx: Context, row: Any) -> None:
    with ctx.platform.database.write() as connection:
        tokens.revoke(connection, row.family)
        account = accounts.get(connection, row.principal_id)
        place = Securable("admin.organization", account.organization_id, account.organization_id)
        data = {"action": ctx.endpoint.permission, "outcome": "denied", "client": ctx.client, "user": account.name}
        events.append_all(connection, [ctx.event("admin.session.refresh_reused", row.family, place, **data)])


def _refused() -> Unauthenticated:
    return Unauthenticated("The refresh token is unknown, expired, revoked, or was used already. Log in again.")
