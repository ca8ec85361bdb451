"""WebSockets of the Dagster UI: subscriptions that last as long as the caller's permission to view the UI."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import websockets
from graphql import OperationType
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.asyncio.client import ClientConnection

from api.gateways import dagster_changes as changes
from api.gateways.dagster_paths import PATH
from api.gateways.dagster_rights import may_view
from api.gateways.graphql_policy import Operation, parse_frame
from api.kernel.credentials.authentication import Authenticator
from api.kernel.http.state import state_of
from api.kernel.platform import Platform
from core.errors import HeadwaterError, Unauthenticated, Unavailable
from core.loopback import HEADER, loopback_key

_UNSUPPORTED, _TRY_AGAIN, _UNAUTHENTICATED, _FORBIDDEN = 1003, 1013, 4401, 4403
_PATH = f"{PATH}/graphql"
_PROTOCOL = "graphql-ws"
_CHECK_SECONDS = 1.0
"""Interval of the permission checks of an open connection."""


class DagsterSocket:
    """A WebSocket between a browser and Dagster.

    Args:
        platform: the platform.
        upstream: address of Dagster's webserver.
    """

    def __init__(self, platform: Platform, upstream: str) -> None:
        self._platform = platform
        self._url = upstream.replace("http", "ws", 1) + _PATH

    async def serve(self, browser: WebSocket) -> None:
        """Forwards subscriptions and their events until one side disconnects or the permission ends."""
        if not may_view(browser.scope):
            await browser.close(_FORBIDDEN)
            return
        offered = browser.scope.get("subprotocols", ())
        if browser.scope["path"] != _PATH or (offered and _PROTOCOL not in offered):
            await browser.close(_UNSUPPORTED)
            return
        try:
            dagster = await websockets.connect(
                self._url,
                subprotocols=[websockets.Subprotocol(_PROTOCOL)] if offered else None,
                additional_headers={HEADER: loopback_key(self._platform.settings.keys_dir)},
                max_size=None,
                proxy=None,
            )
        except (OSError, websockets.WebSocketException):
            await browser.close(_TRY_AGAIN)
            return
        async with dagster:
            await browser.accept(dagster.subprotocol)
            directions = {
                asyncio.create_task(self._to_dagster(browser, dagster)),
                asyncio.create_task(_to_browser(browser, dagster)),
                asyncio.create_task(self._until_revoked(browser)),
            }
            _, pending = await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
            for direction in pending:
                direction.cancel()
            await asyncio.gather(*directions, return_exceptions=True)

    async def _until_revoked(self, browser: WebSocket) -> None:
        """Closes the connection when the login or the permission to view the UI ends."""
        state = state_of(browser.scope)
        while True:
            await asyncio.sleep(_CHECK_SECONDS)
            try:
                state.principal = await self._platform.part(Authenticator).principal(browser)
            except Unauthenticated:
                await browser.close(_UNAUTHENTICATED)
                return
            except Unavailable:
                continue  # permissions cannot be read now
            if not may_view(browser.scope):
                await browser.close(_FORBIDDEN)
                return

    async def _to_dagster(self, browser: WebSocket, dagster: ClientConnection) -> None:
        with suppress(WebSocketDisconnect, websockets.ConnectionClosed):
            while True:
                message = await browser.receive()
                if message["type"] == "websocket.disconnect":
                    return
                if isinstance(frame := _parsed(message.get("text")), str):
                    await dagster.send(frame)
                elif frame is not None and frame.kind is OperationType.SUBSCRIPTION:
                    await dagster.send(frame.text)
                else:
                    await self._refuse(browser, frame)
                    return

    async def _refuse(self, browser: WebSocket, operation: Operation | None) -> None:
        """Closes the connection, because queries and mutations need POST and other frames cannot be checked."""
        mutations = operation.mutations if operation else ()
        if mutations:
            with suppress(Unavailable):  # the mutation is not sent, even if no event can be recorded
                await changes.record(self._platform, browser.scope, mutations, "denied")
        await browser.close(_FORBIDDEN if mutations else _UNSUPPORTED)


def _parsed(frame: str | None) -> Operation | str | None:
    """Returns the content of a text frame, or `None` for a binary frame and for an invalid message."""
    try:
        return None if frame is None else parse_frame(frame)
    except HeadwaterError:
        return None


async def _to_browser(browser: WebSocket, dagster: ClientConnection) -> None:
    with suppress(WebSocketDisconnect, RuntimeError):
        async for frame in dagster:
            if isinstance(frame, str):
                await browser.send_text(frame)
            else:
                await browser.send_bytes(frame)
        await browser.close()
