"""People and programs that may log in, and the one that exists from the first start."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel import epochs, passwords
from api.kernel.roles import Role
from api.kernel.tables import PRINCIPAL
from core import clock, events
from core.db import Database
from core.errors import Conflict, NotFound
from core.ids import new_id

ADMIN = "admin"


class PrincipalState(StrEnum):
    """A suspended principal keeps its name and history, but none of its credentials work."""

    ACTIVE = "ACTIVE"
    SUSPENDED = "SUSPENDED"


@dataclass(frozen=True, slots=True)
class Account:
    """One row: everything but the password."""

    id: str
    name: str
    role: Role
    state: PrincipalState
    created_at: datetime
    created_by: str
    updated_at: datetime


COLUMNS = [column for column in PRINCIPAL.c if column.name != "password_hash"]


def account_of(row: sa.Row[*tuple[Any, ...]]) -> Account:
    """The account in a row that holds `COLUMNS`."""
    values = {column.name: row._mapping[column.name] for column in COLUMNS}
    return Account(**values | {"role": Role(values["role"]), "state": PrincipalState(values["state"])})


def bootstrap_admin(database: Database, password: str = "") -> str | None:
    """Creates the admin of a new platform and returns the password to log in with, which is stored nowhere in clear.

    Args:
        database: the migrated metadata database.
        password: the password to use; one is generated if it is empty.

    Returns:
        The password, or None if some account exists already: then nothing was changed.
    """
    with database.read() as connection:
        if connection.execute(sa.select(PRINCIPAL.c.id).limit(1)).first():
            return None
    chosen = password or secrets.token_urlsafe(12)
    digest = passwords.hash_password(chosen)
    with database.write() as connection:
        if connection.execute(sa.select(PRINCIPAL.c.id).limit(1)).first():
            return None
        account = create(connection, ADMIN, Role.ADMIN, digest, created_by="headwater")
        facts = {"action": "admin.user.create", "outcome": "succeeded", "bootstrap": True}
        events.append(connection, events.Event("admin.user.created", account.id, "headwater", facts))
    return chosen


def create(
    connection: Connection, name: str, role: Role, password_hash: str | None, *, created_by: str, id: str = ""
) -> Account:
    """Inserts an account.

    Raises:
        Conflict: the name is taken.
    """
    now = clock.now()
    values = {"id": id or new_id("usr"), "name": name, "role": role.value, "state": PrincipalState.ACTIVE.value}
    times = {"created_at": now, "created_by": created_by, "updated_at": now}
    try:
        connection.execute(PRINCIPAL.insert().values(**values, **times, password_hash=password_hash))
    except sa.exc.IntegrityError as error:
        raise Conflict(f"There is a user named {name!r} already.") from error
    return get(connection, str(values["id"]))


def get(connection: Connection, id: str) -> Account:
    """The account with this id or name.

    Raises:
        NotFound: there is none.
    """
    row = connection.execute(sa.select(*COLUMNS).where(sa.or_(PRINCIPAL.c.id == id, PRINCIPAL.c.name == id))).first()
    if row is None:
        raise NotFound(f"There is no user {id!r}.")
    return account_of(row)


def change(
    connection: Connection,
    id: str,
    *,
    role: Role | None = None,
    state: PrincipalState | None = None,
    password_hash: str | None = None,
) -> Account:
    """Changes an account; its running logins see the change at once.

    Raises:
        NotFound: there is no such account.
        Conflict: it would leave the platform without an active admin.
    """
    account = get(connection, id)
    values: dict[str, object] = {"updated_at": clock.now()}
    if role is not None:
        values["role"] = role.value
    if state is not None:
        values["state"] = state.value
    if password_hash is not None:
        values["password_hash"] = password_hash
    loses = (role not in (None, Role.ADMIN)) or state is PrincipalState.SUSPENDED
    if loses and account.role is Role.ADMIN and account.state is PrincipalState.ACTIVE:
        _refuse_last_admin(connection, account)
    connection.execute(PRINCIPAL.update().where(PRINCIPAL.c.id == account.id).values(**values))
    epochs.bump(connection)
    return get(connection, account.id)


def _refuse_last_admin(connection: Connection, account: Account) -> None:
    others = sa.select(PRINCIPAL.c.id).where(
        PRINCIPAL.c.role == Role.ADMIN.value,
        PRINCIPAL.c.state == PrincipalState.ACTIVE.value,
        PRINCIPAL.c.id != account.id,
    )
    if connection.execute(others.limit(1)).first() is None:
        raise Conflict(f"{account.name} is the last active admin. Make another user an admin first.")
