"""Recipients as callers: by a bearer token, or by a link to a file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import quote

from starlette.requests import HTTPConnection

from api.kernel.credentials.sealing import open_sealer
from api.kernel.http.state import state_of
from api.kernel.permissions.access import Access
from api.kernel.permissions.principal import Principal, PrincipalKind
from api.kernel.platform import Platform
from api.services.ai_catalog.logic import recipients
from api.services.ai_catalog.logic.recipients import RecipientCaller
from core import clock
from core.errors import HeadwaterError, Unauthenticated

LINK_LIFE = timedelta(hours=1)
_CONTEXT = "delta-sharing:link"
# Readers of the delta format take a URL for a signed one, which needs no credentials, only by such a name.
_PARAMETER = "sp"
_NO_RIGHTS = Access((), {})


@dataclass(frozen=True, slots=True)
class Link:
    """What a link to a file opens. It is encrypted, so that recipients can neither read nor change it."""

    token_id: str
    """Token that the link was issued to. The link ends with it."""
    share_id: str
    object_id: str
    version: int
    """Version of the table, or of the commit for a file of the change data feed."""
    changes: bool
    """Whether the file is one of the changes of the version, and not of its content."""
    path: str
    """Path below the location of the table, URL-encoded as in the log."""
    expires: int
    """Time of expiry in seconds since 1970."""
    restricted: str = ""
    """Digest of what policies leave of the version, of which `path` is a file. Empty for files of the table."""


class Callers:
    """Authentication of recipients. Every request reads the database, so that a revocation takes effect at once."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    async def by_token(self, connection: HTTPConnection) -> Principal:
        """Returns the recipient with the bearer token of a request.

        Raises:
            Unauthenticated: there is none. Unknown, expired, and revoked tokens, and other networks, get one answer.
        """
        scheme, _, secret = connection.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not secret.strip():
            raise Unauthenticated("Send the token of your profile as `Authorization: Bearer <token>`.")

        def find() -> RecipientCaller | None:
            with self._platform.database.read() as database:
                return recipients.of_secret(database, secret.strip(), state_of(connection.scope).client)

        found = await self._platform.workers.read.run(find)
        if found is None:
            raise Unauthenticated("The token is unknown, expired, or revoked. Ask the provider for a new profile.")
        return _principal(found)

    async def by_link(self, connection: HTTPConnection) -> Principal:
        """Returns the recipient that the link of a request was issued to.

        Raises:
            Unauthenticated: the link was altered or has expired, or its token is no longer valid.
        """
        link = self.link(connection)

        def find() -> RecipientCaller | None:
            with self._platform.database.read() as database:
                return recipients.of_token(database, link.token_id, state_of(connection.scope).client)

        found = await self._platform.workers.read.run(find)
        if found is None or link.expires <= clock.now().timestamp():
            raise _invalid_link()
        return _principal(found)

    def link(self, connection: HTTPConnection) -> Link:
        """Returns what the link of a request opens. Raises `Unauthenticated` if it was altered."""
        sealed = connection.query_params.get(_PARAMETER, "")
        try:
            return Link(*json.loads(self._platform.part(open_sealer).unseal(sealed, _CONTEXT)))
        except (HeadwaterError, ValueError, TypeError):
            raise _invalid_link() from None

    def url(self, base: str, link: Link) -> str:
        """Returns the URL of a link."""
        fields = [getattr(link, name) for name in Link.__slots__]
        sealed = self._platform.part(open_sealer).seal(json.dumps(fields), _CONTEXT)
        return f"{base}/delta-sharing/files/part.parquet?{_PARAMETER}={quote(sealed)}"


def expiry(now: datetime) -> int:
    """Returns when a link that is issued now expires, in seconds since 1970."""
    return int((now + LINK_LIFE).timestamp())


def _invalid_link() -> Unauthenticated:
    return Unauthenticated("The link was altered, has expired, or its recipient lost access. Query the table again.")


def _principal(caller: RecipientCaller) -> Principal:
    return Principal(
        caller.id, caller.name, PrincipalKind.SERVICE_ACCOUNT, caller.organization_id, caller.token_id, _NO_RIGHTS
    )
