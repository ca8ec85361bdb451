"""The only door to the Dagster UI: a reverse proxy that lets readers read and nobody unknown in.

Dagster's webserver has no login, so it listens on loopback and everything else comes through here, after the
API's own authentication. Who may not change the graph gets queries and subscriptions, but no mutation.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import suppress
from typing import Any

import httpx
import websockets
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.asyncio.client import ClientConnection

from api.gateways.graphql_policy import mutations, mutations_in_body, mutations_in_frame
from api.kernel.credentials.authentication import Authenticator
from api.kernel.http.state import state_of
from api.kernel.http.tracing import hand_on
from api.kernel.kinds.registry import Mount
from api.kernel.kinds.streams import Streamed
from api.kernel.platform import Platform
from api.kernel.roles import Role
from api.kernel.securable import ROOT
from core import events
from core.errors import HeadwaterError, PermissionDenied, Unauthenticated, Unavailable
from core.events import Event

_HOP_BY_HOP = {
    *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer"),
    *("transfer-encoding", "upgrade", "host", "content-length"),
}
# Our credentials end here: Dagster must neither see nor log them.
_CREDENTIALS = {"authorization", "cookie"}
_UNSUPPORTED, _UNAUTHENTICATED, _FORBIDDEN = 1003, 4401, 4403
_CHECK_SECONDS = 1.0
"""How often an open connection is asked for its rights."""

PATH = "/dagster"
ENTER = "platform.dagster.enter"
"""The right to look at the Dagster UI, which shows all projects."""

CHANGE = "platform.dagster.change"
"""The right to change things from inside the Dagster UI."""


class DagsterUi:
    """An ASGI app for everything under the mount point of the Dagster UI."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        platform.permissions[CHANGE] = Role.EDITOR
        self._upstream = platform.settings.effective_dagster_url
        self._client: httpx.AsyncClient | None = None

    def mount(self) -> Mount:
        """The proxy with its policy: whoever is logged in may look."""
        return Mount(path=PATH, app=self, role=Role.VIEWER, permission=ENTER, login_page="/login")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request or one WebSocket."""
        if scope["type"] == "websocket":
            await self._websocket(WebSocket(scope, receive, send))
        elif scope["type"] == "http":
            response = await self._http(Request(scope, receive))
            await response(scope, receive, send)

    async def start(self) -> None:
        """Opens the pool of connections to Dagster."""
        timeout = httpx.Timeout(60, connect=2)
        self._client = httpx.AsyncClient(
            base_url=self._upstream, timeout=timeout, follow_redirects=False, event_hooks={"request": [hand_on]}
        )

    async def stop(self) -> None:
        """Closes the pooled connections."""
        if self._client:
            await self._client.aclose()

    async def _http(self, request: Request) -> Response:
        body = await request.body()
        await self._authorize(request, body)
        if self._client is None:
            raise Unavailable("The Dagster UI is not served by this process.")
        outgoing = self._client.build_request(
            request.method,
            _path_and_query(request.scope),
            headers=_forwarded(request.headers.raw, drop=_HOP_BY_HOP | _CREDENTIALS),
            content=body,
        )
        try:
            answer = await self._client.send(outgoing, stream=True)
        except httpx.TransportError as error:
            raise Unavailable("The Dagster UI does not answer; it may be starting.", retry_after_seconds=2) from error
        response = Streamed(_stream(answer), answer, status_code=answer.status_code)
        response.raw_headers = _forwarded(answer.headers.raw, drop=_HOP_BY_HOP | {"set-cookie"})
        if "content-length" in answer.headers and request.method != "HEAD":
            response.raw_headers.append((b"content-length", answer.headers["content-length"].encode()))
        return response

    async def _authorize(self, request: Request, body: bytes) -> None:
        """Refuses what would change something unless the caller may; records what does."""
        is_graphql = request.url.path.rstrip("/").endswith("/graphql")
        if is_graphql and request.method == "GET":
            document = request.query_params.get("query")
            changes = mutations(document) if document else []
        elif is_graphql and request.method == "POST":
            changes = mutations_in_body(body, request.headers.get("content-type", ""))
        elif request.method in ("GET", "HEAD", "OPTIONS"):
            changes = []
        else:
            changes = [f"{request.method} {request.url.path}"]
        await self._admit(request.scope, changes)

    async def _admit(self, scope: Scope, changes: list[str]) -> None:
        """Raises `PermissionDenied` if the principal may not change things; audits either way."""
        if not changes:
            return
        state = state_of(scope)
        assert state.principal is not None, "the guard lets nobody unknown in"
        allowed = state.principal.access.allows(CHANGE, ROOT)
        facts = {"mutations": changes, "outcome": "succeeded" if allowed else "denied", "client": state.client}
        who: dict[str, Any] = {"principal_id": state.principal.id, "kind": "platform.dagster"}
        who["traceparent"] = state.trace.told
        event = Event("dagster.ui.mutated", PATH, state.principal.name, facts, state.request_id, **who)
        await self._platform.workers.write.run(self._record, event)
        if not allowed:
            raise PermissionDenied(f"You may look at Dagster, but {', '.join(changes)} needs the permission {CHANGE}.")

    def _record(self, event: Event) -> None:
        with self._platform.database.write() as connection:
            events.append(connection, event)

    async def _websocket(self, browser: WebSocket) -> None:
        url = self._upstream.replace("http", "ws", 1) + _path_and_query(browser.scope)
        subprotocols = [websockets.Subprotocol(name) for name in browser.scope.get("subprotocols", ())]
        try:
            dagster = await websockets.connect(url, subprotocols=subprotocols or None, max_size=None, proxy=None)
        except (OSError, websockets.WebSocketException):
            await browser.close(1013)
            return
        async with dagster:
            await browser.accept(dagster.subprotocol)
            directions = {
                asyncio.create_task(self._to_dagster(browser, dagster)),
                asyncio.create_task(_to_browser(browser, dagster)),
                asyncio.create_task(self._until_revoked(browser)),
            }
            _, open_still = await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
            for direction in open_still:
                direction.cancel()
            await asyncio.gather(*directions, return_exceptions=True)

    async def _until_revoked(self, browser: WebSocket) -> None:
        """Closes the connection when the login or the right to look ends, and learns of other changes of rights."""
        state = state_of(browser.scope)
        while True:
            await asyncio.sleep(_CHECK_SECONDS)
            try:
                state.principal = await self._platform.part(Authenticator).principal(browser)
            except Unauthenticated:
                await browser.close(_UNAUTHENTICATED)
                return
            except Unavailable:
                continue  # nobody's rights can be asked for now; what he does is refused meanwhile
            if not state.principal.access.allows(ENTER, ROOT):
                await browser.close(_FORBIDDEN)
                return

    async def _to_dagster(self, browser: WebSocket, dagster: ClientConnection) -> None:
        with suppress(WebSocketDisconnect, websockets.ConnectionClosed):
            while True:
                message = await browser.receive()
                if message["type"] == "websocket.disconnect":
                    return
                frame = message.get("text") or message.get("bytes") or ""
                try:
                    await self._admit(browser.scope, mutations_in_frame(frame))
                except HeadwaterError as error:
                    await browser.close(_FORBIDDEN if error.status == 403 else _UNSUPPORTED)
                    return
                await dagster.send(frame)


async def _to_browser(browser: WebSocket, dagster: ClientConnection) -> None:
    with suppress(WebSocketDisconnect, RuntimeError):
        async for frame in dagster:
            if isinstance(frame, str):
                await browser.send_text(frame)
            else:
                await browser.send_bytes(frame)
        await browser.close()


async def _stream(answer: httpx.Response) -> AsyncGenerator[bytes, None]:
    async for piece in answer.aiter_raw():
        yield piece


def _path_and_query(scope: Scope) -> str:
    # The raw path: decoding and encoding again would change escaped slashes of asset keys.
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    query: bytes = scope.get("query_string", b"")
    return raw.decode("latin-1") + (f"?{query.decode('latin-1')}" if query else "")


def _forwarded(headers: Iterable[tuple[bytes, bytes]], drop: set[str]) -> list[tuple[bytes, bytes]]:
    return [(name.lower(), value) for name, value in headers if name.decode("latin-1").lower() not in drop]
