"""The web console: the files that `make console` builds, and its page for every other address below `/console`."""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.home.pages import LOGIN_PAGE
from api.kernel.kinds.registry import Mount
from api.kernel.roles import Role
from core.errors import MethodNotAllowed, NotFound, Unavailable

PATH = "/console"
BUILT = Path(__file__).parents[2] / "web" / "dist"
"""Where `make console` writes the files."""

# The components set inline styles.
_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)


@dataclass(frozen=True, slots=True)
class _File:
    """A built file. The names of files other than the page contain a digest, so browsers can keep them."""

    content: bytes
    packed: bytes
    media_type: str
    etag: str

    @classmethod
    def read(cls, path: Path) -> _File:
        """Reads and compresses a file."""
        content = path.read_bytes()
        digest = hashlib.blake2b(content, digest_size=12).hexdigest()
        media_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        return cls(content, gzip.compress(content, mtime=0), media_type, f'"{digest}"')


class Console:
    """The built files as an ASGI application. The first request reads them."""

    def __init__(self, built: Path = BUILT) -> None:
        self._built = built

    @cached_property
    def _files(self) -> dict[str, _File]:
        paths = [path for path in self._built.rglob("*") if path.is_file()]
        return {path.relative_to(self._built).as_posix(): _File.read(path) for path in paths}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves a file, or the page.

        Raises:
            Unavailable: the console is not built.
            NotFound: there is no such file.
        """
        if scope["type"] != "http" or Request(scope).method not in ("GET", "HEAD"):
            raise MethodNotAllowed("This path supports GET.", metadata={"allow": ["GET", "HEAD"]})
        if not (self._built / "index.html").is_file():
            raise Unavailable("The console is not built. Run `make console`, and load this page again.")
        request = Request(scope)
        name = request.url.path.removeprefix(PATH).strip("/")
        is_file = name.startswith("assets/")
        file = self._files.get(name if is_file else "index.html")
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


def mounts() -> list[Mount]:
    """Returns the mount of the console. It requires a login and redirects to it."""
    return [Mount(path=PATH, app=Console(), role=Role.VIEWER, login_page=LOGIN_PAGE)]
