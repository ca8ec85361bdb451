"""Checking credentials without telling an attacker anything."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel import accounts, grants, passwords, throttle, tokens
from api.kernel.accounts import Account, AccountState
from api.kernel.context import Context
from api.kernel.principal import Principal, PrincipalKind
from api.kernel.securable import ROOT, Securable
from api.kernel.tables import PRINCIPAL
from core import clock, events
from core.errors import Unauthenticated
from core.ids import new_id


async def check(ctx: Context, name: str, password: str) -> Account:
    """The account these credentials belong to; also gives the session about to begin its id.

    Raises:
        Unauthenticated: they do not, for whatever reason.
        TooManyRequests: the caller has failed too often lately.
    """
    await ctx.query(throttle.refuse_if_waiting, name, ctx.client)
    found = await ctx.query(_credentials, name)
    right = await ctx.platform.workers.passwords.run(passwords.verify, found[1] if found else None, password)
    if not found or not right or found[0].state is not AccountState.ACTIVE:
        await ctx.platform.workers.write.run(_record_failure, ctx, name)
        raise Unauthenticated("Name or password is wrong.")
    ctx.subject = new_id("ses")
    account = found[0]
    access = await ctx.query(grants.access_of, account.id, ctx.platform.permissions)
    ctx.principal = Principal(account.id, account.name, account.kind, account.organization_id, ctx.subject, access)
    ctx.securable = Securable("admin.organization", account.organization_id, account.organization_id)
    return account


def begin(
    connection: Connection, account: Account, *, address: str, expires_at: datetime, session_id: str
) -> tuple[str, tokens.TokenRow]:
    """Starts the session and forgets the account's failures."""
    throttle.clear(connection, account.name, address)
    accounts.change(connection, account.id, last_login_at=clock.now())
    label = f"login from {address}"
    return tokens.issue(
        connection, account.id, kind=tokens.TokenKind.SESSION, label=label, expires_at=expires_at, id=session_id
    )


def _credentials(connection: Connection, name: str) -> tuple[Account, str | None] | None:
    columns = [*accounts.COLUMNS, PRINCIPAL.c.password_hash]
    user = PRINCIPAL.c.kind == PrincipalKind.USER.value
    row = connection.execute(sa.select(*columns).where(PRINCIPAL.c.name == name, user, accounts.WORKING)).first()
    return (accounts.account_of(row), row.password_hash) if row else None


def _record_failure(ctx: Context, name: str) -> None:
    with ctx.platform.database.write() as connection:
        throttle.count_failure(connection, name, ctx.client)
        # The name is what somebody typed; by mistake it may be a password. So it is told only if it is a user's.
        of = sa.select(PRINCIPAL.c.id, PRINCIPAL.c.organization_id).where(PRINCIPAL.c.name == name)
        known = connection.execute(of).first()
        id, organization = known or ("unknown", None)
        facts = {"action": ctx.endpoint.permission, "outcome": "denied", "client": ctx.client}
        place = Securable("admin.organization", organization, organization) if organization else ROOT
        events.append_all(connection, [ctx.event("admin.session.login_denied", id, place, **facts)])
