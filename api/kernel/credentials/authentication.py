"""From credentials to a principal: a lookup by hash, remembered until it expires or something is revoked."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from dataclasses import dataclass
from datetime import datetime

from starlette.requests import HTTPConnection

from api.kernel.credentials import epochs, tokens
from api.kernel.credentials.last_use import LastUse
from api.kernel.permissions import grants, projects
from api.kernel.permissions.principal import Principal
from api.kernel.platform import Platform
from core import clock
from core.errors import Unauthenticated

EPOCH_SECONDS = 1.0
"""How long another process's revocation may go unseen."""

_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class _Known:
    principal: Principal
    expires_at: datetime
    is_key: bool


class Authenticator:
    """Checks bearer tokens and session cookies."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._known: dict[str, _Known] = {}
        self._epoch = -1
        self._checked_at = float("-inf")
        self._checking: asyncio.Task[None] | None = None
        self._last_use = platform.part(LastUse)
        self.cookie = session_cookie(platform.settings.port)

    async def principal(self, connection: HTTPConnection) -> Principal:
        """Who sent this request.

        Raises:
            Unauthenticated: nobody known, or credentials that do not hold (any more).
            Unavailable: the database cannot say whether they were revoked.
        """
        header = connection.headers.get("authorization")
        if header is not None:
            scheme, _, secret = header.partition(" ")
            if scheme.lower() != "bearer" or not secret.strip():
                raise Unauthenticated("Send the token as `Authorization: Bearer <token>`.")
            return await self._check(secret.strip(), _address(connection))
        if secret := self.session_secret(connection):
            return dataclasses.replace(await self._check(secret, _address(connection)), by_cookie=True)
        raise Unauthenticated("Send a bearer token, or log in: POST /api/v1/admin/sessions:login.")

    def session_secret(self, connection: HTTPConnection) -> str:
        """The session cookie, or an empty string."""
        return connection.cookies.get(self.cookie, "")

    async def _check(self, secret: str, address: str) -> Principal:
        if time.monotonic() - self._checked_at > EPOCH_SECONDS:
            await self._see_epoch()
        digest = tokens.digest_of(secret)
        known = self._known.get(digest)
        if known is None:
            epoch = self._epoch
            known = await self._platform.workers.read.run(self._look_up, secret)
            if known is not None and epoch == self._epoch:
                if len(self._known) >= _REMEMBERED:
                    self._known.clear()
                self._known[digest] = known
        if known is None or known.expires_at <= clock.now():
            raise Unauthenticated("The token or login is unknown, expired or revoked. Log in again.")
        if known.is_key:
            self._last_use.note(known.principal.token_id, address)
        return known.principal

    def forget(self) -> None:
        """Drops what is remembered: this process has just revoked something."""
        self._known.clear()
        self._checked_at = float("-inf")

    async def _see_epoch(self) -> None:
        """Waits for one look at the epoch, shared by all requests that need it."""
        if self._checking is None or self._checking.done():
            self._checking = asyncio.create_task(self._read_epoch())
        await asyncio.shield(self._checking)

    async def _read_epoch(self) -> None:
        started = time.monotonic()
        epoch, found = await self._platform.workers.read.run(self._current_epoch)
        if found is not None:
            self._known.clear()
            self._platform.provide(projects.Projects, found)
            self._epoch = epoch
        self._checked_at = started

    def _current_epoch(self) -> tuple[int, projects.Projects | None]:
        with self._platform.database.read() as connection:
            epoch = epochs.current(connection)
            return epoch, projects.load(connection) if epoch != self._epoch else None

    def _look_up(self, secret: str) -> _Known | None:
        with self._platform.database.read() as connection:
            valid = tokens.valid(connection, secret)
            if valid is None:
                return None
            account = valid.principal
            access = grants.access_of(connection, account.id, self._platform.permissions, valid.scopes)
        who = (account.id, account.name, account.kind, account.organization_id, valid.id)
        return _Known(Principal(*who, access), valid.expires_at, valid.kind is tokens.TokenKind.TOKEN)


def _address(connection: HTTPConnection) -> str:
    return connection.client.host if connection.client else ""


def session_cookie(port: int) -> str:
    """Name of the session cookie. Browsers keep cookies per host, not per port, so the name holds the port."""
    return f"headwater_{port}"


def cookie_header(name: str, secret: str, expires_at: datetime, *, secure: bool) -> str:
    """The `Set-Cookie` value of a login; an empty secret ends it."""
    seconds = max(0, int((expires_at - clock.now()).total_seconds())) if secret else 0
    return f"{name}={secret}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax" + ("; Secure" if secure else "")
