"""Keys that sign tokens for other systems, and attestations: a current key, a published next key, and former keys.

Verifiers cache the published set. So a key must be in the set before it signs, and until its last token has expired.
All of this depends only on rows and the time, so any process can do any step. The steps happen when a token is
requested, so no key is used for too long, and no key is created that is not needed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.credentials.sealing import open_sealer
from api.kernel.credentials.tokens import TokenKind
from api.kernel.platform import Platform
from api.kernel.tables import SIGNING_KEY, TOKEN
from core import clock
from core.db import insert
from core.errors import Conflict, NotFound, Unavailable
from core.events import Event
from core.ids import new_id

if TYPE_CHECKING:
    from joserfc.jwk import RSAKey

ALGORITHM = "RS256"
"""The algorithm that OpenID Connect requires, so every verifier supports it."""

TOKEN_LIFETIME = timedelta(minutes=5)
CACHE = timedelta(minutes=5)
"""Time for which verifiers can cache the published set."""

KEY_LIFETIME = timedelta(days=30)
"""Time for which a key signs."""

_READY = 2 * CACHE  # a cached copy can be as old as allowed, and then still be transferred
_LEEWAY = timedelta(minutes=1)  # for clocks that differ
_BITS = 2048


class KeyState(StrEnum):
    """`NEXT` is published, `CURRENT` signs, and `FORMER` signed before. A `REVOKED` key is no longer published."""

    NEXT = "NEXT"
    CURRENT = "CURRENT"
    FORMER = "FORMER"
    REVOKED = "REVOKED"


def published(connection: Connection) -> list[dict[str, Any]]:
    """Returns the public keys of valid and upcoming tokens, as JWKs. There are none before the first use."""
    since = clock.now() - TOKEN_LIFETIME - _LEEWAY
    former = sa.and_(SIGNING_KEY.c.state == KeyState.FORMER.value, SIGNING_KEY.c.retired_at > since)
    select = sa.select(SIGNING_KEY.c.public).where(
        sa.or_(SIGNING_KEY.c.state.in_((KeyState.NEXT.value, KeyState.CURRENT.value)), former)
    )
    return list(connection.execute(select.order_by(SIGNING_KEY.c.created_at)).scalars())


def trusted(connection: Connection) -> list[dict[str, Any]]:
    """Returns the public keys that sign or signed at any time and were not revoked, as JWKs, for lasting signatures."""
    signed = SIGNING_KEY.c.signs_from.is_not(None), SIGNING_KEY.c.state != KeyState.REVOKED.value
    select = sa.select(SIGNING_KEY.c.public).where(*signed).order_by(SIGNING_KEY.c.created_at)
    return list(connection.execute(select).scalars())


def published_until(row: Any) -> datetime | None:
    """Returns when a former key leaves the published set; None for others."""
    return row.retired_at + TOKEN_LIFETIME + _LEEWAY if row.state == KeyState.FORMER.value else None


class SigningKeys:
    """The signing keys. Private keys are stored encrypted, and only while they can sign.

    Changes return their events, which the caller appends in the same transaction.
    """

    def __init__(self, platform: Platform) -> None:
        self._sealer = platform.part(open_sealer)
        self._current: tuple[str, RSAKey] | None = None

    def advance(self, connection: Connection) -> list[Event]:
        """Creates the first keys, or replaces the current key when that is due, and creates a new next key."""
        signing = current(connection)
        if signing is None and connection.execute(sa.select(SIGNING_KEY.c.id).limit(1)).first() is None:
            # No verifier has read a set without it, so it can sign immediately.
            return [*self._make(connection, KeyState.CURRENT), *self._make(connection, KeyState.NEXT)]
        due = signing is None or signing.signs_from + KEY_LIFETIME <= clock.now()
        following = _in(connection, KeyState.NEXT)
        changes = _promote(connection, signing, following) if due and not _wait(following) else []
        if changes or following is None:
            changes += self._make(connection, KeyState.NEXT)
        return changes

    def rotate(self, connection: Connection) -> list[Event]:
        """Makes the next key the current one.

        Raises:
            Conflict: The next key was not published for long enough.
        """
        if changes := self.advance(connection):
            return changes
        following = _in(connection, KeyState.NEXT)
        if seconds := _wait(following):
            raise Conflict(
                f"Verifiers may not have the next key yet. Try again in {seconds} s, or revoke the current key if it "
                "must no longer be trusted.",
                retry_after_seconds=seconds,
            )
        return _promote(connection, current(connection), following) + self._make(connection, KeyState.NEXT)

    def revoke(self, connection: Connection, id: str) -> list[Event]:
        """Removes a key from the published set immediately. Ends all signed tokens if it may have signed some.

        Raises:
            NotFound: There is no such key.
            Conflict: The key is revoked already.
        """
        find(connection, id)
        values = {"state": KeyState.REVOKED.value, "revoked_at": clock.now(), "sealed": None}
        active = SIGNING_KEY.c.id == id, SIGNING_KEY.c.state != KeyState.REVOKED.value
        if connection.execute(SIGNING_KEY.update().where(*active).values(**values)).rowcount == 0:
            raise Conflict("The key is revoked already.")
        if find(connection, id).signs_from is not None:
            signed = TOKEN.c.kind == TokenKind.SIGNED.value, TOKEN.c.revoked_at.is_(None)
            connection.execute(TOKEN.update().where(*signed).values(revoked_at=clock.now()))
        return self.advance(connection)

    def sign(self, connection: Connection, claims: Mapping[str, Any]) -> str:
        """Returns a JWT of these claims, signed by the current key, with the type of access tokens (RFC 9068).

        Raises:
            Unavailable: No key can sign now, or the key can't be decrypted.
        """
        from joserfc import jwt

        row = self._signing(connection)
        header = {"alg": ALGORITHM, "kid": row.id, "typ": "at+jwt"}
        return jwt.encode(header, dict(claims), self._private(row), algorithms=[ALGORITHM])

    def sign_bytes(self, connection: Connection, content: bytes) -> tuple[str, bytes]:
        """Returns the id of the current key, and its RS256 signature of `content`.

        The content must not have the form of a JWT: a text with a space, for example.

        Raises:
            Unavailable: No key can sign now, or the key can't be decrypted.
        """
        from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
        from cryptography.hazmat.primitives.hashes import SHA256

        row = self._signing(connection)
        private = self._private(row).get_op_key("sign")
        assert isinstance(private, RSAPrivateKey)
        return row.id, private.sign(content, PKCS1v15(), SHA256())

    def _signing(self, connection: Connection) -> Any:
        # Locked until the transaction ends: a revocation of the key waits, and then also ends what it signs now.
        row = _in(connection, KeyState.CURRENT, locked=True)
        if row is None:
            seconds = max(1, _wait(_in(connection, KeyState.NEXT)))
            raise Unavailable("No key can sign now. Try again later.", retry_after_seconds=seconds)
        return row

    def _private(self, row: Any) -> RSAKey:
        """Returns the private key. It is cached, because importing it takes longer than signing."""
        from joserfc.jwk import RSAKey

        if self._current is None or self._current[0] != row.id:
            key = RSAKey.import_key(json.loads(self._sealer.unseal(row.sealed, _context(row.id))))
            self._current = row.id, key
        return self._current[1]

    def _make(self, connection: Connection, state: KeyState) -> list[Event]:
        """Creates a key, unless another process has just created one in the same state."""
        from joserfc.jwk import RSAKey

        id, now = new_id("jwk"), clock.now()
        key = RSAKey.generate_key(_BITS, {"kid": id, "use": "sig", "alg": ALGORITHM})
        sealed = self._sealer.seal(json.dumps(key.as_dict(private=True)), _context(id))
        row = insert(connection, SIGNING_KEY).values(
            id=id,
            state=state.value,
            public=key.as_dict(private=False),
            sealed=sealed,
            created_at=now,
            signs_from=now if state is KeyState.CURRENT else None,
        )
        created = connection.execute(row.on_conflict_do_nothing().returning(SIGNING_KEY.c.id)).first()
        return [_event("made", id, state=state.value)] if created else []


def find(connection: Connection, id: str) -> Any:
    """Returns the row of a key.

    Raises:
        NotFound: There is no such key.
    """
    row = connection.execute(sa.select(SIGNING_KEY).where(SIGNING_KEY.c.id == id)).first()
    if row is None:
        raise NotFound(f"There is no signing key {id!r}.")
    return row


def current(connection: Connection) -> Any:
    """Returns the row of the key that signs, or None."""
    return _in(connection, KeyState.CURRENT)


def _in(connection: Connection, state: KeyState, *, locked: bool = False) -> Any:
    """Returns the row of the key in this state, or None."""
    select = sa.select(SIGNING_KEY).where(SIGNING_KEY.c.state == state.value)
    return connection.execute(select.with_for_update(read=True) if locked else select).first()


def _promote(connection: Connection, former: Any, following: Any) -> list[Event]:
    now = clock.now()
    table = SIGNING_KEY
    if former is not None:
        # A deleted private key can't leak.
        values = {"state": KeyState.FORMER.value, "retired_at": now, "sealed": None}
        signing = table.c.id == former.id, table.c.state == KeyState.CURRENT.value
        if connection.execute(table.update().where(*signing).values(**values)).rowcount == 0:
            return []  # Another process was first.
    waiting = table.c.id == following.id, table.c.state == KeyState.NEXT.value
    values = {"state": KeyState.CURRENT.value, "signs_from": now}
    taken = connection.execute(table.update().where(*waiting).values(**values)).rowcount
    return [_event("activated", following.id)] if taken else []


def _wait(row: Any) -> int:
    """Returns the seconds until verifiers have a published key; 0 if they have it, 1 if there is none."""
    if row is None:
        return 1
    ready: datetime = row.created_at + _READY
    return max(0, math.ceil((ready - clock.now()).total_seconds()))


def _context(id: str) -> str:
    return f"signing-key:{id}"


def _event(past: str, id: str, **data: Any) -> Event:
    return Event(f"admin.signing_key.{past}", id, "headwater", data, kind="admin.signing_key")
