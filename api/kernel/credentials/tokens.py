"""Bearer tokens and login sessions: 256 random bits, returned once and stored as SHA-256."""

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
    """Kind of a token.

    A `SESSION` is a login in a browser, held in a cookie. A `TOKEN` is an API key. An `ACCESS` token is short-lived and
    comes from a login, an API key, or an identity provider. A `REFRESH` token is only accepted in exchange for another
    access token. A `SIGNED` token is a JWT for another system and is not accepted here. The `family` of the last three
    is the session or API key that they come from; they are revoked with it.
    """

    SESSION = "SESSION"
    TOKEN = "TOKEN"  # noqa: S105 - a kind, not a secret
    ACCESS = "ACCESS"
    REFRESH = "REFRESH"
    SIGNED = "SIGNED"


@dataclass(frozen=True, slots=True)
class TokenRow:
    """The stored fields of a token, without its secret."""

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
class ValidToken:
    """A valid token with its account and limits."""

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
    """Returns the token in a row of `COLUMNS`."""
    return TokenRow(**{**row._mapping, "kind": TokenKind(row._mapping["kind"])})


def digest_of(secret: str) -> str:
    """Returns the digest by which a token is stored and looked up."""
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
    """Creates a token. Returns its secret, which is not stored, and its row.

    Raises:
        InvalidPayload: `expires_at` is in the past.
    """
    now = clock.now()
    if expires_at <= now:
        fault = {"pointer": "/expires_at", "detail": "is in the past"}
        raise InvalidPayload("The token would already be expired. Choose a time in the future.", errors=[fault])
    secret = PREFIX + secrets.token_urlsafe(32)
    row = store(
        connection,
        secret,
        principal_id,
        id=id or new_id("tok"),
        kind=kind,
        label=label,
        created_at=now,
        expires_at=expires_at,
        scopes=scopes,
        family=family,
    )
    return secret, row


def store(
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
    """Stores the row of a token that exists already: only the digest and the first characters of the token itself."""
    connection.execute(
        TOKEN.insert().values(
            id=id,
            principal_id=principal_id,
            kind=kind.value,
            label=label,
            digest=digest_of(secret),
            prefix=secret[:8],
            scopes=list(scopes),
            family=family or id,
            created_at=created_at,
            expires_at=expires_at,
        )
    )
    return get(connection, id)


def get(connection: Connection, id: str) -> TokenRow:
    """Returns the token with this id.

    Raises:
        NotFound: there is none.
    """
    row = connection.execute(sa.select(*COLUMNS).select_from(JOINED).where(TOKEN.c.id == id)).first()
    if row is None:
        raise NotFound(f"There is no token {id!r}.")
    return row_of(row)


def revoke(connection: Connection, id: str) -> None:
    """Revokes a token and the tokens that come from it, in all processes. Revoking it again has no effect."""
    derived = sa.and_(TOKEN.c.family == id, TOKEN.c.kind.in_([kind.value for kind in _DERIVED]))
    connection.execute(
        TOKEN.update()
        .where(sa.or_(TOKEN.c.id == id, derived), TOKEN.c.revoked_at.is_(None))
        .values(revoked_at=clock.now())
    )
    epochs.bump(connection)


def end_logins(connection: Connection, principal_id: str) -> None:
    """Revokes all logins of an account with their tokens, but no API keys. Also call `Unit.rights_changed`."""
    logins = TOKEN.c.kind != TokenKind.TOKEN.value
    update = TOKEN.update().where(TOKEN.c.principal_id == principal_id, logins, TOKEN.c.revoked_at.is_(None))
    connection.execute(update.values(revoked_at=clock.now()))


def authenticating(connection: Connection, secret: str) -> ValidToken | None:
    """Returns the token with this secret if it authenticates requests, is valid, and its account is active.

    Refresh tokens and signed tokens authenticate no requests.
    """
    token = valid(connection, secret)
    return None if token is None or token.kind in (TokenKind.REFRESH, TokenKind.SIGNED) else token


def authenticating_id(connection: Connection, id: str) -> ValidToken | None:
    """Returns the token with this id as `authenticating`, for what was signed with its rights."""
    token = _valid(connection, TOKEN.c.id == id)
    return None if token is None or token.kind in (TokenKind.REFRESH, TokenKind.SIGNED) else token


def valid(connection: Connection, secret: str) -> ValidToken | None:
    """Returns the token of any kind with this secret if it is valid and its account is active."""
    return _valid(connection, TOKEN.c.digest == digest_of(secret))


def _valid(connection: Connection, matches: sa.ColumnElement[bool]) -> ValidToken | None:
    names = ("id", "kind", "family", "expires_at", "scopes")
    row = connection.execute(
        sa.select(*accounts.COLUMNS, *(TOKEN.c[name].label(f"token_{name}") for name in names))
        .select_from(JOINED)
        .where(matches, TOKEN.c.revoked_at.is_(None), accounts.ACTIVE)
    ).first()
    if row is None or row.token_expires_at <= clock.now():
        return None
    return ValidToken(
        row.token_id,
        TokenKind(row.token_kind),
        row.token_family,
        accounts.account_of(row),
        tuple(row.token_scopes),
        row.token_expires_at,
    )


def issue_token(database: Database, principal_name: str, *, label: str, expires: datetime) -> str:
    """Returns a new bearer token for an account, by its name or id. For the command line, without a permission check.

    Raises:
        NotFound: there is no such account.
        Conflict: the account is not active, or several accounts have this name.
    """
    with database.write() as connection:
        matches = accounts.with_id_or_name(connection, principal_name)
        if len(matches) > 1:
            raise Conflict(f"Several organizations have an account {principal_name!r}. Write organization/name.")
        account = matches[0] if matches else accounts.get(connection, principal_name)
        if account.state is not accounts.AccountState.ACTIVE:
            raise Conflict(f"The account {account.name} is {account.state}.")
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
