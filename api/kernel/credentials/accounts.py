"""Accounts: the authentication data of users and service accounts.

The resource of the same id contains what callers can read. The account never leaves the platform.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.permissions.principal import PrincipalKind
from api.kernel.tables import PRINCIPAL, RESOURCE
from core.errors import NotFound


class AccountState(StrEnum):
    """State of an account. The credentials of an account that is not active are refused."""

    ACTIVE = "ACTIVE"
    SUSPENDED = "SUSPENDED"
    DELETED = "DELETED"


@dataclass(frozen=True, slots=True)
class Account:
    """An account without its secrets."""

    id: str
    kind: PrincipalKind
    name: str
    organization_id: str
    state: AccountState
    password_changed_at: datetime | None
    password_reset_required: bool
    last_login_at: datetime | None
    created_at: datetime


COLUMNS = [column for column in PRINCIPAL.c if column.name not in ("password_hash", "one_time_password", "named_at")]

ACTIVE = sa.and_(
    PRINCIPAL.c.state == AccountState.ACTIVE.value,
    sa.exists(
        sa.select(RESOURCE.c.id).where(
            RESOURCE.c.id == PRINCIPAL.c.organization_id, RESOURCE.c.state == "ACTIVE", RESOURCE.c.deleted_at.is_(None)
        )
    ),
)
"""Condition for accounts whose credentials are accepted: active accounts of active organizations."""


def account_of(row: sa.Row[*tuple[Any, ...]]) -> Account:
    """Returns the account in a row that contains `COLUMNS`."""
    values = {column.name: row._mapping[column.name] for column in COLUMNS}
    return Account(**values | {"kind": PrincipalKind(values["kind"]), "state": AccountState(values["state"])})


def insert(connection: Connection, account: Account, password_hash: str | None = None) -> None:
    """Stores a new account."""
    values = {column.name: getattr(account, column.name) for column in COLUMNS}
    connection.execute(PRINCIPAL.insert().values(**values, named_at=account.created_at, password_hash=password_hash))


def get(connection: Connection, id: str) -> Account:
    """Returns the account with this id.

    Raises:
        NotFound: there is none.
    """
    row = connection.execute(sa.select(*COLUMNS).where(PRINCIPAL.c.id == id)).first()
    if row is None:
        raise NotFound(f"There is no account {id!r}.")
    return account_of(row)


def with_id_or_name(connection: Connection, text: str) -> list[Account]:
    """Returns the account with this id, or else all accounts with this name. No name has the form of an id."""
    for condition in (PRINCIPAL.c.id == text, _named(text)):
        select = sa.select(*COLUMNS).where(condition).order_by(PRINCIPAL.c.id)
        if matches := [account_of(row) for row in connection.execute(select)]:
            return matches
    return []


def id_for_login(text: str) -> sa.ScalarSelect[str]:
    """Returns a select of the id of the user that a login refers to: `organization/name`, or a name alone.

    A name alone means the user who had it first, so that no other organization can take over a login.
    """
    user = sa.and_(PRINCIPAL.c.kind == PrincipalKind.USER.value, _named(text))
    first = sa.select(PRINCIPAL.c.id).where(user).order_by(PRINCIPAL.c.named_at, PRINCIPAL.c.id).limit(1)
    return first.correlate(None).scalar_subquery()


def login_name(connection: Connection, id: str) -> str:
    """Returns the login that only this user has: `organization/name`."""
    organization = sa.and_(RESOURCE.c.id == PRINCIPAL.c.organization_id, PRINCIPAL.c.id == id)
    row = connection.execute(sa.select(RESOURCE.c.name, PRINCIPAL.c.name).join(PRINCIPAL, organization)).one()
    return "/".join(row)


def _named(text: str) -> sa.ColumnElement[bool]:
    organization, slash, name = text.rpartition("/")
    if not slash:
        return PRINCIPAL.c.name == name
    organizations = sa.select(RESOURCE.c.id).where(
        RESOURCE.c.kind == "admin.organization",
        RESOURCE.c.deleted_at.is_(None),
        sa.or_(RESOURCE.c.id == organization, RESOURCE.c.name == organization),
    )
    return sa.and_(PRINCIPAL.c.name == name, PRINCIPAL.c.organization_id.in_(organizations))


def rename(connection: Connection, id: str, name: str, at: datetime) -> None:
    """Renames an account and sets `named_at`, unless it already has the name."""
    other = sa.and_(PRINCIPAL.c.id == id, PRINCIPAL.c.name != name)
    connection.execute(PRINCIPAL.update().where(other).values(name=name, named_at=at))


def change(connection: Connection, id: str, **values: Any) -> None:
    """Changes columns of an account. Changes that remove rights also need `Unit.rights_changed`."""
    connection.execute(PRINCIPAL.update().where(PRINCIPAL.c.id == id).values(**values))
