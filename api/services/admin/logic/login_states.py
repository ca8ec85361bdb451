"""State of a login with an identity provider between its start and the provider's response.

The state is in a cookie, encrypted for one provider, so that starting a login stores nothing on the platform. Each
attempt has its own cookie, so that logins in two tabs don't end each other. Only used responses are stored.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.services.admin.login_tables import SPENT_LOGIN
from core import clock
from core.errors import HeadwaterError, Unauthenticated
from core.sealing import Sealer

MAX_LOGIN_DURATION = timedelta(minutes=10)
"""Time that a user has to log in at the provider."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A login that was started."""

    provider_id: str
    state: str
    nonce: str
    verifier: str
    next: str
    """Path of this site to redirect to after the login."""

    redirect_uri: str
    until: float
    """Time of expiry in seconds since 1970."""

    def seal(self, sealer: Sealer) -> str:
        """Returns the value of the cookie."""
        return sealer.seal(json.dumps(asdict(self)), _context(self.provider_id))


def started_attempt(sealer: Sealer, sealed: str, provider_id: str, state: str) -> Attempt:
    """Returns the attempt in a cookie, if the provider's response with this state belongs to it.

    Raises:
        Unauthenticated: The response does not belong to it, or the attempt has expired.
    """
    try:
        attempt = Attempt(**json.loads(sealer.unseal(sealed, _context(provider_id))))
    except (HeadwaterError, ValueError, TypeError):
        raise refused() from None
    matches = secrets.compare_digest(attempt.state.encode(), state.encode()) and attempt.provider_id == provider_id
    if not matches or attempt.until < clock.now().timestamp():
        raise refused()
    return attempt


def spend(connection: Connection, attempt: Attempt) -> None:
    """Marks an attempt as used, whatever its result.

    Raises:
        Unauthenticated: It was used before.
    """
    connection.execute(SPENT_LOGIN.delete().where(SPENT_LOGIN.c.expires_at < clock.now()))
    values = {"digest": digest_of(attempt.state), "expires_at": datetime.fromtimestamp(attempt.until, UTC)}
    try:
        connection.execute(SPENT_LOGIN.insert().values(**values))
    except sa.exc.IntegrityError:
        raise refused() from None


def digest_of(state: str) -> str:
    """Returns the digest of a state, for the name of its cookie and the database."""
    return hashlib.sha256(state.encode("utf-8", "replace")).hexdigest()


def refused() -> Unauthenticated:
    """Returns the error for a response that belongs to no valid attempt."""
    return Unauthenticated(
        "This login was not started in this browser, was used already, or took too long. Start again."
    )


def _context(provider_id: str) -> str:
    return f"oidc-login:{provider_id}"
