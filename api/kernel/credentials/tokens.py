"""Bearer tokens and login sessions: 256 random bits, shown once, stored as SHA-256."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.credentials import accounts, epochs
from api.kernel.credentials.accounts import Account
from api.kernel.tables import PRINCIPAL, TOKEN
from core import clock, events
from core.db import Database
from core.errors import Conflict, InvalidPayload, NotFound
from core.ids import new_id

PREFIX = "hw_"


class TokenKind(StrEnum):
    """A session is a login, held by a browser's cookie; a token was issued on purpose: an API key.

    An access token is short-lived and comes from a login, a key or an identity provider. A refresh token only buys
    another access token. A signed token is a JWT for another system and opens nothing here. `family` of all three is
    the session or key they come from, and they end with it.
    """

    SESSION = "SESSION"
    TOKEN = "TOKEN"  # noqa: S105 - a kind, not a secret
    ACCESS = "ACCESS"
    REFRESH = "REFRESH"
    SIGNED = "SIGNED"


@dataclass(frozen=True, slots=True)
class TokenRow:
    """What is known of a token; never the token."""

    id: str
    kind: TokenKind
    label: str
    principal: str
    principal_id: str
    organization_id: str
    prefix: str
    scopes: list[str]
    family: str
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    last_used_at: datetime | None
    last_used_from: str | None


@dataclass(frozen=True, slots=True)
class Valid:
    """A token that holds: whose it is, what it is limited to, until when."""

    id: str
    kind: TokenKind
    family: str
    principal: Account
    scopes: tuple[str, ...]
    expires_at: datetime


_DERIVED = (TokenKind.ACCESS, TokenKind.REFRESH, TokenKind.SIGNED)
COLUMNS = (
    *(TOKEN.c.id, TOKEN.c.kind, TOKEN.c.label, PRINCIPAL.c.name.label("principal"), TOKEN.c.principal_id),
    *(PRINCIPAL.c.organization_id, TOKEN.c.prefix, TOKEN.c.scopes, TOKEN.c.family),
    *(TOKEN.c.created_at, TOKEN.c.expires_at, TOKEN.c.revoked_at, TOKEN.c.last_used_at, TOKEN.c.last_used_from),
)
JOINED = TOKEN.join(PRINCIPAL, PRINCIPAL.c.id == TOKEN.c.principal_id)


def row_of(row: sa.Row[*tuple[Any, ...]]) -> TokenRow:
    """The token in a row of `COLUMNS`."""
    return TokenRow(**{**row._mapping, "kind": TokenKind(row._mapping["kind"])})


def digest_of(secret: str) -> str:
    """The form in which a token is stored and looked up."""
    return hashlib.sha256(secret.encode()).hexdigest()


def issue(
    connection: Connection,
    principal_id: str,
    *,
    kind: TokenKind,
    label: str,
    expires_at: datetime,
    id: str = "",
    scopes: Sequence[str] = (),
    family: str = "",
) -> tuple[str, TokenRow]:
    """Makes a token and returns its secret, which is not kept, with its row.

    Raises:
        InvalidPayload: it would expire in the past.
    """
    now = clock.now()
    if expires_at <= now:
        fault = {"pointer": "/expires_at", "detail": "lies in the past"}
        raise InvalidPayload("The token would have expired already.", errors=[fault])
    secret = PREFIX + secrets.token_urlsafe(32)
    how: dict[str, Any] = {"kind": kind, "label": label, "created_at": now, "expires_at": expires_at}
    return secret, keep(connection, secret, principal_id, id=id or new_id("tok"), **how, scopes=scopes, family=family)


def keep(
    connection: Connection,
    secret: str,
    principal_id: str,
    *,
    id: str,
    kind: TokenKind,
    label: str,
    created_at: datetime,
    expires_at: datetime,
    scopes: Sequence[str],
    family: str,
) -> TokenRow:
    """Stores the row of a token that was made already; nothing of the token but its hash and its first letters."""
    values = {"principal_id": principal_id, "kind": kind.value, "label": label, "digest": digest_of(secret)}
    more = {"prefix": secret[:8], "scopes": list(scopes), "family": family or id}
    connection.execute(TOKEN.insert().values(id=id, created_at=created_at, expires_at=expires_at, **values, **more))
    return get(connection, id)


def get(connection: Connection, id: str) -> TokenRow:
    """The token with this id.

    Raises:
        NotFound: there is none.
    """
    row = connection.execute(sa.select(*COLUMNS).select_from(JOINED).where(TOKEN.c.id == id)).first()
    if row is None:
        raise NotFound(f"There is no token {id!r}.")
    return row_of(row)


def revoke(connection: Connection, id: str) -> None:
    """Ends a token and what comes from it at once, in every process. Ending it twice is no error."""
    derived = sa.and_(TOKEN.c.family == id, TOKEN.c.kind.in_([kind.value for kind in _DERIVED]))
    connection.execute(
        TOKEN.update()
        .where(sa.or_(TOKEN.c.id == id, derived), TOKEN.c.revoked_at.is_(None))
        .values(revoked_at=clock.now())
    )
    epochs.bump(connection)


def end_logins(connection: Connection, principal_id: str) -> None:
    """Ends every login of an account, and the tokens that came from it. Keys stay. Also needs `Unit.rights_changed`."""
    logins = TOKEN.c.kind != TokenKind.TOKEN.value
    ours = TOKEN.update().where(TOKEN.c.principal_id == principal_id, logins, TOKEN.c.revoked_at.is_(None))
    connection.execute(ours.values(revoked_at=clock.now()))


def valid(connection: Connection, secret: str) -> Valid | None:
    """Whom a secret that authenticates here belongs to, if it holds now and its account works.

    A refresh token does not authenticate, and a signed token is for others.
    """
    found = holding(connection, secret)
    return None if found is None or found.kind in (TokenKind.REFRESH, TokenKind.SIGNED) else found


def holding(connection: Connection, secret: str) -> Valid | None:
    """Whom a secret of any kind belongs to, if it holds now and its account works."""
    names = ("id", "kind", "family", "expires_at", "scopes")
    row = connection.execute(
        sa.select(*accounts.COLUMNS, *(TOKEN.c[name].label(f"token_{name}") for name in names))
        .select_from(JOINED)
        .where(TOKEN.c.digest == digest_of(secret), TOKEN.c.revoked_at.is_(None), accounts.WORKING)
    ).first()
    if row is None or row.token_expires_at <= clock.now():
        return None
    what = (row.token_id, TokenKind(row.token_kind), row.token_family)
    return Valid(*what, accounts.account_of(row), tuple(row.token_scopes), row.token_expires_at)


def issue_token(database: Database, principal_name: str, *, label: str, expires: datetime) -> str:
    """A bearer token for an account, for who may write the database: the command line.

    Raises:
        NotFound: there is no such account.
        Conflict: it is suspended.
    """
    with database.write() as connection:
        account = accounts.get(connection, principal_name)
        if account.state is not accounts.AccountState.ACTIVE:
            raise Conflict(f"{account.name} is {account.state}.")
        secret, row = issue(connection, account.id, kind=TokenKind.TOKEN, label=label, expires_at=expires)
        facts = {"action": "admin.api_key.create", "outcome": "succeeded", "label": label}
        event = events.Event(
            "admin.api_key.created",
            row.id,
            account.name,
            facts,
            principal_id=account.id,
            kind="admin.api_key",
            organization_id=account.organization_id,
        )
        events.append_all(connection, [event])
    return secret
