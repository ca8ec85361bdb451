"""The whole HTTP side as one ASGI app: the stack, the services behind it, and what runs beside them."""

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
from api.kernel.http.guard import Guard
from api.kernel.http.metrics import Metrics
from api.kernel.http.routing import Switch, service_app
from api.kernel.http.stack import Envelope, Limits, Observer
from api.kernel.http.tracing import open_telemetry
from api.kernel.kinds.registry import Mount, Registry
from api.kernel.kinds.service import Service
from api.kernel.operations.engine import Operations
from api.kernel.platform import Platform
from api.kernel.tables import PRINCIPAL
from core.errors import HeadwaterError, Unavailable

_log = logging.getLogger("headwater.api")
Task = Callable[[], Awaitable[None]]


class Application:
    """An ASGI app. `mount` adds ordinary ASGI apps, `beside` adds work that lives as long as the app."""

    def __init__(self, platform: Platform, services: Sequence[Service], known: Sequence[Service] | None = None) -> None:
        """Serves `services`. `known` are all there are, other processes' too: a right is one right everywhere."""
        self.platform = platform
        self.registry = Registry(services)
        everything = Registry(known or services)
        self.platform.permissions |= everything.permissions
        self.platform.kinds |= {kind.full_name: kind for service in everything.services for kind in service.kinds}
        self._tasks: list[tuple[Task, Task]] = []
        operations = platform.part(Operations)
        operations.register(saga for service in services for saga in service.sagas)
        switch = Switch({service.name: service_app(service, platform, operations) for service in services})
        guard = Guard(switch, self.registry, platform.part(Authenticator), platform)
        limits = Limits(guard, max_body_bytes=platform.settings.max_body_bytes)
        metrics = platform.part(Metrics)
        self._stack: ASGIApp = Envelope(
            limits, tls=bool(platform.settings.tls_certfile), observers=(metrics, *_observers(platform))
        )
        last_use = platform.part(LastUse)
        self.beside(last_use.start, last_use.stop)
        for mount in (*document_mounts(self.registry, platform), *self._health(), metrics.mount()):
            self.mount(mount)

    def mount(self, mount: Mount) -> None:
        """Adds an ordinary ASGI app with its policy."""
        self.registry.add(mount)
        if mount.role is not None and mount.permission:
            self.platform.permissions[mount.permission] = mount.role

    def beside(self, start: Task, stop: Task) -> None:
        """Runs `start` before the first request and `stop` after the last, in reverse order."""
        self._tasks.append((start, stop))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request, WebSocket or lifespan."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        else:
            await self._stack(scope, receive, send)

    async def startup(self) -> AsyncExitStack:
        """Checks the database and starts what runs beside; closing the returned stack undoes it."""
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

    def _check_database(self) -> None:
        with self.platform.database.read() as connection:
            if not sa.inspect(connection).has_table(PRINCIPAL.name):
                raise Unavailable("The metadata database has no tables yet. Start the platform by `headwater up`.")

    def _health(self) -> list[Mount]:
        return [
            Mount(path="/health/live", app=_live, role=None, exact=True),
            Mount(path="/health/ready", app=self._ready, role=None, exact=True),
        ]

    async def _ready(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Ready means: the database answers and the asset graph was seen. Says which, and nothing else."""
        parts = {"database": await self._database_answers(), "orchestrator": self._graph_known()}
        ready = all(parts.values())
        body = {"status": "ready" if ready else "starting", "parts": parts}
        await JSONResponse(body, 200 if ready else 503)(scope, receive, send)

    async def _database_answers(self) -> bool:
        def ask() -> None:
            with self.platform.database.read() as connection:
                connection.execute(sa.select(1))

        try:
            async with asyncio.timeout(2):
                await self.platform.workers.read.run(ask)
        except (HeadwaterError, TimeoutError):
            return False
        return True

    def _graph_known(self) -> bool:
        try:
            return self.platform.orchestrator.view().stale_since is None
        except Unavailable:
            return False


def _observers(platform: Platform) -> Iterator[Observer]:
    if platform.settings.access_log:
        yield AccessLog()
    if tracer := platform.part(open_telemetry):
        yield tracer


async def _live(scope: Scope, receive: Receive, send: Send) -> None:
    await JSONResponse({"status": "live"})(scope, receive, send)
