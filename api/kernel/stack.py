"""The outer layers of the ASGI stack, pure ASGI: identity and headers of every answer, limits on every body."""

from __future__ import annotations

import asyncio
import logging
import re
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.kernel import problems
from api.kernel.state import KEY, RequestState
from core.errors import PayloadTooLarge, RequestTimeout
from core.ids import new_id

BODY_SECONDS = 30.0
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_log = logging.getLogger("headwater.api")


class Envelope:
    """Gives each request an id, each answer its headers, and turns whatever escapes into a problem document."""

    def __init__(self, app: ASGIApp, *, tls: bool) -> None:
        self._app = app
        self._hsts = tls

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request or WebSocket."""
        client = scope.get("client")
        state = RequestState(_request_id(scope), client[0] if client else "")
        scope[KEY] = state
        if scope["type"] == "websocket":
            await self._app(scope, receive, send)
            return
        started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                self._add_headers(message, state)
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except Exception as error:
            if started:
                # Too late for a status: cutting the connection tells the client that the body is incomplete.
                _log.exception("request %s failed while it was being answered", state.request_id)
                raise
            response = problems.response(error, request_id=state.request_id, instance=scope["path"])
            await response(scope, receive, send_with_headers)

    def _add_headers(self, message: Message, state: RequestState) -> None:
        headers = MutableHeaders(raw=message.setdefault("headers", []))
        headers["x-request-id"] = state.request_id
        headers["x-content-type-options"] = "nosniff"
        headers.setdefault("referrer-policy", "same-origin")
        headers.setdefault("x-frame-options", "SAMEORIGIN")
        headers.setdefault("cache-control", "no-store")
        if state.endpoint:
            headers["x-operation"] = state.endpoint.operation_id
            headers["content-security-policy"] = "default-src 'none'; frame-ancestors 'none'"
        if self._hsts:
            headers["strict-transport-security"] = "max-age=31536000"


class Limits:
    """Refuses bodies that are too large, and those that do not arrive in time."""

    def __init__(self, app: ASGIApp, *, max_body_bytes: int, body_seconds: float = BODY_SECONDS) -> None:
        self._app = app
        self._max = max_body_bytes
        self._seconds = body_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request or WebSocket."""
        if scope["type"] != "http" or not _has_body(scope):
            await self._app(scope, receive, send)
            return
        declared = _header(scope, b"content-length")
        if declared.isdigit() and int(declared) > self._max:
            raise self._too_large()
        await self._app(scope, self._limited(receive), send)

    def _limited(self, receive: Receive) -> Receive:
        size = 0
        complete = False
        deadline = asyncio.get_running_loop().time() + self._seconds

        async def limited() -> Message:
            nonlocal size, complete
            if complete:
                return await receive()
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                raise RequestTimeout(f"The body did not arrive within {self._seconds:.0f} seconds.") from None
            size += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            if size > self._max:
                raise self._too_large()
            return message

        return limited

    def _too_large(self) -> PayloadTooLarge:
        return PayloadTooLarge(f"The body is larger than the {self._max:,} bytes accepted here.")


def _request_id(scope: Scope) -> str:
    given = _header(scope, b"x-request-id").decode("latin-1")
    return given if _REQUEST_ID.fullmatch(given) else new_id("req")


def _has_body(scope: Scope) -> bool:
    return bool(_header(scope, b"content-length") not in (b"", b"0") or _header(scope, b"transfer-encoding"))


def _header(scope: Any, name: bytes) -> bytes:
    return next((value for key, value in scope["headers"] if key == name), b"")
