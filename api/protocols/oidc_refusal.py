"""The page of a login through an identity provider that was refused, for a person before a browser."""

from __future__ import annotations

from html import escape
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import HTMLResponse

from api.home.pages import LOGIN_PAGE
from api.kernel.http.state import state_of
from core.errors import HeadwaterError

_SECURITY_POLICY = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'"
_PAGE = """<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>Not logged in · Headwater</title>
  <link rel="icon" href="{root}/static/mark.svg" type="image/svg+xml">
  <link rel="stylesheet" href="{root}/static/home.css">
</head>
<body class="login">
  <main>
    <div class="card">
      <img src="{root}/static/mark.svg" alt="" width="44" height="44">
      <h1>You aren't logged in</h1>
      <p class="problem" role="alert">{reason}</p>
      <p class="muted small">Request <code>{request_id}</code></p>
      <p><a href="{login}">Back to the login</a></p>
    </div>
  </main>
</body>
</html>
"""


def refusal_page(request: Request, error: HeadwaterError, *, next: str) -> HTMLResponse:
    """Returns the page with the reason, and the way back to the login and from there to `next`."""
    state = state_of(request.scope)
    state.rejected = error.reason
    # The page is below the path of the login, and a proxy can serve the platform below a prefix.
    root = "/".join([".."] * (request.scope["path"].count("/") - 1))
    page = _PAGE.format(
        root=root,
        reason=escape(error.detail),
        request_id=escape(state.request_id),
        login=escape(f"{root}{LOGIN_PAGE}?next={quote(next, safe='')}"),
    )
    return HTMLResponse(page, error.status, {"content-security-policy": _SECURITY_POLICY})
