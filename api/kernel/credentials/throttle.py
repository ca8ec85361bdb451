"""Slows down password guessing: per account and address, and per address alone.

After a few free failures each further one doubles the wait, up to a quarter of an hour. Counts live in the database, so
neither a restart nor another process resets them; keys are hashes, so the table names nobody.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.tables import LOGIN_FAILURE
from core import clock
from core.db import insert
from core.errors import TooManyRequests

LONGEST_WAIT = timedelta(minutes=15)
_FORGOTTEN_AFTER = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Guesser:
    """Something that may be guessing, and how many failures are free."""

    key: str
    free: int


def guessers(account: str, address: str) -> tuple[Guesser, ...]:
    """The two counts of a login attempt. An address serves many people, so it has more free failures."""
    return Guesser(_key("account", account, address), 5), Guesser(_key("address", address), 30)


def refuse_if_waiting(connection: Connection, account: str, address: str) -> None:
    """Raises `TooManyRequests` while the caller has to wait."""
    for guesser in guessers(account, address):
        row = connection.execute(sa.select(LOGIN_FAILURE).where(LOGIN_FAILURE.c.key == guesser.key)).first()
        if row is None:
            continue
        remaining = row.last_at + _wait(row.failures - guesser.free) - clock.now()
        if remaining > timedelta(0):
            seconds = int(remaining.total_seconds()) + 1
            raise TooManyRequests(
                f"Too many failed logins. Try again in {seconds} seconds.", retry_after_seconds=seconds
            )


def count_failure(connection: Connection, account: str, address: str) -> None:
    """Counts a failed login."""
    now = clock.now()
    connection.execute(LOGIN_FAILURE.delete().where(LOGIN_FAILURE.c.last_at < now - _FORGOTTEN_AFTER))
    for guesser in guessers(account, address):
        first = insert(connection, LOGIN_FAILURE).values(key=guesser.key, failures=1, last_at=now)
        another = {"failures": LOGIN_FAILURE.c.failures + 1, "last_at": now}
        connection.execute(first.on_conflict_do_update(index_elements=["key"], set_=another))


def clear(connection: Connection, account: str, address: str) -> None:
    """Forgets the account's failures after a success; the address keeps its own."""
    connection.execute(LOGIN_FAILURE.delete().where(LOGIN_FAILURE.c.key == guessers(account, address)[0].key))


def _wait(excess: int) -> timedelta:
    return timedelta(0) if excess < 0 else min(timedelta(seconds=2 ** min(excess, 20)), LONGEST_WAIT)


def _key(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
