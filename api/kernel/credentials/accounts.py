"""The accounts of users and service accounts: what authentication needs to know of them.

The resource of the same id holds what people see; this row holds what never leaves the platform.
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
    """A suspended principal keeps its name and history, but none of its credentials work."""

    ACTIVE = "ACTIVE"
    SUSPENDED = "SUSPENDED"
    DELETED = "DELETED"


@dataclass(frozen=True, slots=True)
class Account:
    """One row: everything but the secrets."""

    id: str
    kind: PrincipalKind
    name: str
    organization_id: str
    state: AccountState
    password_changed_at: datetime | None
    password_reset_required: bool
    last_login_at: datetime | None
    created_at: datetime


COLUMNS = [column for column in PRINCIPAL.c if column.name not in ("password_hash", "one_time_password")]

WORKING = sa.and_(
    PRINCIPAL.c.state == AccountState.ACTIVE.value,
    sa.exists(
        sa.select(RESOURCE.c.id).where(
            RESOURCE.c.id == PRINCIPAL.c.organization_id, RESOURCE.c.state == "ACTIVE", RESOURCE.c.deleted_at.is_(None)
        )
    ),
)
"""Accounts whose credentials work: active themselves, in an active organization."""


def account_of(row: sa.Row[*tuple[Any, ...]]) -> Account:
    """The account in a row that holds `COLUMNS`."""
    values = {column.name: row._mapping[column.name] for column in COLUMNS}
    return Account(**values | {"kind": PrincipalKind(values["kind"]), "state": AccountState(values["state"])})


def insert(connection: Connection, account: Account, password_hash: str | None = None) -> None:
    """Stores a new account."""
    values = {column.name: getattr(account, column.name) for column in COLUMNS}
    connection.execute(PRINCIPAL.insert().values(**values, password_hash=password_hash))


def get(connection: Connection, id: str) -> Account:
    """The account with this id or name.

    Raises:
        NotFound: there is none.
    """
    row = connection.execute(sa.select(*COLUMNS).where(sa.or_(PRINCIPAL.c.id == id, PRINCIPAL.c.name == id))).first()
    if row is None:
        raise NotFound(f"There is no account {id!r}.")
    return account_of(row)


def change(connection: Connection, id: str, **values: Any) -> None:
    """Changes columns of an account. What takes rights away also needs `Unit.rights_changed`."""
    connection.execute(PRINCIPAL.update().where(PRINCIPAL.c.id == id).values(**values))
