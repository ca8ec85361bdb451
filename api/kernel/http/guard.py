"""The guard: authentication, cross-site protection, rate limits, and permissions of operations, documents, and mounts.

Paths without a declared policy are refused.
"""

from __future__ import annotations

from urllib.parse import quote

from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from api.kernel.credentials.authentication import Authenticator
from api.kernel.http.cross_site import refuse_cross_site
from api.kernel.http.paths import require_normal
from api.kernel.http.rate_limits import open_rate_limiter
from api.kernel.http.state import RequestState, state_of
from api.kernel.kinds.context import Context
from api.kernel.kinds.endpoint import Endpoint
from api.kernel.kinds.refusals import denied
from api.kernel.kinds.registry import Found, Registry
from api.kernel.permissions.principal import Principal
from api.kernel.platform import Platform
from api.kernel.securable import ROOT
from core.errors import HeadwaterError, MethodNotAllowed, NotFound, Unauthenticated

_SAFE = ("GET", "HEAD", "OPTIONS")


class Guard:
    """ASGI middleware that refuses requests or passes them on to their operation or mount."""

    def __init__(self, app: ASGIApp, registry: Registry, authenticator: Authenticator, platform: Platform) -> None:
        self._app = app
        self._registry = registry
        self._authenticator = authenticator
        self._platform = platform
        self._rate_limiter = platform.part(open_rate_limiter)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one request or WebSocket."""
        state = state_of(scope)
        try:
            await self._admit(HTTPConnection(scope), state)
        except Unauthenticated as error:
            login = state.found.mount.login_page if state.found and state.found.mount else ""
            if scope["type"] == "http" and login and is_navigation(HTTPConnection(scope)):
                page = self._platform.settings.path_prefix + _relative(scope)
                target = f"{login}?next={quote(page, safe='')}"
                await RedirectResponse(target, 303)(scope, receive, send)
                return
            await _refuse(error, scope, send)
        except HeadwaterError as error:
            await _refuse(error, scope, send)
        else:
            await self._app(scope, receive, send)

    async def _admit(self, connection: HTTPConnection, state: RequestState) -> None:
        """Sets the principal and the operation of the request. Raises an error if the request is refused."""
        method = connection.scope.get("method", "GET")
        path = connection.scope["path"]
        found = self._registry.find(path)
        if found is None and connection.scope["type"] == "http" and is_navigation(connection):
            found = self._registry.page(path)
        state.found = found
        endpoint = state.endpoint = found.endpoint(method) if found else None
        public = found is not None and (found.mount.role is None if found.mount else endpoint and endpoint.public)
        try:
            if not public:
                own = found.mount.authenticate if found and found.mount else None
                state.principal = await (own or self._authenticator.principal)(connection)
        finally:
            # Requests with wrong credentials count too.
            await self._rate_limiter.admit(state)
        if found is None or (connection.scope["type"] == "websocket" and not (found.mount and found.mount.sockets)):
            raise NotFound(f"There is nothing at {path!r}. /api/openapi lists the services.")
        if found.mount is not None and not found.mount.exact:
            # The mounted app parses the path itself.
            require_normal(connection.scope, escaped_slashes=found.mount.escaped_slashes)
        if found.mount is None and endpoint is None:
            allowed = sorted(found.operations)
            raise MethodNotAllowed(f"This path supports {', '.join(allowed)}.", metadata={"allow": allowed})
        if state.principal is None:
            return
        if state.principal.by_cookie and (method not in _SAFE or connection.scope["type"] == "websocket"):
            refuse_cross_site(connection, self._authenticator.session_secret(connection))
        await self._permit(state.principal, found, endpoint, state)

    async def _permit(self, principal: Principal, found: Found, endpoint: Endpoint | None, state: RequestState) -> None:
        """Checks the permission as far as the path determines it. The unit of work checks it on resources."""
        if endpoint is None:
            mount = found.mount
            if mount is not None and mount.permission and not principal.access.allows(mount.permission, ROOT):
                raise denied(mount.permission)
            return
        if endpoint.own or self._allowed(principal, endpoint, found):
            return
        if endpoint.changes:
            await self._platform.workers.write.run(self._record_denial, endpoint, principal, found, state)
        raise denied(endpoint.permission)

    def _allowed(self, principal: Principal, endpoint: Endpoint, found: Found) -> bool:
        kind = endpoint.kind
        if kind.scoped:
            return principal.access.anywhere(endpoint.permission)
        if kind.locate is None:
            return principal.access.allows(endpoint.permission, ROOT)
        if not found.id:
            return principal.access.anywhere(endpoint.permission)
        if not principal.access.anywhere(endpoint.permission):
            return False
        # If the caller cannot see the item, this raises the same error as for an item that does not exist.
        kind.locate.require(self._platform, principal.access, found.id)
        return principal.access.allows(endpoint.permission, kind.locate.securable(self._platform, found.id))

    def _record_denial(self, endpoint: Endpoint, principal: Principal, found: Found, state: RequestState) -> None:
        ctx = Context(
            self._platform,
            endpoint,
            principal,
            request_id=state.request_id,
            client=state.client,
            traceparent=state.trace.stored,
            subject=found.id,
        )
        with self._platform.database.write() as connection:
            ctx.record(connection, "denied")


async def _refuse(error: HeadwaterError, scope: Scope, send: Send) -> None:
    if scope["type"] == "http":
        raise error
    await send({"type": "websocket.close", "code": 4401 if error.status == 401 else 4403, "reason": error.reason})


def is_navigation(connection: HTTPConnection) -> bool:
    """Returns whether a browser asks for a page."""
    return connection.scope["method"] in ("GET", "HEAD") and "text/html" in connection.headers.get("accept", "")


def _relative(scope: Scope) -> str:
    # As sent by the client, because the decoded path may not be a valid path.
    path: bytes = scope.get("raw_path") or scope["path"].encode()
    query: bytes = scope.get("query_string", b"")
    return (path + (b"?" + query if query else b"")).decode("latin-1")
