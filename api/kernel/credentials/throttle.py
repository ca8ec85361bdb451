"""Throttling of failed logins and password resets, per account and per address.

After a few free attempts, each further attempt doubles the wait, up to 15 minutes. Counts are in the database, so all
processes share them and they survive restarts. The keys are hashes, so the table contains no names.
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
from core.callers import caller_network
from core.db import insert
from core.errors import TooManyRequests

FIRST_WAIT = timedelta(seconds=1)
MAX_WAIT = timedelta(minutes=15)
_FORGOTTEN_AFTER = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Count:
    """A counter, and the number of attempts that are free."""

    key: str
    free: int


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt, and the counters that it increments."""

    noun: str
    counts: Sequence[Count]


def login(account: str, address: str) -> Attempt:
    """Returns a login as an attempt. An address has more free attempts, because many users may share it."""
    address = caller_network(address)
    counts = Count(_key("account", account, address), 5), Count(_key("address", address), 30)
    return Attempt("failed logins", counts)


def password_reset(account: str, address: str) -> Attempt:
    """Returns a request for a mail that resets a password, as an attempt.

    The counter of the account is the same for all addresses, because each mail fills its inbox.
    """
    address = caller_network(address)
    counts = Count(_key("reset of", account), 5), Count(_key("reset from", address), 30)
    return Attempt("requests to reset a password", counts)


def confirmation(principal_id: str) -> Attempt:
    """Returns the confirmation of a code as an attempt. Only the account counts: users may share the address."""
    return Attempt("wrong codes", (Count(_key("confirmation", principal_id), 5),))


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
                f"Too many {attempt.noun}. Try again in {seconds} seconds.", retry_after_seconds=seconds
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
    """Resets the failed logins of an account after a success. The counter of the address stays."""
    connection.execute(LOGIN_FAILURE.delete().where(LOGIN_FAILURE.c.key == login(account, address).counts[0].key))


def _wait(excess: int) -> timedelta:
    """Returns the wait after the free attempts and `excess` more: the first wait, doubled for each attempt."""
    return timedelta(0) if excess < 0 else min(FIRST_WAIT * 2 ** min(excess, 20), MAX_WAIT)


def _key(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
