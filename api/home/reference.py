"""The API reference in a browser: a page for each service, which Swagger UI renders from its OpenAPI document.

This host serves all files. The pages require a login, like the documents. Requests from the pages have the identity of
the user that is logged in.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from api.home.pages import LOGIN_PAGE
from api.kernel.kinds.registry import Mount
from api.kernel.kinds.service import Service
from api.kernel.roles import Role
from core.errors import MethodNotAllowed

PATH = "/api/docs"
FILES = f"{PATH}/files"
# Swagger UI uses inline styles, and icons from data URLs.
_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="{root}static/mark.svg">
{head}
</head>
{body}
</html>
"""


def mounts(services: Sequence[Service]) -> list[Mount]:
    """Returns the mounts of the index, a page for each service, and the files of Swagger UI."""
    static = StaticFiles(directory=str(files("fastapi_offline").joinpath("static")))
    shared = [_mount(PATH, _index(services)), Mount(path=FILES, app=_Files(static), role=Role.VIEWER)]
    return [*shared, *(_mount(f"{PATH}/{service.slug}", _page(service)) for service in services)]


def _mount(path: str, text: str) -> Mount:
    return Mount(path=path, app=_served(text), role=Role.VIEWER, exact=True, login_page=LOGIN_PAGE)


def _served(text: str) -> ASGIApp:
    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or Request(scope).method not in ("GET", "HEAD"):
            raise MethodNotAllowed("This path supports GET.", metadata={"allow": ["GET", "HEAD"]})
        await HTMLResponse(text, headers={"content-security-policy": _SECURITY_POLICY})(scope, receive, send)

    return serve


def _index(services: Sequence[Service]) -> str:
    lines = [
        f'<li><a href="docs/{service.slug}">{escape(service.title)}</a> ({len(service.endpoints)} operations): '
        f"{escape(service.description)}</li>"
        for service in services
    ]
    body = f"<body>\n<h1>Headwater API</h1>\n<ul>\n{chr(10).join(lines)}\n</ul>\n</body>"
    return _PAGE.format(title="Headwater API", root="../", head="", body=body)


def _page(service: Service) -> str:
    head = (
        '<link rel="stylesheet" href="files/swagger-ui.css">\n'
        '<script src="files/swagger-ui-bundle.js" defer></script>\n'
        '<script src="../../static/reference.js" defer></script>'
    )
    document = f"../v1/{service.slug}/openapi.json"
    body = f'<body data-document="{document}">\n<div id="reference"></div>\n</body>'
    return _PAGE.format(title=f"Headwater {escape(service.title)} API", root="../../", head=head, body=body)


class _Files:
    """Files of Swagger UI, with paths relative to their mount."""

    def __init__(self, static: ASGIApp) -> None:
        self._static = static

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves a file."""
        await self._static({**scope, "root_path": FILES}, receive, send)
