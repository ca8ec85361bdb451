"""The reverse proxy of the Dagster UI, which authenticates callers and checks their permissions.

Dagster's webserver has no login, so it listens on loopback and all requests go through this proxy, after the
authentication of the API. Forwarded requests are generated from a list of paths and from parsed GraphQL, never copied
from the caller's request. Callers without the permission to make changes get queries and subscriptions, but no
mutations.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping
from typing import Any

import httpx
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from api.gateways import dagster_changes as changes
from api.gateways.dagster_paths import PATH, Endpoint, Target, target_of
from api.gateways.dagster_rights import CHANGE, ENTER, require_view
from api.gateways.dagster_socket import DagsterSocket
from api.gateways.graphql_policy import parse_request
from api.kernel.http.trace_context import propagate
from api.kernel.kinds.registry import Mount
from api.kernel.kinds.streams import Streamed
from api.kernel.platform import Platform
from api.kernel.roles import Role
from core import egress
from core.errors import HeadwaterError, InvalidArgument, Unavailable
from core.loopback import HEADER, loopback_key

_FORWARDED = frozenset({"accept", "accept-language", "cache-control", "if-modified-since", "if-none-match", "range"})
"""Headers of a request that are forwarded to Dagster. Credentials, cookies, and addresses of callers are not."""

_NOT_RETURNED = frozenset(
    {"connection", "keep-alive", "proxy-authenticate", "te", "trailer", "transfer-encoding", "upgrade", "set-cookie"}
    | {"content-length"}
)
"""Headers of a response that apply to the connection with Dagster, or that only the platform may set."""

_JSON = "application/json"


class DagsterUi:
    """An ASGI app for everything under the mount point of the Dagster UI."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        platform.permissions[CHANGE] = Role.EDITOR
        self._upstream = platform.settings.effective_dagster_url
        self._client: httpx.AsyncClient | None = None

    def mount(self) -> Mount:
        """Returns the mount of the proxy, which requires a login and the permission to view the UI."""
        policy: dict[str, Any] = {"role": Role.VIEWER, "permission": ENTER, "login_page": "/login", "sockets": True}
        return Mount(path=PATH, app=self, **policy)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves a request or a WebSocket."""
        if scope["type"] == "websocket":
            await DagsterSocket(self._platform, self._upstream).serve(WebSocket(scope, receive, send))
        elif scope["type"] == "http":
            require_view(scope)
            response = await self._http(Request(scope, receive))
            await response(scope, receive, send)

    async def start(self) -> None:
        """Opens the pool of connections to Dagster."""
        self._client = httpx.AsyncClient(
            base_url=self._upstream,
            timeout=httpx.Timeout(60, connect=2),
            follow_redirects=False,
            trust_env=False,
            # Loading the certificates of all authorities takes longer than the remaining start.
            verify=self._upstream.startswith("https:"),
            # All callers share the pool, but a cookie of Dagster belongs to one of them.
            cookies=egress.no_cookies(),
            headers={HEADER: loopback_key(self._platform.settings.keys_dir)},
            event_hooks={"request": [propagate]},
        )

    async def stop(self) -> None:
        """Closes the pooled connections."""
        if self._client:
            await self._client.aclose()

    async def _http(self, request: Request) -> Response:
        target = target_of(request.scope["path"], request.method)
        if target.endpoint is Endpoint.GRAPHQL:
            operation = parse_request(await request.body(), request.headers.get("content-type", ""))
            content = operation.text.encode()
            if operation.mutations:
                return await self._change(request, target, operation.mutations, content, _JSON)
            return await self._read(request, target, content)
        if target.endpoint is Endpoint.REPORT:
            if request.scope.get("query_string"):
                raise InvalidArgument("Send the report in the body; a query string is not forwarded.")
            content_type = request.headers.get("content-type", _JSON)
            report = (target.path.removeprefix(f"{PATH}/"),)
            return await self._change(request, target, report, await request.body(), content_type)
        return await self._read(request, target)

    async def _read(self, request: Request, target: Target, content: bytes = b"") -> Response:
        """Forwards a request that makes no changes, and streams the response."""
        headers = {name: value for name, value in request.headers.items() if name in _FORWARDED}
        if encodings := request.headers.get("accept-encoding"):
            headers["accept-encoding"] = encodings
        if content:
            headers["content-type"] = _JSON
        answer = await self._send(request.method, target, content, headers)
        response = Streamed(_stream(answer), answer, status_code=answer.status_code)
        response.raw_headers = _returned(answer.headers.raw)
        if "content-length" in answer.headers and request.method != "HEAD":
            response.raw_headers.append((b"content-length", answer.headers["content-length"].encode()))
        return response

    async def _change(
        self, request: Request, target: Target, mutations: tuple[str, ...], content: bytes, content_type: str
    ) -> Response:
        """Forwards a change if the caller has the permission, and records events with the request and the outcome."""
        await changes.admit(self._platform, request.scope, mutations)
        headers = {"accept": _JSON, "accept-encoding": "identity", "content-type": content_type}
        try:
            answer = await self._send(request.method, target, content, headers)
            body = await answer.aread()
        except (HeadwaterError, httpx.TransportError) as error:
            await changes.record(self._platform, request.scope, mutations, "unknown")
            if isinstance(error, HeadwaterError):
                raise
            raise Unavailable("Dagster's response was interrupted. Check whether the change was made.") from error
        await changes.record(self._platform, request.scope, mutations, changes.outcome_of(answer.status_code, body))
        response = Response(body, answer.status_code)
        response.raw_headers = [*_returned(answer.headers.raw), (b"content-length", str(len(body)).encode())]
        return response

    async def _send(self, method: str, target: Target, content: bytes, headers: Mapping[str, str]) -> httpx.Response:
        if self._client is None:
            raise Unavailable("The Dagster UI is not served by this process.")
        outgoing = self._client.build_request(method, target.path, headers=headers, content=content)
        try:
            return await self._client.send(outgoing, stream=True)
        except httpx.TransportError as error:
            raise Unavailable("The Dagster UI does not respond; it may be starting.", retry_after_seconds=2) from error


async def _stream(answer: httpx.Response) -> AsyncGenerator[bytes, None]:
    async for chunk in answer.aiter_raw():
        yield chunk


def _returned(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [(name.lower(), value) for name, value in headers if name.decode("latin-1").lower() not in _NOT_RETURNED]
