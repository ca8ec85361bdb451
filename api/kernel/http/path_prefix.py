"""The path prefix of a platform that a reverse proxy serves below a path, such as `/headwater`."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class PathPrefix:
    """ASGI middleware between paths of browsers, which have the prefix, and paths of the platform, which have none.

    A proxy can remove the prefix from requests or leave it.
    """

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        """Takes a prefix such as `/headwater`."""
        self._app = app
        self._prefix = prefix
        self._raw = prefix.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves a request or WebSocket. Redirects to paths of the platform get the prefix."""

        async def send_prefixed(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [(name, self._redirect(name, value)) for name, value in message["headers"]]
            await send(message)

        await self._app(self._without(scope), receive, send_prefixed)

    def _without(self, scope: Scope) -> Scope:
        path: str = scope["path"]
        if path != self._prefix and not path.startswith(f"{self._prefix}/"):
            return scope
        raw: bytes = scope.get("raw_path") or path.encode()
        if not raw.startswith(self._raw):
            # An escaped prefix isn't the prefix.
            return scope
        return {**scope, "path": path[len(self._prefix) :] or "/", "raw_path": raw[len(self._raw) :] or b"/"}

    def _redirect(self, name: bytes, value: bytes) -> bytes:
        is_own = value.startswith(b"/") and not value.startswith((b"//", self._raw + b"/"))
        return self._raw + value if name.lower() == b"location" and is_own else value
