"""The web console: the page of every address that nothing else serves, and the files that `make console` builds."""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.home.pages import LOGIN_PAGE
from api.kernel.kinds.registry import Mount
from api.kernel.roles import Role
from core.errors import MethodNotAllowed, NotFound, Unavailable

FILES = "/console"
BUILT = Path(__file__).parents[2] / "web" / "dist"
"""Where `make console` writes the files."""

_PAGE = "index.html"
# The components set inline styles.
_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; worker-src 'self'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)


@dataclass(frozen=True, slots=True)
class _File:
    """A built file. The names of files other than the page contain a digest, so browsers can keep them."""

    content: bytes
    packed: bytes
    media_type: str
    etag: str

    @classmethod
    def of(cls, name: str, content: bytes) -> _File:
        """Compresses a file."""
        digest = hashlib.blake2b(content, digest_size=12).hexdigest()
        media_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
        return cls(content, gzip.compress(content, mtime=0), media_type, f'"{digest}"')


class Console:
    """The built files as an ASGI application. The first request reads them.

    The files are below `/console`. Every other path has the page, whose base is the path prefix of the platform.
    """

    def __init__(self, built: Path = BUILT, prefix: str = "") -> None:
        self._built = built
        self._prefix = prefix

    @cached_property
    def _files(self) -> dict[str, _File]:
        paths = [path for path in self._built.rglob("*") if path.is_file()]
        return {name: _File.of(name, self._content(path)) for path in paths if (name := self._name(path))}

    def _name(self, path: Path) -> str:
        return path.relative_to(self._built).as_posix()

    def _content(self, path: Path) -> bytes:
        content = path.read_bytes()
        if self._name(path) != _PAGE:
            return content
        return content.replace(b'<base href="/"', f'<base href="{escape(self._prefix)}/"'.encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves a file, or the page.

        Raises:
            Unavailable: the console is not built.
            NotFound: there is no such file.
        """
        if scope["type"] != "http" or Request(scope).method not in ("GET", "HEAD"):
            raise MethodNotAllowed("This path supports GET.", metadata={"allow": ["GET", "HEAD"]})
        if not (self._built / _PAGE).is_file():
            raise Unavailable("The console is not built. Run `make console`, and load this page again.")
        request = Request(scope)
        path: str = scope["path"]
        is_file = path.startswith(f"{FILES}/")
        file = self._files.get(path[1:] if is_file else _PAGE)
        if file is None:
            raise NotFound("There is no such file. Load the page again, because the console was built again.")
        headers = {
            "etag": file.etag,
            "vary": "accept-encoding",
            "cache-control": "private, max-age=31536000, immutable" if is_file else "private, no-cache",
            "content-security-policy": _SECURITY_POLICY,
        }
        if request.headers.get("if-none-match") == file.etag:
            response = Response(status_code=304, headers=headers)
        elif "gzip" in request.headers.get("accept-encoding", ""):
            response = Response(file.packed, 200, headers | {"content-encoding": "gzip"}, file.media_type)
        else:
            response = Response(file.content, 200, headers, file.media_type)
        await response(scope, receive, send)


def mounts(prefix: str = "") -> list[Mount]:
    """Returns the mounts of the console. They require a login, and the page redirects to it."""
    console = Console(prefix=prefix)
    return [
        Mount(path="/", app=console, role=Role.VIEWER, exact=True, page=True, login_page=LOGIN_PAGE),
        Mount(path=FILES, app=console, role=Role.VIEWER),
    ]
