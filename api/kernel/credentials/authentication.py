"""Authentication of requests. Principals are looked up by the hash of their token and cached until a revocation."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.engine import Connection
from starlette.requests import HTTPConnection

from api.kernel.credentials import epochs, tokens
from api.kernel.credentials.last_use import LastUse
from api.kernel.permissions import grants, projects
from api.kernel.permissions.principal import Principal
from api.kernel.platform import Platform
from core import clock
from core.errors import Unauthenticated

EPOCH_SECONDS = 1.0
"""Seconds after which this process notices revocations of other processes."""

_CACHE_SIZE = 10_000


@dataclass(frozen=True, slots=True)
class _Login:
    principal: Principal
    expires_at: datetime
    is_key: bool


class Authenticator:
    """A check of bearer tokens and session cookies."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._cache: dict[str, _Login] = {}
        self._epoch = -1
        self._checked_at = float("-inf")
        self._checking: asyncio.Task[None] | None = None
        self._last_use = platform.part(LastUse)
        self.cookie = session_cookie(platform.settings.port)

    async def principal(self, connection: HTTPConnection) -> Principal:
        """Returns the principal that sent this request.

        Raises:
            Unauthenticated: there are no credentials, or they are not valid.
            Unavailable: the database does not respond, so the credentials may have been revoked.
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

    async def principal_of_token(self, token_id: str) -> Principal:
        """Returns the principal of a token by its id, with its present rights, for links that the token signed.

        Raises:
            Unauthenticated: the token has expired or was revoked, or its account is not active.
        """
        login = await self._platform.workers.read.run(self._look_up, token_id, tokens.authenticating_id)
        if login is None:
            raise Unauthenticated("The token that signed the link is no longer valid. Sign another link.")
        return login.principal

    def session_secret(self, connection: HTTPConnection) -> str:
        """Returns the session cookie, or an empty string."""
        return connection.cookies.get(self.cookie, "")

    async def _check(self, secret: str, address: str) -> Principal:
        if time.monotonic() - self._checked_at > EPOCH_SECONDS:
            await self._refresh_epoch()
        digest = tokens.digest_of(secret)
        login = self._cache.get(digest)
        if login is None:
            epoch = self._epoch
            login = await self._platform.workers.read.run(self._look_up, secret)
            if login is not None and epoch == self._epoch:
                if len(self._cache) >= _CACHE_SIZE:
                    self._cache.clear()
                self._cache[digest] = login
        if login is None or login.expires_at <= clock.now():
            raise Unauthenticated("The token or login is unknown, expired, or revoked. Log in again.")
        if login.is_key:
            self._last_use.note(login.principal.token_id, address)
        return login.principal

    def forget(self) -> None:
        """Clears the cache. Call it when this process has revoked credentials or rights."""
        self._cache.clear()
        self._checked_at = float("-inf")

    async def _refresh_epoch(self) -> None:
        """Reads the epoch, once for all requests that wait for it."""
        if self._checking is None or self._checking.done():
            self._checking = asyncio.create_task(self._read_epoch())
        await asyncio.shield(self._checking)

    async def _read_epoch(self) -> None:
        started = time.monotonic()
        epoch, current = await self._platform.workers.read.run(self._current_epoch)
        if current is not None:
            self._cache.clear()
            self._platform.provide(projects.Projects, current)
            self._epoch = epoch
        self._checked_at = started

    def _current_epoch(self) -> tuple[int, projects.Projects | None]:
        with self._platform.database.read() as connection:
            epoch = epochs.current(connection)
            return epoch, projects.load(connection) if epoch != self._epoch else None

    def _look_up(
        self, secret: str, find: Callable[[Connection, str], tokens.ValidToken | None] = tokens.authenticating
    ) -> _Login | None:
        with self._platform.database.read() as connection:
            valid = find(connection, secret)
            if valid is None:
                return None
            account = valid.principal
            access = grants.access_of(connection, account.id, self._platform.permissions, valid.scopes)
        principal = Principal(account.id, account.name, account.kind, account.organization_id, valid.id, access)
        return _Login(principal, valid.expires_at, valid.kind is tokens.TokenKind.TOKEN)


def _address(connection: HTTPConnection) -> str:
    return connection.client.host if connection.client else ""


def session_cookie(port: int) -> str:
    """Returns the name of the session cookie. It contains the port, because browsers share cookies between ports."""
    return f"headwater_{port}"


def cookie_header(name: str, secret: str, expires_at: datetime, *, secure: bool) -> str:
    """Returns the `Set-Cookie` header of a login. An empty secret deletes the cookie."""
    seconds = max(0, int((expires_at - clock.now()).total_seconds())) if secret else 0
    return f"{name}={secret}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax" + ("; Secure" if secure else "")
