"""The ASGI application: middleware, services, mounts, and background tasks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack

import sqlalchemy as sa
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from api.kernel.credentials.authentication import Authenticator
from api.kernel.credentials.last_use import LastUse
from api.kernel.documents.serving import document_mounts
from api.kernel.http.access_log import AccessLog
from api.kernel.http.client_address import ClientAddress
from api.kernel.http.guard import Guard
from api.kernel.http.metrics import Metrics
from api.kernel.http.path_prefix import PathPrefix
from api.kernel.http.routing import Switch, service_app
from api.kernel.http.served import Observer
from api.kernel.http.stack import Envelope, Limits
from api.kernel.http.telemetry import open_telemetry
from api.kernel.kinds.endpoint import Endpoints
from api.kernel.kinds.noun import Kinds
from api.kernel.kinds.registry import Mount, Registry
from api.kernel.kinds.service import Service
from api.kernel.operations.engine import Operations
from api.kernel.platform import Platform
from api.kernel.tables import PRINCIPAL
from core.errors import HeadwaterError, Unavailable

_log = logging.getLogger("headwater.api")
Task = Callable[[], Awaitable[None]]


class Application:
    """The ASGI application of one process."""

    def __init__(
        self, platform: Platform, services: Sequence[Service], all_services: Sequence[Service] | None = None
    ) -> None:
        """Creates the application.

        Args:
            platform: the shared objects of the process.
            services: the services that this process serves.
            all_services: the services of all processes, whose permissions can be granted. Defaults to `services`.
        """
        self.platform = platform
        self.registry = Registry(services)
        everything = (
            self.registry if all_services is None or set(all_services) == set(services) else Registry(all_services)
        )
        self.platform.permissions |= everything.permissions
        platform.part(Kinds).update({kind.full_name: kind for service in everything.services for kind in service.kinds})
        platform.part(Endpoints).extend(everything.endpoints)
        self._tasks: list[tuple[Task, Task]] = []
        operations = platform.part(Operations)
        operations.register(saga for service in services for saga in service.sagas)
        switch = Switch({service.name: service_app(service, platform, operations) for service in services})
        guard = Guard(switch, self.registry, platform.part(Authenticator), platform)
        self._uploads: list[str] = []
        limits = Limits(guard, max_body_bytes=platform.settings.max_body_bytes, max_upload_bytes=self._max_upload_bytes)
        metrics = platform.part(Metrics)
        envelope = Envelope(
            limits,
            tls=bool(platform.settings.tls_certfile),
            observers=(metrics, *_observers(platform)),
            clients=ClientAddress(platform.settings.trusted_proxies),
        )
        prefix = platform.settings.path_prefix
        self._stack: ASGIApp = PathPrefix(envelope, prefix) if prefix else envelope
        last_use = platform.part(LastUse)
        self.add_background_task(last_use.start, last_use.stop)
        for mount in (*document_mounts(self.registry, platform), *self._health(), metrics.mount()):
            self.mount(mount)

    def mount(self, mount: Mount) -> None:
        """Adds an ASGI application with its policy."""
        self.registry.add(mount)
        if mount.uploads:
            self._uploads.append(f"{mount.path}/")
        if mount.role is not None and mount.permission:
            self.platform.permissions[mount.permission] = mount.role

    def add_background_task(self, start: Task, stop: Task) -> None:
        """Awaits `start` before the first request and `stop` after the last one. Tasks stop in reverse order."""
        self._tasks.append((start, stop))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request, WebSocket, or lifespan."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        else:
            await self._stack(scope, receive, send)

    async def startup(self) -> AsyncExitStack:
        """Checks the database and starts the background tasks. Closing the returned stack stops them."""
        async with AsyncExitStack() as stack:
            stack.callback(self.platform.close)
            await self.platform.workers.read.run(self._check_database)
            for start, stop in self._tasks:
                await start()
                stack.push_async_callback(stop)
            operations = self.platform.part(Operations)
            operations.start()
            stack.push_async_callback(operations.stop)
            return stack.pop_all()

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            stack = await self.startup()
        except HeadwaterError as error:
            await send({"type": "lifespan.startup.failed", "message": error.detail})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await stack.aclose()
        await send({"type": "lifespan.shutdown.complete"})

    def _max_upload_bytes(self, path: str) -> int | None:
        return self.platform.settings.max_upload_bytes if path.startswith(tuple(self._uploads)) else None

    def _check_database(self) -> None:
        with self.platform.database.read() as connection:
            if not sa.inspect(connection).has_table(PRINCIPAL.name):
                raise Unavailable("The metadata database has no tables yet. Start the platform with `headwater up`.")

    def _health(self) -> list[Mount]:
        return [
            Mount(path="/health/live", app=_live, role=None, exact=True),
            Mount(path="/health/ready", app=self._ready, role=None, exact=True),
        ]

    async def _ready(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Responds with 200 if the database responds and the whole asset graph is current, or else with 503.

        A code location that is broken doesn't count: its error is the answer about its assets.
        """
        parts = {"database": await self._database_responds(), "orchestrator": self._graph_is_current()}
        ready = all(parts.values())
        body = {"status": "ready" if ready else "starting", "parts": parts}
        await JSONResponse(body, 200 if ready else 503)(scope, receive, send)

    async def _database_responds(self) -> bool:
        def query() -> None:
            with self.platform.database.read() as connection:
                connection.execute(sa.select(1))

        try:
            async with asyncio.timeout(2):
                await self.platform.workers.read.run(query)
        except (HeadwaterError, TimeoutError):
            return False
        return True

    def _graph_is_current(self) -> bool:
        try:
            view = self.platform.orchestrator.view()
            return view.stale_since is None and all(one.loaded or one.error for one in view.locations.values())
        except Unavailable:
            return False


def _observers(platform: Platform) -> Iterator[Observer]:
    if platform.settings.access_log:
        yield AccessLog()
    if tracer := platform.part(open_telemetry):
        yield tracer


async def _live(scope: Scope, receive: Receive, send: Send) -> None:
    await JSONResponse({"status": "live"})(scope, receive, send)
