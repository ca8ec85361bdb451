"""Protection against cross-site request forgery for logins by cookie.

A change is accepted if it has the CSRF token of the session in `X-CSRF-Token`, or if the browser reports that it comes
from a page of the platform (`Sec-Fetch-Site`, which scripts cannot set, or else `Origin`). Browsers never send bearer
tokens automatically, so these need no protection.
"""

from __future__ import annotations

import hashlib
import hmac

from starlette.requests import HTTPConnection

from core.addresses import authority
from core.errors import PermissionDenied

HEADER = "x-csrf-token"


def csrf_token(session_secret: str) -> str:
    """Returns the CSRF token of a session. The secret of the session cannot be derived from it."""
    return hmac.new(session_secret.encode(), b"headwater csrf", hashlib.sha256).hexdigest()


def refuse_cross_site(connection: HTTPConnection, session_secret: str) -> None:
    """Raises `PermissionDenied` unless the request comes from a page of the platform."""
    token = connection.headers.get(HEADER, "")
    if token and hmac.compare_digest(token.encode(), csrf_token(session_secret).encode()):
        return
    site = connection.headers.get("sec-fetch-site")
    if site == "same-origin":
        return
    origin = connection.headers.get("origin", "")
    if site is None and origin and authority(origin) == connection.headers.get("host", ""):
        return
    raise PermissionDenied(
        "This change was sent with a login cookie, but without proof that it comes from a page of the platform. "
        "Send the CSRF token of the session as X-CSRF-Token, or use a bearer token."
    )
