"""Mounts of the pages for users who aren't logged in, and their static files."""

from __future__ import annotations

from pathlib import Path

from starlette.responses import FileResponse, HTMLResponse
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from api.kernel.kinds.registry import Mount

LOGIN_PAGE = "/login"
INVITATION_PAGE = "/invitation"
FORGOTTEN_PAGE = "/forgot-password"
RESET_PAGE = "/reset-password"
ACTIVATION_PAGE = "/share-activation"
_STATIC = Path(__file__).parent / "static"
_SECURITY_POLICY = "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'"
_FORGOTTEN_LINK = f'<p class="small"><a href="{FORGOTTEN_PAGE}">Forgot your password?</a></p>'


def mounts(*, mails: bool) -> list[Mount]:
    """Returns the mounts of the pages.

    They are public: the pages and files contain no data of the platform.

    Args:
        mails: whether the platform sends mail, so that users can reset forgotten passwords.
    """
    return [
        Mount(path=LOGIN_PAGE, app=_login(mails=mails), role=None, exact=True),
        Mount(path=INVITATION_PAGE, app=_page("invitation.html"), role=None, exact=True),
        Mount(path=FORGOTTEN_PAGE, app=_page("forgot-password.html"), role=None, exact=True),
        Mount(path=RESET_PAGE, app=_page("reset-password.html"), role=None, exact=True),
        Mount(path=ACTIVATION_PAGE, app=_page("share-activation.html"), role=None, exact=True),
        Mount(path="/static", app=_Files(), role=None),
    ]


def _page(name: str) -> ASGIApp:
    return FileResponse(_STATIC / name, headers={"content-security-policy": _SECURITY_POLICY})


def _login(*, mails: bool) -> ASGIApp:
    text = (_STATIC / "login.html").read_text()
    page = text.replace("<!-- forgotten -->", _FORGOTTEN_LINK if mails else "")
    return HTMLResponse(page, headers={"content-security-policy": _SECURITY_POLICY})


class _Files:
    """Static files of the pages. Browsers can cache them, and revalidate them after an upgrade."""

    def __init__(self) -> None:
        self._files = StaticFiles(directory=_STATIC)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves a file."""
        await self._files({**scope, "root_path": "/static"}, receive, send)
