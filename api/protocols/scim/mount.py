"""Where SCIM stands. What speaks it is loaded by the first request: it takes a third of the time to start."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Receive, Scope, Send

from api.kernel.application import Application
from api.kernel.kinds.registry import Mount
from api.kernel.roles import Role

PATH = "/scim/v2"


def mounts(app: Application) -> list[Mount]:
    """The service for whoever is logged in, and its public description."""
    scim = _OnDemand(app)
    return [
        Mount(path=PATH, app=scim, role=Role.VIEWER, speaks_for="admin"),
        Mount(path=f"{PATH}/ServiceProviderConfig", app=scim, role=None, exact=True, speaks_for="admin"),
    ]


class _OnDemand:
    def __init__(self, app: Application) -> None:
        self._app = app
        self._opened: asyncio.Task[ASGIApp] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._opened is None:
            self._opened = asyncio.create_task(asyncio.to_thread(self._open))
        # Whoever leaves early must not end what others wait for.
        scim = await asyncio.shield(self._opened)
        await scim(scope, receive, send)

    def _open(self) -> ASGIApp:
        from api.protocols.scim.app import Scim

        return Scim(self._app)
