"""Idempotency keys: a repeated request returns the first response instead of running again.

The claim on a key is written in the transaction of the change, so that a crash leaves both or neither. Keys belong to
the id of a principal, not to its name.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.tables import IDEMPOTENCY
from core import clock
from core.errors import Conflict, IdempotencyKeyReused, InvalidArgument

RETENTION = timedelta(hours=24)
_KEY = re.compile(r"[\x21-\x7e]{1,128}")


@dataclass(frozen=True, slots=True)
class Claim:
    """An idempotency key of a principal, with the digests of the request and of the rights of the caller."""

    principal_id: str
    key: str
    digest: str
    rights: str


@dataclass(frozen=True, slots=True)
class EarlierResponse:
    """The response to the first request. `operation` is set if the request started one."""

    operation: str | None
    status: int | None
    body: bytes | None
    rights: str
    securable_id: str | None
    at: datetime


def claim_of(key: str, principal_id: str, rights: str, request: Sequence[bytes]) -> Claim:
    """Returns the claim of a request. `request` contains everything that distinguishes it from other requests.

    Raises:
        InvalidArgument: the key is empty, too long, or not printable ASCII.
    """
    if not _KEY.fullmatch(key):
        raise InvalidArgument("Idempotency-Key must be 1 to 128 printable ASCII characters without spaces.")
    digest = hashlib.sha256(b"".join(len(part).to_bytes(8) + part for part in request)).hexdigest()
    return Claim(principal_id, key, digest, rights)


def earlier(connection: Connection, claim: Claim) -> EarlierResponse | None:
    """Returns the earlier response for this claim, or None if the key is new.

    Raises:
        IdempotencyKeyReused: the key was used for another request.
    """
    row = connection.execute(sa.select(IDEMPOTENCY).where(*_matches(claim))).one_or_none()
    if row is None or row.created_at < clock.now() - RETENTION:
        return None
    if row.digest != claim.digest:
        raise IdempotencyKeyReused("This Idempotency-Key was used for another request. Use a new key.")
    return EarlierResponse(row.operation, row.status, row.body, row.rights, row.securable_id, row.created_at)


def take(connection: Connection, claim: Claim, operation: str | None) -> None:
    """Claims the key in the caller's transaction.

    Raises:
        Conflict: the same request is running.
    """
    connection.execute(IDEMPOTENCY.delete().where(*_matches(claim), IDEMPOTENCY.c.created_at < clock.now() - RETENTION))
    try:
        connection.execute(
            IDEMPOTENCY.insert().values(
                principal_id=claim.principal_id,
                key=claim.key,
                digest=claim.digest,
                rights=claim.rights,
                operation=operation,
                created_at=clock.now(),
            )
        )
    except sa.exc.IntegrityError as error:
        raise Conflict("The same request is running. Repeat it in a moment.") from error


def update(connection: Connection, claim: Claim, **values: Any) -> None:
    """Stores the `status` and `body` of the response, or the `securable_id` of the resource in it."""
    connection.execute(IDEMPOTENCY.update().where(*_matches(claim)).values(**values))


def release(connection: Connection, operation: str) -> None:
    """Releases the key of an operation that did not start, so that the request can be repeated."""
    connection.execute(IDEMPOTENCY.delete().where(IDEMPOTENCY.c.operation == operation))


def purge(connection: Connection) -> None:
    """Deletes expired keys."""
    connection.execute(IDEMPOTENCY.delete().where(IDEMPOTENCY.c.created_at < clock.now() - RETENTION))


def _matches(claim: Claim) -> tuple[sa.ColumnElement[bool], ...]:
    return IDEMPOTENCY.c.principal_id == claim.principal_id, IDEMPOTENCY.c.key == claim.key
