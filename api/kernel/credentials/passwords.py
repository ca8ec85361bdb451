"""Passwords: argon2id hashes, and checks that take equally long whether or not the account exists."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from core.errors import InvalidPayload

if TYPE_CHECKING:
    from argon2 import PasswordHasher

SHORTEST = 10
LONGEST = 256


@cache
def _hasher() -> PasswordHasher:
    from argon2 import PasswordHasher

    # OWASP's second choice for argon2id (19 MiB, two passes): about 30 ms, and no burst of logins eats the memory.
    return PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)


@cache
def _decoy() -> str:
    return _hasher().hash("no account has this password")


def hash_password(password: str) -> str:
    """The hash to store. Takes tens of milliseconds: call it in a worker thread.

    Raises:
        InvalidPayload: the password is too short or too long.
    """
    if not SHORTEST <= len(password) <= LONGEST:
        fault = {"pointer": "/password", "detail": f"needs {SHORTEST} to {LONGEST} characters"}
        raise InvalidPayload(f"The password needs {SHORTEST} to {LONGEST} characters.", errors=[fault])
    return _hasher().hash(password)


def verify(stored: str | None, password: str) -> bool:
    """Whether the password belongs to the hash; None, as for an unknown account, costs the same and is never right."""
    from argon2.exceptions import InvalidHashError, VerificationError

    try:
        right = _hasher().verify(stored or _decoy(), password[:LONGEST])
    except (VerificationError, InvalidHashError):
        return False
    return right and stored is not None
