"""Where SCIM stands. What speaks it is loaded by the first request: it takes a third of the time to start."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Receive, Scope, Send

from api.kernel.application import Application
from api.kernel.kinds.registry import Mount
from api.kernel.roles import Role

PATH = "/scim/v2"
_OF_BOTH = ("list_{}s", "create_{}", "update_{}", "delete_{}", "batch_{}s")
_OF_USERS = ("suspend_{}", "activate_{}", "set_password_{}")
_OF_GROUPS = ("add_members_{}", "remove_members_{}")
_CARRIES_OUT = tuple(
    f"admin_{name.format(noun)}"
    for noun, more in (("user", _OF_USERS), ("group", _OF_GROUPS))
    for name in (*_OF_BOTH, *more)
)


def mounts(app: Application) -> list[Mount]:
    """The service for whoever is logged in, and its public description."""
    scim = _OnDemand(app)
    return [
        Mount(path=PATH, app=scim, role=Role.VIEWER, speaks_for="admin", carries_out=_CARRIES_OUT),
        Mount(
            path=f"{PATH}/ServiceProviderConfig",
            app=scim,
            role=None,
            exact=True,
            speaks_for="admin",
            carries_out=_CARRIES_OUT[:1],
        ),
    ]


class _OnDemand:
    def __init__(self, app: Application) -> None:
        self._app = app
        self._opened: asyncio.Task[ASGIApp] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._opened is None:
            self._opened = asyncio.create_task(asyncio.to_thread(self._open))
        try:
            # Whoever leaves early must not end what others wait for.
            scim = await asyncio.shield(self._opened)
        except Exception:
            self._opened = None  # the next request tries again
            raise
        await scim(scope, receive, send)

    def _open(self) -> ASGIApp:
        from api.protocols.scim.app import Scim

        return Scim(self._app, PATH)
