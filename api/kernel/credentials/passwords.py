"""Passwords: argon2id hashes, and checks that take the same time whether or not the account exists."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from core.errors import InvalidPayload

if TYPE_CHECKING:
    from argon2 import PasswordHasher

MIN_LENGTH = 10
MAX_LENGTH = 256

# OWASP's second choice for argon2id (19 MiB, two passes): about 30 ms, and a burst of logins needs little memory.
TIME_COST = 2
MEMORY_KIB = 19_456


@cache
def _hasher() -> PasswordHasher:
    from argon2 import PasswordHasher

    return PasswordHasher(time_cost=TIME_COST, memory_cost=MEMORY_KIB, parallelism=1)


@cache
def _decoy() -> str:
    return _hasher().hash("no account has this password")


def hash_password(password: str) -> str:
    """Returns the hash to store. Takes tens of milliseconds: call it in a worker thread.

    Raises:
        InvalidPayload: the password is too short or too long.
    """
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        fault = {"pointer": "/password", "detail": f"needs {MIN_LENGTH} to {MAX_LENGTH} characters"}
        raise InvalidPayload(f"The password needs {MIN_LENGTH} to {MAX_LENGTH} characters.", errors=[fault])
    return _hasher().hash(password)


def verify(stored: str | None, password: str) -> bool:
    """Returns whether the password matches the hash.

    For None, which stands for an unknown account, it takes the same time and returns False.
    """
    from argon2.exceptions import InvalidHashError, VerificationError

    try:
        matches = _hasher().verify(stored or _decoy(), password[:MAX_LENGTH])
    except (VerificationError, InvalidHashError):
        return False
    return matches and stored is not None
