"""The tokens of a login: a cookie for as long as it lasts, short access tokens, and refresh tokens that work once."""

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

ACCESS_LIFE = timedelta(minutes=15)
_KEPT = timedelta(days=30)
"""How long ended logins stay, for whoever looks into what happened."""


@dataclass(frozen=True, slots=True)
class Pair:
    """An access token and the refresh token that buys the next one."""

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
    """Begins a login, and notes when. Returns the secret of its cookie, which is another than those of scripts."""
    now = clock.now()
    accounts.change(connection, account.id, last_login_at=now)
    how: dict[str, Any] = {"kind": TokenKind.SESSION, "label": f"login from {address}", "scopes": scopes}
    return tokens.issue(connection, account.id, **how, expires_at=now + life, id=session_id)


def first_pair(connection: Connection, session: TokenRow) -> Pair:
    """The first tokens of a login."""
    return _pair(connection, session)[0]


def issue_access(
    connection: Connection, principal_id: str, *, label: str, until: datetime, scopes: tuple[str, ...], family: str = ""
) -> tuple[str, TokenRow]:
    """An access token without a refresh token: for keys and identities that can prove themselves again."""
    forget_ended(connection, principal_id)
    expires_at = min(clock.now() + ACCESS_LIFE, until)
    how: dict[str, Any] = {"kind": TokenKind.ACCESS, "label": label, "scopes": scopes, "family": family}
    return tokens.issue(connection, principal_id, **how, expires_at=expires_at)


async def refresh(ctx: Context, secret: str) -> Pair:
    """Takes a refresh token for a new pair. One that comes a second time was stolen, so its whole login ends.

    Raises:
        Unauthenticated: it is unknown, expired, revoked or used already.
    """
    try:
        return await ctx.write(lambda unit: _rotate(unit, secret))
    except _Reused as reused:
        await ctx.platform.workers.write.run(_end_reused, ctx, reused.row)
        ctx.platform.part(Authenticator).forget()
        raise _refused() from None


def session_of(connection: Connection, token_id: str) -> TokenRow:
    """The login a token belongs to; of a token that belongs to none, itself."""
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
    valid = tokens.holding(connection, secret)
    if valid is None:
        raise _refused()
    account = valid.principal
    unit.ctx.subject = row.family
    unit.ctx.securable = Securable("admin.organization", account.organization_id, account.organization_id)
    access = grants.access_of(connection, account.id, unit.platform.permissions, valid.scopes)
    identity = (account.id, account.name, account.kind, account.organization_id)
    unit.ctx.principal = Principal(*identity, row.family, access)
    pair, id = _pair(connection, tokens.get(connection, row.family))
    unused = TOKEN.update().where(TOKEN.c.id == row.id, TOKEN.c.replaced_by.is_(None))
    if connection.execute(unused.values(replaced_by=id)).rowcount == 0:
        raise _Reused(row)
    return pair


def _pair(connection: Connection, session: TokenRow) -> tuple[Pair, str]:
    """A new pair of a login, and the id of its refresh token. Neither outlives the login."""
    forget_ended(connection, session.principal_id)
    how: dict[str, Any] = {"label": session.label, "scopes": session.scopes, "family": session.id}
    ends = min(clock.now() + ACCESS_LIFE, session.expires_at)
    access, row = tokens.issue(connection, session.principal_id, kind=TokenKind.ACCESS, expires_at=ends, **how)
    more: dict[str, Any] = {"kind": TokenKind.REFRESH, "expires_at": session.expires_at, "id": new_id("tok")}
    secret, refresh = tokens.issue(connection, session.principal_id, **more, **how)
    return Pair(access, row.expires_at, secret, session), refresh.id


def forget_ended(connection: Connection, principal_id: str) -> None:
    """Removes the account's access and signed tokens that ended, and logins that ended long ago.

    Refresh tokens stay as long as their login: used ones must be known to be used.
    """
    now = clock.now()
    short = TOKEN.c.kind.in_((TokenKind.ACCESS.value, TokenKind.SIGNED.value))
    access = sa.and_(short, TOKEN.c.expires_at < now)
    logins = sa.and_(TOKEN.c.kind != TokenKind.TOKEN.value, TOKEN.c.expires_at < now - _KEPT)
    connection.execute(TOKEN.delete().where(TOKEN.c.principal_id == principal_id, sa.or_(access, logins)))


def _end_reused(ctx: Context, row: Any) -> None:
    with ctx.platform.database.write() as connection:
        tokens.revoke(connection, row.family)
        account = accounts.get(connection, row.principal_id)
        place = Securable("admin.organization", account.organization_id, account.organization_id)
        facts = {"action": ctx.endpoint.permission, "outcome": "denied", "client": ctx.client, "user": account.name}
        events.append_all(connection, [ctx.event("admin.session.refresh_reused", row.family, place, **facts)])


def _refused() -> Unauthenticated:
    return Unauthenticated("The refresh token is unknown, expired, revoked or was used already. Log in again.")
