"""Protection of cookie logins against requests that another site makes a browser send.

A change is accepted if it carries the session's CSRF token in `X-CSRF-Token`, or if the browser itself says that the
request comes from our own pages (`Sec-Fetch-Site`, which scripts cannot set; else `Origin`). Bearer tokens are never
sent by a browser on its own and need none of this.
"""

from __future__ import annotations

import hashlib
import hmac
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from core.errors import PermissionDenied

HEADER = "x-csrf-token"


def csrf_token(session_secret: str) -> str:
    """The CSRF token that belongs to a session. It reveals nothing of the session's secret."""
    return hmac.new(session_secret.encode(), b"headwater csrf", hashlib.sha256).hexdigest()


def refuse_cross_site(connection: HTTPConnection, session_secret: str) -> None:
    """Raises `PermissionDenied` unless the request comes from our own pages."""
    given = connection.headers.get(HEADER, "")
    if given and hmac.compare_digest(given.encode(), csrf_token(session_secret).encode()):
        return
    site = connection.headers.get("sec-fetch-site")
    if site == "same-origin":
        return
    origin = connection.headers.get("origin", "")
    if site is None and origin and urlsplit(origin).netloc == connection.headers.get("host", ""):
        return
    raise PermissionDenied(
        "This change was sent with a login cookie but without proof that it comes from our pages. "
        "Send the session's CSRF token as X-CSRF-Token, or use a bearer token."
    )
