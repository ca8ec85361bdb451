"""`Idempotency-Key`: a repeated POST is answered again, not carried out again.

The claim on a key is written in the transaction of the change itself, so a crash leaves both or neither.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.tables import IDEMPOTENCY
from core import clock
from core.errors import Conflict, IdempotencyKeyReused, InvalidArgument

KEPT = timedelta(hours=24)
_KEY = re.compile(r"[\x21-\x7e]{1,128}")


@dataclass(frozen=True, slots=True)
class Claim:
    """One key of one principal, with a digest of the request it stands for."""

    principal: str
    key: str
    digest: str


@dataclass(frozen=True, slots=True)
class Earlier:
    """What the same request was answered before; `operation` if it started one."""

    operation: str | None
    status: int | None
    body: bytes | None


def claim_of(key: str, principal: str, method: str, path: str, body: bytes) -> Claim:
    """The claim a request makes.

    Raises:
        InvalidArgument: the key is empty, too long or not printable ASCII.
    """
    if not _KEY.fullmatch(key):
        raise InvalidArgument("Idempotency-Key must be 1 to 128 printable ASCII characters without spaces.")
    digest = hashlib.sha256(b"\0".join((method.encode(), path.encode(), body))).hexdigest()
    return Claim(principal, key, digest)


def earlier(connection: Connection, claim: Claim) -> Earlier | None:
    """The earlier answer to this claim, or None if the key is new.

    Raises:
        IdempotencyKeyReused: the key stood for another request.
    """
    row = connection.execute(
        sa.select(IDEMPOTENCY).where(IDEMPOTENCY.c.principal == claim.principal, IDEMPOTENCY.c.key == claim.key)
    ).one_or_none()
    if row is None or row.created_at < clock.now() - KEPT:
        return None
    if row.digest != claim.digest:
        raise IdempotencyKeyReused("This Idempotency-Key came before with another request. Use a new key.")
    return Earlier(row.operation, row.status, row.body)


def take(connection: Connection, claim: Claim, operation: str | None) -> None:
    """Takes the key in the caller's transaction.

    Raises:
        Conflict: the same request is being carried out right now.
    """
    ours = (IDEMPOTENCY.c.principal == claim.principal) & (IDEMPOTENCY.c.key == claim.key)
    connection.execute(IDEMPOTENCY.delete().where(ours, IDEMPOTENCY.c.created_at < clock.now() - KEPT))
    try:
        connection.execute(
            IDEMPOTENCY.insert().values(
                principal=claim.principal,
                key=claim.key,
                digest=claim.digest,
                operation=operation,
                created_at=clock.now(),
            )
        )
    except sa.exc.IntegrityError as error:
        raise Conflict("The same request is being carried out right now. Repeat it in a moment.") from error


def keep(connection: Connection, claim: Claim, status: int, body: bytes) -> None:
    """Keeps the answer for a replay."""
    connection.execute(
        IDEMPOTENCY.update()
        .where(IDEMPOTENCY.c.principal == claim.principal, IDEMPOTENCY.c.key == claim.key)
        .values(status=status, body=body)
    )


def release(connection: Connection, operation: str) -> None:
    """Frees the key of an operation that never started, so that the same request may be tried again."""
    connection.execute(IDEMPOTENCY.delete().where(IDEMPOTENCY.c.operation == operation))


def purge(connection: Connection) -> None:
    """Forgets keys older than a day."""
    connection.execute(IDEMPOTENCY.delete().where(IDEMPOTENCY.c.created_at < clock.now() - KEPT))
