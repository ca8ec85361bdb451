"""Resets of forgotten passwords: the accounts, and the link that proves a user's identity."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.credentials import accounts
from api.kernel.credentials.accounts import Account
from api.kernel.credentials.tokens import digest_of
from api.kernel.filtering.expressions import Holds
from api.kernel.kinds.unit import Unit
from api.kernel.permissions.principal import PrincipalKind
from api.kernel.securable import ROOT, Securable
from api.kernel.tables import PRINCIPAL, RESOURCE
from api.services.admin.logic import link_mail, password_mail
from api.services.admin.login_tables import PASSWORD_RESET
from core import clock
from core.db import upsert
from core.errors import NotFound

LINK_LIFETIME = timedelta(minutes=30)
"""Validity of a link: enough for a slow mail server, and short in case others can read the mailbox."""

_USER = RESOURCE.alias("user")
_EMAILS = _USER.c.spec["emails"]
_HAS_PASSWORD = (PRINCIPAL.c.kind == PrincipalKind.USER.value, PRINCIPAL.c.password_hash.is_not(None), accounts.ACTIVE)
"""Users who log in with a password. Others use an identity provider, or have no password yet."""


@dataclass(frozen=True, slots=True)
class Owner:
    """A user whose password can be reset, and the address that the link goes to."""

    id: str
    place: Securable
    email: str
    row: str
    """Id of the row that stores the link, which is the user's."""


def owners(connection: Connection, typed: str) -> list[Owner]:
    """Returns the user with this login name, and all users with this address, which several can share.

    The list is never empty: an unknown name gets a placeholder, so that the same work is done. A link goes only to an
    address as it is stored, not as it was typed, because two addresses can look the same.
    """
    # Read completely before the query: as a part of it, it takes longer if a user has the address.
    ids = connection.execute(_users_with_address(typed)).scalars().all() if "@" in typed else []
    named = sa.or_(PRINCIPAL.c.id == accounts.id_for_login(typed), PRINCIPAL.c.id.in_(ids))
    select = sa.select(PRINCIPAL.c.id, PRINCIPAL.c.organization_id, _EMAILS.label("emails"))
    rows = connection.execute(
        select.join(_USER, _USER.c.id == PRINCIPAL.c.id).where(named, *_HAS_PASSWORD).order_by(PRINCIPAL.c.id)
    )
    return [_owner(row, typed) for row in rows if row.emails] or [_placeholder(typed)]


def prepare(unit: Unit, owner: Owner) -> None:
    """Creates a link that waits to be mailed, and ends the previous one."""
    secret, digest = link_mail.new_token("hwr")
    values: dict[str, Any] = {"email": owner.email, "digest": digest, "requested_at": unit.now}
    values |= {"expires_at": unit.now + LINK_LIFETIME, **password_mail.LINKS.waiting(unit.platform, owner.id, secret)}
    unit.connection.execute(PASSWORD_RESET.delete().where(PASSWORD_RESET.c.expires_at <= unit.now))
    upsert(unit.connection, PASSWORD_RESET, {"id": owner.row}, values)


def require_open(connection: Connection, digest: str) -> Account:
    """Returns the account whose password the link resets.

    Raises:
        NotFound: There is no such link, or it has ended.
    """
    row = connection.execute(
        sa.select(*accounts.COLUMNS)
        .join(PASSWORD_RESET, PASSWORD_RESET.c.id == PRINCIPAL.c.id)
        .join(_USER, _USER.c.id == PRINCIPAL.c.id)
        .where(PASSWORD_RESET.c.digest == digest, PASSWORD_RESET.c.expires_at > clock.now(), *_HAS_PASSWORD)
        # The address must still be the user's.
        .where(Holds(_EMAILS, PASSWORD_RESET.c.email))
    ).first()
    if row is None:
        raise _unknown()
    return accounts.account_of(row)


def use(connection: Connection, digest: str) -> Account:
    """Spends a link.

    Raises:
        NotFound: It has ended, or was used at the same time.
    """
    account = require_open(connection, digest)
    if connection.execute(PASSWORD_RESET.delete().where(PASSWORD_RESET.c.digest == digest)).rowcount == 0:
        raise _unknown()
    return account


def _users_with_address(typed: str) -> sa.Select[Any]:
    """Selects the ids of the users with this address, in any case."""
    other = RESOURCE.alias("other_user")
    lower = sa.func.lower(sa.cast(other.c.spec["emails"], sa.Text()))
    holds = Holds(lower, sa.func.lower(sa.literal(typed, sa.Text())))
    return sa.select(other.c.id).where(other.c.kind == "admin.user", other.c.deleted_at.is_(None), holds)


def _owner(row: Any, typed: str) -> Owner:
    """Returns the owner in this row, with the typed address if it is theirs, or else the primary one."""
    place = Securable("admin.organization", row.organization_id, row.organization_id)
    email = next((email for email in row.emails if email.lower() == typed.lower()), row.emails[0])
    return Owner(row.id, place, email, row.id)


def _placeholder(typed: str) -> Owner:
    """Returns an owner for an unknown name. Its requests share one row, like those of a user. No mail is sent to it."""
    return Owner("unknown", ROOT, "", digest_of(typed))


def _unknown() -> NotFound:
    return NotFound("There is no such link, or it was used, replaced, or has expired. Ask for a new one.")
