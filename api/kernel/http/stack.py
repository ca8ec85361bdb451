"""The outer layers of the ASGI stack, pure ASGI: identity and headers of every answer, limits on every body."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, ParamSpec, Protocol

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.kernel import problems
from api.kernel.http.state import KEY, RequestState, state_of
from api.kernel.http.tracing import CURRENT, trace_of
from core.errors import PayloadTooLarge, RequestTimeout
from core.ids import new_id

BODY_SECONDS = 30.0
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_NOSNIFF = (b"x-content-type-options", b"nosniff")
_LOADS_NOTHING = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
_HSTS = (b"strict-transport-security", b"max-age=31536000")
_DEFAULTS = (
    (b"referrer-policy", b"same-origin"),
    (b"x-frame-options", b"SAMEORIGIN"),
    (b"cache-control", b"no-store"),
)
_log = logging.getLogger("headwater.api")
P = ParamSpec("P")


@dataclass(slots=True)
class Served:
    """How a request was answered. `complete` is False if the answer was cut off."""

    status: int = 0
    size_bytes: int = 0
    seconds: float = 0.0
    complete: bool = False


class Observer(Protocol):
    """Sees every request. It must not wait; what it raises is logged and changes nothing."""

    def began(self, scope: Scope, state: RequestState) -> None:
        """Called before anything else is done."""

    def ended(self, scope: Scope, state: RequestState, served: Served) -> None:
        """Called when the last byte was sent, or nothing more will be."""


class Envelope:
    """Gives each request an id, each answer its headers, and turns whatever escapes into a problem document."""

    def __init__(self, app: ASGIApp, *, tls: bool, observers: Sequence[Observer] = ()) -> None:
        self._app = app
        self._hsts = tls
        self._observers = tuple(observers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request or WebSocket."""
        client = scope.get("client")
        state = RequestState(_request_id(scope), client[0] if client else "", trace=trace_of(scope))
        scope[KEY] = state
        served = Served()
        began_at = perf_counter()
        for observer in self._observers:
            _guarded(observer.began, scope, state)
        token = CURRENT.set(state.trace)
        try:
            if scope["type"] == "websocket":
                await self._websocket(scope, receive, send, served)
            else:
                await self._http(scope, receive, send, served)
        finally:
            CURRENT.reset(token)
            served.seconds = perf_counter() - began_at
            # The first to begin is the last to end, so that they nest.
            for observer in reversed(self._observers):
                _guarded(observer.ended, scope, state, served)

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
                # Too late for a status: cutting the connection tells the client that the body is incomplete.
                _log.exception("request %s failed while it was being answered", state.request_id)
                raise
            known = problems.known_error(error, state.request_id)
            state.rejected = known.reason
            response = problems.response(known, request_id=state.request_id, instance=scope["path"])
            await response(scope, receive, send_with_headers)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send, served: Served) -> None:
        state = state_of(scope)

        async def send_watched(message: Message) -> None:
            if message["type"] == "websocket.accept":
                served.status = 101
            elif message["type"] == "websocket.close":
                if not served.status:
                    served.status = 403
                    state.rejected = str(message.get("reason") or "")
            else:
                served.size_bytes += len(message.get("bytes") or message.get("text") or "")
            await send(message)

        await self._app(scope, receive, send_watched)
        served.complete = True

    def _add_headers(self, message: Message, state: RequestState) -> None:
        """Sets ours, and those of the defaults that the app has not set."""
        ours = [(b"x-request-id", state.request_id.encode()), _NOSNIFF]
        ours += ((name.encode(), value.encode("latin-1")) for name, value in state.headers)
        if state.endpoint:
            ours += ((b"x-operation", state.endpoint.operation_id.encode()), _LOADS_NOTHING)
        if self._hsts:
            ours.append(_HSTS)
        decided = {name for name, _ in ours}
        kept = [header for header in message.get("headers", ()) if header[0] not in decided]
        decided.update(name for name, _ in kept)
        message["headers"] = [*kept, *ours, *(header for header in _DEFAULTS if header[0] not in decided)]


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


def _guarded(observe: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
    try:
        observe(*args, **kwargs)
    except Exception:  # noqa: BLE001 - whoever watches must not break what is watched
        _log.exception("a request could not be observed")


def _request_id(scope: Scope) -> str:
    given = _header(scope, b"x-request-id").decode("latin-1")
    return given if _REQUEST_ID.fullmatch(given) else new_id("req")


def _has_body(scope: Scope) -> bool:
    return bool(_header(scope, b"content-length") not in (b"", b"0") or _header(scope, b"transfer-encoding"))


def _header(scope: Any, name: bytes) -> bytes:
    return next((value for key, value in scope["headers"] if key == name), b"")
