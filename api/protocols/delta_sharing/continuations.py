"""Queries that continue: pages of files, and queries that a client reads later. The server stores nothing of them.

A token contains the query, the version that all pages show, and where the next page begins. It is encrypted, belongs to
one recipient and one table, and ends with the links of its first page. What the recipient may read is decided again on
each page.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from api.kernel.credentials.sealing import open_sealer
from api.kernel.platform import Platform
from core import clock
from core.errors import HeadwaterError, InvalidArgument

_CONTEXT = "delta-sharing:continuation"
MAX_ID = 2_000
"""Number of characters of the id of a query, which is a part of a path."""


@dataclass(frozen=True, slots=True)
class Continuation:
    """Where a query continues."""

    recipient_id: str
    object_id: str
    query: dict[str, Any]
    """The body of the query, by the names of the protocol."""
    version: int
    """Version of the table that all pages show."""
    after: str
    """Path of the last file of the page before. Empty for the first page."""
    left: int | None
    """Number of rows that `limitHint` still asks for."""
    expires: int
    """Time of expiry in seconds since 1970."""


class Continuations:
    """Tokens of one recipient for one table."""

    def __init__(self, platform: Platform, recipient_id: str, object_id: str, expires: int) -> None:
        self._sealer = platform.part(open_sealer)
        self._recipient_id = recipient_id
        self._object_id = object_id
        self._expires = expires

    def token(self, query: dict[str, Any], version: int, after: str = "", left: int | None = None) -> str:
        """Returns the token of a query at a version, or of its next page."""
        found = Continuation(self._recipient_id, self._object_id, query, version, after, left, self._expires)
        return self._sealer.seal(json.dumps([getattr(found, name) for name in Continuation.__slots__]), _CONTEXT)

    def opened(self, token: str) -> Continuation:
        """Returns where a query continues.

        Raises:
            InvalidArgument: the token isn't one of this recipient and table, or has expired.
        """
        try:
            found = Continuation(*json.loads(self._sealer.unseal(token, _CONTEXT)))
        except (HeadwaterError, ValueError, TypeError):
            raise _invalid() from None
        theirs = (found.recipient_id, found.object_id) == (self._recipient_id, self._object_id)
        if not theirs or found.expires <= clock.now().timestamp():
            raise _invalid()
        return found


def _invalid() -> InvalidArgument:
    return InvalidArgument("The token is not one of this table, or has expired. Send the query again.")
