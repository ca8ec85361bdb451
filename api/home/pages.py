"""The home page, the login page and their files, as mounts with their policies."""

from __future__ import annotations

from pathlib import Path

from starlette.responses import FileResponse
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from api.kernel.kinds.registry import Mount
from api.kernel.roles import Role

LOGIN_PAGE = "/login"
INVITATION_PAGE = "/invitation"
_STATIC = Path(__file__).parent / "static"
_SECURITY_POLICY = "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'"


def mounts() -> list[Mount]:
    """The home page needs a login and leads to it; the other pages and the files hold nothing of the platform."""
    return [
        Mount(path="/", app=_page("index.html"), role=Role.VIEWER, exact=True, login_page=LOGIN_PAGE),
        Mount(path=LOGIN_PAGE, app=_page("login.html"), role=None, exact=True),
        Mount(path=INVITATION_PAGE, app=_page("invitation.html"), role=None, exact=True),
        Mount(path="/static", app=_Files(), role=None),
    ]


def _page(name: str) -> ASGIApp:
    return FileResponse(_STATIC / name, headers={"content-security-policy": _SECURITY_POLICY})


class _Files:
    """The pages' files. They may be kept, but are asked for anew after an upgrade."""

    def __init__(self) -> None:
        self._files = StaticFiles(directory=_STATIC)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one file."""
        await self._files({**scope, "root_path": "/static"}, receive, send)
