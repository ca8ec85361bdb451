"""Keys that sign tokens for other systems. One signs, the next is published already, former ones stay for a while.

Whoever verifies fetches the published set and keeps it for a time. So a key must be in it before it signs, and until
the last token it signed has ended. All that is a matter of rows and of the time, so any process may do any step, and
the steps are taken when a token is asked for: no key is older than it may be, and none is made that nobody needs.
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
from api.kernel.tables import TOKEN
from api.services.admin.login_tables import SIGNING_KEY
from core import clock
from core.db import insert
from core.errors import Conflict, NotFound, Unavailable
from core.events import Event
from core.ids import new_id

if TYPE_CHECKING:
    from joserfc.jwk import RSAKey

ALGORITHM = "RS256"
"""The one that OpenID Connect demands of everybody, so every verifier knows it."""

TOKEN_LIFE = timedelta(minutes=5)
CACHE = timedelta(minutes=5)
"""How long others may keep the published set."""

KEY_LIFE = timedelta(days=30)
"""How long a key signs."""

_READY = 2 * CACHE  # a copy may be as old as it may be, and then be on its way
_LEEWAY = timedelta(minutes=1)  # of clocks that differ
_BITS = 2048


class KeyState(StrEnum):
    """`NEXT` is published and waits, `CURRENT` signs, `FORMER` did. A `REVOKED` one is published no more."""

    NEXT = "NEXT"
    CURRENT = "CURRENT"
    FORMER = "FORMER"
    REVOKED = "REVOKED"


def published(connection: Connection) -> list[dict[str, Any]]:
    """The public keys that verify what holds now or will be signed next, as JWKs. None before the first use."""
    since = clock.now() - TOKEN_LIFE - _LEEWAY
    former = sa.and_(SIGNING_KEY.c.state == KeyState.FORMER.value, SIGNING_KEY.c.retired_at > since)
    select = sa.select(SIGNING_KEY.c.public).where(
        sa.or_(SIGNING_KEY.c.state.in_((KeyState.NEXT.value, KeyState.CURRENT.value)), former)
    )
    return list(connection.execute(select.order_by(SIGNING_KEY.c.created_at)).scalars())


def published_until(row: Any) -> datetime | None:
    """When a former key leaves the published set; None for others."""
    return row.retired_at + TOKEN_LIFE + _LEEWAY if row.state == KeyState.FORMER.value else None


class SigningKeys:
    """Makes, changes and uses the keys. Private ones are stored sealed, and only while they may sign.

    What it changes it tells in events, which the caller appends in the same transaction.
    """

    def __init__(self, platform: Platform) -> None:
        self._sealer = platform.part(open_sealer)
        self._kept: tuple[str, RSAKey] | None = None

    def advance(self, connection: Connection) -> list[Event]:
        """Makes the first keys, lets the next key sign once the current one is too old, and makes another next one."""
        signing = current(connection)
        if signing is None and connection.execute(sa.select(SIGNING_KEY.c.id).limit(1)).first() is None:
            # Nobody was shown a set without it, so it may sign at once.
            return [*self._make(connection, KeyState.CURRENT), *self._make(connection, KeyState.NEXT)]
        due = signing is None or signing.signs_from + KEY_LIFE <= clock.now()
        following = _in(connection, KeyState.NEXT)
        happened = _promote(connection, signing, following) if due and not _wait(following) else []
        if happened or following is None:
            happened += self._make(connection, KeyState.NEXT)
        return happened

    def rotate(self, connection: Connection) -> list[Event]:
        """Lets the next key sign from now on.

        Raises:
            Conflict: it has not been published for long enough.
        """
        if happened := self.advance(connection):
            return happened
        following = _in(connection, KeyState.NEXT)
        if seconds := _wait(following):
            raise Conflict(
                f"Others may not know the next key yet. Try again in {seconds} s, or revoke the current key if it must "
                "not be trusted any more.",
                retry_after_seconds=seconds,
            )
        return _promote(connection, current(connection), following) + self._make(connection, KeyState.NEXT)

    def revoke(self, connection: Connection, id: str) -> list[Event]:
        """Takes a key out of the published set at once, and ends all signed tokens if it may have signed some.

        Raises:
            NotFound: there is no such key.
            Conflict: it is revoked already.
        """
        find(connection, id)
        values = {"state": KeyState.REVOKED.value, "revoked_at": clock.now(), "sealed": None}
        working = SIGNING_KEY.c.id == id, SIGNING_KEY.c.state != KeyState.REVOKED.value
        if connection.execute(SIGNING_KEY.update().where(*working).values(**values)).rowcount == 0:
            raise Conflict("The key is revoked already.")
        if find(connection, id).signs_from is not None:
            signed = TOKEN.c.kind == TokenKind.SIGNED.value, TOKEN.c.revoked_at.is_(None)
            connection.execute(TOKEN.update().where(*signed).values(revoked_at=clock.now()))
        return self.advance(connection)

    def sign(self, connection: Connection, claims: Mapping[str, Any]) -> str:
        """A JWT of these claims, signed by the current key, of the type that RFC 9068 gives access tokens.

        Raises:
            Unavailable: no key may sign now, or it cannot be unsealed.
        """
        from joserfc import jwt

        # Held until the transaction ends: who revokes the key waits, and then ends this token, too.
        row = _in(connection, KeyState.CURRENT, held=True)
        if row is None:
            seconds = max(1, _wait(_in(connection, KeyState.NEXT)))
            raise Unavailable("No key may sign now. Try again later.", retry_after_seconds=seconds)
        header = {"alg": ALGORITHM, "kid": row.id, "typ": "at+jwt"}
        return jwt.encode(header, dict(claims), self._private(row), algorithms=[ALGORITHM])

    def _private(self, row: Any) -> RSAKey:
        """The private key. It is kept, since checking its numbers takes longer than all the rest of a request."""
        from joserfc.jwk import RSAKey

        if self._kept is None or self._kept[0] != row.id:
            key = RSAKey.import_key(json.loads(self._sealer.unseal(row.sealed, _context(row.id))))
            self._kept = row.id, key
        return self._kept[1]

    def _make(self, connection: Connection, state: KeyState) -> list[Event]:
        """Makes a key, unless another process has just made one for the same place."""
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
        made = connection.execute(row.on_conflict_do_nothing().returning(SIGNING_KEY.c.id)).first()
        return [_event("made", id, state=state.value)] if made else []


def find(connection: Connection, id: str) -> Any:
    """The row of a key.

    Raises:
        NotFound: there is none.
    """
    row = connection.execute(sa.select(SIGNING_KEY).where(SIGNING_KEY.c.id == id)).first()
    if row is None:
        raise NotFound(f"There is no signing key {id!r}.")
    return row


def current(connection: Connection) -> Any:
    """The row of the key that signs, or None."""
    return _in(connection, KeyState.CURRENT)


def _in(connection: Connection, state: KeyState, *, held: bool = False) -> Any:
    """The row of the key in this place, or None."""
    select = sa.select(SIGNING_KEY).where(SIGNING_KEY.c.state == state.value)
    return connection.execute(select.with_for_update(read=True) if held else select).first()


def _promote(connection: Connection, former: Any, following: Any) -> list[Event]:
    now = clock.now()
    table = SIGNING_KEY
    if former is not None:
        # What is not needed any more cannot leak.
        values = {"state": KeyState.FORMER.value, "retired_at": now, "sealed": None}
        signing = table.c.id == former.id, table.c.state == KeyState.CURRENT.value
        if connection.execute(table.update().where(*signing).values(**values)).rowcount == 0:
            return []  # another process was first
    waiting = table.c.id == following.id, table.c.state == KeyState.NEXT.value
    values = {"state": KeyState.CURRENT.value, "signs_from": now}
    taken = connection.execute(table.update().where(*waiting).values(**values)).rowcount
    return [_event("activated", following.id)] if taken else []


def _wait(row: Any) -> int:
    """Seconds until everybody may be expected to know a published key; 0 if that is so. A second if there is none."""
    if row is None:
        return 1
    ready: datetime = row.created_at + _READY
    return max(0, math.ceil((ready - clock.now()).total_seconds()))


def _context(id: str) -> str:
    return f"signing-key:{id}"


def _event(past: str, id: str, **data: Any) -> Event:
    return Event(f"admin.signing_key.{past}", id, "headwater", data, kind="admin.signing_key")
