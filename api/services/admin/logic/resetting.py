"""Resetting a forgotten password: who may, and the link that proves it."""

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
from core.db import put
from core.errors import NotFound

LIFE = timedelta(minutes=30)
"""How long a link works: long enough for a slow mail server, short enough for a mailbox that others get to see."""

_USER = RESOURCE.alias("user")
_EMAILS = _USER.c.spec["emails"]
_MAY = (PRINCIPAL.c.kind == PrincipalKind.USER.value, PRINCIPAL.c.password_hash.is_not(None), accounts.WORKING)
"""Who has a password to forget. Others log in through an identity provider, or have yet to be given one."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose password it is, and the address that a link to reset it goes to."""

    id: str
    place: Securable
    email: str
    row: str
    """Id of the row that his link is kept in: his own."""


def owners(connection: Connection, typed: str) -> list[Owner]:
    """Those with this login name, and all with this address: several people may share one.

    Never none: where there is no such account, nobody stands in, so that just as much is done for him.
    A link only goes to an address as it is stored, whatever was typed: two may look the same.
    """
    # Read to its end beforehand: as a part of the query it takes longer if somebody is found.
    reached = connection.execute(_reached_at(typed)).scalars().all() if "@" in typed else []
    named = sa.or_(PRINCIPAL.c.name == typed, PRINCIPAL.c.id.in_(reached))
    select = sa.select(PRINCIPAL.c.id, PRINCIPAL.c.organization_id, _EMAILS.label("emails"))
    rows = connection.execute(
        select.join(_USER, _USER.c.id == PRINCIPAL.c.id).where(named, *_MAY).order_by(PRINCIPAL.c.id)
    )
    return [_owner(row, typed) for row in rows if row.emails] or [_nobody(typed)]


def prepare(unit: Unit, owner: Owner) -> None:
    """Makes a link that waits to be mailed; an older one ends."""
    secret, digest = link_mail.new_token("hwr")
    values: dict[str, Any] = {"email": owner.email, "digest": digest, "requested_at": unit.now}
    values |= {"expires_at": unit.now + LIFE, **password_mail.LINKS.waiting(unit.platform, owner.id, secret)}
    unit.connection.execute(PASSWORD_RESET.delete().where(PASSWORD_RESET.c.expires_at <= unit.now))
    put(unit.connection, PASSWORD_RESET, {"id": owner.row}, values)


def require_open(connection: Connection, digest: str) -> Account:
    """The account whose password the link resets.

    Raises:
        NotFound: there is no such link, or it works no more.
    """
    row = connection.execute(
        sa.select(*accounts.COLUMNS)
        .join(PASSWORD_RESET, PASSWORD_RESET.c.id == PRINCIPAL.c.id)
        .join(_USER, _USER.c.id == PRINCIPAL.c.id)
        .where(PASSWORD_RESET.c.digest == digest, PASSWORD_RESET.c.expires_at > clock.now(), *_MAY)
        # Who has lost an address may not get in by it.
        .where(Holds(_EMAILS, PASSWORD_RESET.c.email))
    ).first()
    if row is None:
        raise _unknown()
    return accounts.account_of(row)


def use(connection: Connection, digest: str) -> Account:
    """Uses a link up.

    Raises:
        NotFound: it works no more, or somebody was faster.
    """
    account = require_open(connection, digest)
    if connection.execute(PASSWORD_RESET.delete().where(PASSWORD_RESET.c.digest == digest)).rowcount == 0:
        raise _unknown()
    return account


def _reached_at(typed: str) -> sa.Select[Any]:
    """Ids of the users who have this address, in whatever case."""
    other = RESOURCE.alias("other_user")
    lower = sa.func.lower(sa.cast(other.c.spec["emails"], sa.Text()))
    holds = Holds(lower, sa.func.lower(sa.literal(typed, sa.Text())))
    return sa.select(other.c.id).where(other.c.kind == "admin.user", other.c.deleted_at.is_(None), holds)


def _owner(row: Any, typed: str) -> Owner:
    """The one in this row, with the address that was typed, if it is his; else with the main one."""
    place = Securable("admin.organization", row.organization_id, row.organization_id)
    email = next((email for email in row.emails if email.lower() == typed.lower()), row.emails[0])
    return Owner(row.id, place, email, row.id)


def _nobody(typed: str) -> Owner:
    """As one name's requests meet in one row, so do those for a name that nobody has. No mail is sent to it."""
    return Owner("unknown", ROOT, "", digest_of(typed))


def _unknown() -> NotFound:
    return NotFound("There is no such link, or it was used, replaced or has ended. Ask for a new one.")
