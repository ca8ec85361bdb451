"""The outer ASGI middleware: request ids, headers of responses, and limits for request bodies."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any, ParamSpec

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.kernel import problems
from api.kernel.http.client_address import ClientAddress
from api.kernel.http.served import Observer, Served
from api.kernel.http.state import KEY, RequestState, state_of
from api.kernel.http.trace_context import CURRENT, trace_of
from core.errors import PayloadTooLarge, RequestTimeout
from core.ids import new_id

BODY_SECONDS = 30.0
_MAX_DIGITS = 19
"""Maximum number of digits of a `Content-Length` that is parsed."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_NOSNIFF = (b"x-content-type-options", b"nosniff")
_STRICT_CSP = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
_HSTS = (b"strict-transport-security", b"max-age=31536000")
_DEFAULTS = (
    (b"referrer-policy", b"same-origin"),
    (b"x-frame-options", b"SAMEORIGIN"),
    (b"cache-control", b"no-store"),
)
_log = logging.getLogger("headwater.api")
P = ParamSpec("P")


class Envelope:
    """Middleware that assigns request ids, sets headers of responses, and turns errors into problem documents."""

    def __init__(
        self, app: ASGIApp, *, tls: bool, observers: Sequence[Observer] = (), clients: ClientAddress | None = None
    ) -> None:
        self._app = app
        self._clients = clients or ClientAddress()
        self._hsts = tls
        self._observers = tuple(observers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request or WebSocket."""
        address = self._clients.of(scope)
        if scope.get("client") and scope["client"][0] != address:
            scope["client"] = (address, 0)  # for applications that read the address there
        state = RequestState(_request_id(scope), address, trace=trace_of(scope))
        scope[KEY] = state
        served = Served()
        began_at = perf_counter()
        for observer in self._observers:
            _notify(observer.began, scope, state)
        token = CURRENT.set(state.trace)
        try:
            if scope["type"] == "websocket":
                await self._websocket(scope, receive, send, served)
            else:
                await self._http(scope, receive, send, served)
        finally:
            CURRENT.reset(token)
            served.seconds = perf_counter() - began_at
            # In reverse order, so that observers nest.
            for observer in reversed(self._observers):
                _notify(observer.ended, scope, state, served)

    async def _http(self, scope: Scope, receive: Receive, send: Send, served: Served) -> None:
        state = state_of(scope)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                served.status = message["status"]
                self._add_headers(message, state)
            else:
                served.size_bytes += len(message.get("body", b""))
                served.complete = not message.get("more_body", False)
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except Exception as error:
            if served.status:
                # The status was sent already. The closed connection shows the client that the body is incomplete.
                _log.exception("request %s failed while its response was being sent", state.request_id)
                raise
            converted = problems.headwater_error(error, state.request_id)
            state.rejected = converted.reason
            response = problems.response(
                converted, request_id=state.request_id, instance=scope["path"], service=state.service
            )
            await response(scope, receive, send_with_headers)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send, served: Served) -> None:
        state = state_of(scope)

        async def send_observed(message: Message) -> None:
            if message["type"] == "websocket.accept":
                served.status = 101
            elif message["type"] == "websocket.close":
                if not served.status:
                    served.status = 403
                    state.rejected = str(message.get("reason") or "")
            else:
                served.size_bytes += len(message.get("bytes") or message.get("text") or "")
            await send(message)

        await self._app(scope, receive, send_observed)
        served.complete = True

    def _add_headers(self, message: Message, state: RequestState) -> None:
        """Sets the headers of the platform, and default headers that the application did not set."""
        fixed = [(b"x-request-id", state.request_id.encode()), _NOSNIFF]
        fixed += ((name.encode(), value.encode("latin-1")) for name, value in state.headers)
        if state.endpoint:
            fixed += ((b"x-operation", state.endpoint.operation_id.encode()), _STRICT_CSP)
        if self._hsts:
            fixed.append(_HSTS)
        names = {name for name, _ in fixed}
        other = [header for header in message.get("headers", ()) if header[0] not in names]
        names.update(name for name, _ in other)
        message["headers"] = [*other, *fixed, *(header for header in _DEFAULTS if header[0] not in names)]


class Limits:
    """Middleware that refuses request bodies that are too large or too slow."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        max_body_bytes: int,
        body_seconds: float = BODY_SECONDS,
        max_upload_bytes: Callable[[str], int | None] = lambda path: None,
    ) -> None:
        """Wraps an application.

        Args:
            app: the application.
            max_body_bytes: size limit of bodies.
            body_seconds: time in which a body must arrive.
            max_upload_bytes: returns the size limit of a path that takes uploads, or None for other paths. The time
                limit of an upload is for each of its parts.
        """
        self._app = app
        self._max = max_body_bytes
        self._seconds = body_seconds
        self._max_upload = max_upload_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request or WebSocket."""
        if scope["type"] != "http" or not _has_body(scope):
            await self._app(scope, receive, send)
            return
        upload = self._max_upload(scope["path"])
        limit = self._max if upload is None else upload
        declared = _header(scope, b"content-length")
        if declared.isdigit() and (len(declared) > _MAX_DIGITS or int(declared) > limit):
            raise _too_large(limit)
        await self._app(scope, self._limited(receive, limit, each_part=upload is not None), send)

    def _limited(self, receive: Receive, limit: int, *, each_part: bool) -> Receive:
        size = 0
        complete = False
        clock = asyncio.get_running_loop()
        deadline = clock.time() + self._seconds

        async def limited() -> Message:
            nonlocal size, complete, deadline
            if complete:
                return await receive()
            if each_part:
                deadline = clock.time() + self._seconds
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                raise RequestTimeout(f"The body did not arrive within {self._seconds:.0f} seconds.") from None
            size += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            if size > limit:
                raise _too_large(limit)
            return message

        return limited


def _too_large(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"The body is larger than the maximum of {limit:,} bytes.")


def _notify(observe: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
    try:
        observe(*args, **kwargs)
    except Exception:  # noqa: BLE001 - an error of an observer must not affect the request
        _log.exception("an observer of a request failed")


def _request_id(scope: Scope) -> str:
    id = _header(scope, b"x-request-id").decode("latin-1")
    return id if _REQUEST_ID.fullmatch(id) else new_id("req")


def _has_body(scope: Scope) -> bool:
    return bool(_header(scope, b"content-length") not in (b"", b"0") or _header(scope, b"transfer-encoding"))


def _header(scope: Any, name: bytes) -> bytes:
    return next((value for key, value in scope["headers"] if key == name), b"")
