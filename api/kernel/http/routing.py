"""The FastAPI applications of services, and the switch that passes requests to them.

The guard has found the operation already, so no list of routes is searched. The routes are regular `APIRoute`s, and a
test matches each path against them. Their endpoints handle requests and errors themselves. So they are called without
the dependencies and error handlers of FastAPI, which would double the cost of a request.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial

from fastapi import FastAPI
from fastapi.routing import APIRoute, APIRouter
from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from api.kernel.http.handlers import Handler, handler
from api.kernel.http.state import state_of
from api.kernel.kinds.endpoint import Endpoint
from api.kernel.kinds.service import Service
from api.kernel.operations.engine import Operations
from api.kernel.platform import Platform
from core.errors import NotFound


class _IdConvertor(Convertor[str]):
    """An id in a path. A colon starts a verb, so `GET /{asset}` must not match `/{asset}:preview`."""

    regex = "[^/:]+"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("id", _IdConvertor())


class DeclaredRouter(APIRouter):
    """A router that runs the route of the operation that the guard found.

    The first request creates the route. Creating all 2,400 routes would add a fifth to the start of a process.
    """

    def __init__(self, service: Service, platform: Platform, operations: Operations) -> None:
        super().__init__(redirect_slashes=False)
        self._endpoints = service.endpoints
        self._routes: dict[Endpoint, APIRoute] = {}
        self._handler = partial(handler, platform=platform, operations=operations)

    def route_of(self, endpoint: Endpoint) -> APIRoute:
        """Returns the route of an operation."""
        if endpoint not in self._routes:
            self._routes[endpoint] = _route(endpoint, self._handler(endpoint))
            self.routes.append(self._routes[endpoint])
        return self._routes[endpoint]

    def complete(self) -> None:
        """Creates the routes of all operations."""
        for endpoint in self._endpoints:
            self.route_of(endpoint)

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles a request that passed the guard."""
        state = state_of(scope)
        assert state.endpoint is not None
        assert state.found is not None
        route = self.route_of(state.endpoint)
        scope["route"] = route
        scope["endpoint"] = route.endpoint
        params = {state.endpoint.kind.name: state.found.id, state.endpoint.part: state.found.part}
        scope["path_params"] = {name: value for name, value in params.items() if value}
        response = await route.endpoint(Request(scope, receive, send))
        await response(scope, receive, send)


class _ServiceApp(FastAPI):
    """An application without middleware, because the stack of the platform wraps all services."""

    def build_middleware_stack(self) -> ASGIApp:
        return self.router


def service_app(service: Service, platform: Platform, operations: Operations) -> FastAPI:
    """Returns the FastAPI application of a service. `openapi` generates its document, not FastAPI."""
    app = _ServiceApp(title=service.title, openapi_url=None, docs_url=None, redoc_url=None)
    app.router = DeclaredRouter(service, platform, operations)
    return app


def _route(endpoint: Endpoint, handle: Handler) -> APIRoute:
    return APIRoute(
        re.sub(r"\{(\w+)\}", r"{\1:id}", endpoint.path),
        handle,
        methods=[endpoint.method],
        name=endpoint.operation_id,
        operation_id=endpoint.operation_id,
        status_code=endpoint.status,
        summary=endpoint.summary,
        description=endpoint.description,
        response_model=None,
    )


class Switch:
    """An ASGI application that passes requests on to their service or mount."""

    def __init__(self, apps: Mapping[str, ASGIApp]) -> None:
        """Takes the applications by service name."""
        self._apps = apps

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one request or WebSocket."""
        state = state_of(scope)
        if state.endpoint is not None:
            await self._apps[state.endpoint.service](scope, receive, send)
            return
        if state.found is None or state.found.mount is None:
            raise NotFound("There is nothing at this path.")
        mount = state.found.mount
        if not mount.exact:
            scope = {**scope, "root_path": scope.get("root_path", "") + mount.path}
        await mount.app(scope, receive, send)
