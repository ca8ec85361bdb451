"""Slows down who guesses passwords, or has mails sent: per account, and per address.

After a few free tries each further one doubles the wait, up to a quarter of an hour. Counts live in the database, so
neither a restart nor another process resets them; keys are hashes, so the table names nobody.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
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
class Count:
    """Something that may try too often, and how many tries are free."""

    key: str
    free: int


@dataclass(frozen=True, slots=True)
class Attempt:
    """What is counted, under each of its counts."""

    what: str
    counts: Sequence[Count]


def login(account: str, address: str) -> Attempt:
    """A login, of which failures are counted. An address serves many people, so it has more free failures."""
    counts = Count(_key("account", account, address), 5), Count(_key("address", address), 30)
    return Attempt("failed logins", counts)


def password_reset(account: str, address: str) -> Attempt:
    """A request for a mail that resets a password. It fills an inbox, so whoever asks, an account has one count."""
    counts = Count(_key("reset of", account), 5), Count(_key("reset from", address), 30)
    return Attempt("requests to reset a password", counts)


def refuse_if_waiting(connection: Connection, attempt: Attempt) -> None:
    """Raises `TooManyRequests` while the caller has to wait."""
    for count in attempt.counts:
        row = connection.execute(sa.select(LOGIN_FAILURE).where(LOGIN_FAILURE.c.key == count.key)).first()
        if row is None:
            continue
        remaining = row.last_at + _wait(row.failures - count.free) - clock.now()
        if remaining > timedelta(0):
            seconds = int(remaining.total_seconds()) + 1
            raise TooManyRequests(
                f"Too many {attempt.what}. Try again in {seconds} seconds.", retry_after_seconds=seconds
            )


def note(connection: Connection, attempt: Attempt) -> None:
    """Counts an attempt."""
    now = clock.now()
    connection.execute(LOGIN_FAILURE.delete().where(LOGIN_FAILURE.c.last_at < now - _FORGOTTEN_AFTER))
    for count in attempt.counts:
        first = insert(connection, LOGIN_FAILURE).values(key=count.key, failures=1, last_at=now)
        another = {"failures": LOGIN_FAILURE.c.failures + 1, "last_at": now}
        connection.execute(first.on_conflict_do_update(index_elements=["key"], set_=another))


def clear(connection: Connection, account: str, address: str) -> None:
    """Forgets an account's failed logins after a success; the address keeps its own."""
    connection.execute(LOGIN_FAILURE.delete().where(LOGIN_FAILURE.c.key == login(account, address).counts[0].key))


def _wait(excess: int) -> timedelta:
    return timedelta(0) if excess < 0 else min(timedelta(seconds=2 ** min(excess, 20)), LONGEST_WAIT)


def _key(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
