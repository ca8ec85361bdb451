"""Closed unless declared open: every path without a policy is refused, every other one asks for its role.

This is the whole of it: authentication, cross-site protection and permission are decided here, once, for operations,
documents and mounted apps alike.
"""

from __future__ import annotations

from urllib.parse import quote

from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from api.kernel.credentials.authentication import Authenticator
from api.kernel.http.cross_site import refuse_cross_site
from api.kernel.http.rate_limits import open_rate_limiter
from api.kernel.http.state import RequestState, state_of
from api.kernel.kinds.context import Context
from api.kernel.kinds.endpoint import Endpoint
from api.kernel.kinds.registry import Found, Registry
from api.kernel.kinds.unit import denied
from api.kernel.permissions.principal import Principal
from api.kernel.platform import Platform
from api.kernel.securable import ROOT
from core.errors import HeadwaterError, MethodNotAllowed, NotFound, Unauthenticated

_SAFE = ("GET", "HEAD", "OPTIONS")


class Guard:
    """Lets a request pass to what its path stands for, or refuses it."""

    def __init__(self, app: ASGIApp, registry: Registry, authenticator: Authenticator, platform: Platform) -> None:
        self._app = app
        self._registry = registry
        self._authenticator = authenticator
        self._platform = platform
        self._rate_limiter = platform.part(open_rate_limiter)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request or WebSocket."""
        state = state_of(scope)
        try:
            await self._admit(HTTPConnection(scope), state)
        except Unauthenticated as error:
            login = state.found.mount.login_page if state.found and state.found.mount else ""
            if scope["type"] == "http" and login and _is_navigation(HTTPConnection(scope)):
                target = f"{login}?next={quote(_relative(scope), safe='')}"
                await RedirectResponse(target, 303)(scope, receive, send)
                return
            await _refuse(error, scope, send)
        except HeadwaterError as error:
            await _refuse(error, scope, send)
        else:
            await self._app(scope, receive, send)

    async def _admit(self, connection: HTTPConnection, state: RequestState) -> None:
        """Raises unless the request may pass; fills in who asks and for what."""
        method = connection.scope.get("method", "GET")
        found = state.found = self._registry.find(connection.scope["path"])
        endpoint = state.endpoint = found.endpoint(method) if found else None
        public = found is not None and (found.mount.role is None if found.mount else endpoint and endpoint.public)
        try:
            if not public:
                state.principal = await self._authenticator.principal(connection)
        finally:
            # Whoever guesses credentials is counted, too.
            await self._rate_limiter.admit(state)
        if found is None or (connection.scope["type"] == "websocket" and found.mount is None):
            raise NotFound(f"Nothing is served at {connection.scope['path']!r}. See /api/openapi for what is.")
        if found.mount is None and endpoint is None:
            allowed = sorted(found.operations)
            raise MethodNotAllowed(f"This path answers {', '.join(allowed)}.", metadata={"allow": allowed})
        if state.principal is None:
            return
        if state.principal.by_cookie and (method not in _SAFE or connection.scope["type"] == "websocket"):
            refuse_cross_site(connection, self._authenticator.session_secret(connection))
        await self._permit(state.principal, found, endpoint, state)

    async def _permit(self, principal: Principal, found: Found, endpoint: Endpoint | None, state: RequestState) -> None:
        """Asks for the permission where it can be decided by the path; the unit of work decides about resources."""
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
        # Who may not know of it is told what he would be told if it did not exist.
        kind.locate.require(self._platform, principal.access, found.id)
        return principal.access.allows(endpoint.permission, kind.locate.place(self._platform, found.id))

    def _record_denial(self, endpoint: Endpoint, principal: Principal, found: Found, state: RequestState) -> None:
        ctx = Context(
            self._platform,
            endpoint,
            principal,
            request_id=state.request_id,
            client=state.client,
            traceparent=state.trace.told,
            subject=found.id,
        )
        with self._platform.database.write() as connection:
            ctx.record(connection, "denied")


async def _refuse(error: HeadwaterError, scope: Scope, send: Send) -> None:
    if scope["type"] == "http":
        raise error
    await send({"type": "websocket.close", "code": 4401 if error.status == 401 else 4403, "reason": error.reason})


def _is_navigation(connection: HTTPConnection) -> bool:
    return connection.scope["method"] in ("GET", "HEAD") and "text/html" in connection.headers.get("accept", "")


def _relative(scope: Scope) -> str:
    query = scope.get("query_string", b"").decode("latin-1")
    return str(scope["path"]) + (f"?{query}" if query else "")
