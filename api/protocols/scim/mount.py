"""The mount of SCIM. Its library is imported by the first request, because that takes a third of the start time."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Receive, Scope, Send

from api.kernel.application import Application
from api.kernel.kinds.registry import Mount
from api.kernel.roles import Role

PATH = "/scim/v2"
_COMMON = ("list_{}s", "create_{}", "update_{}", "delete_{}", "batch_{}s")
_OF_USERS = ("suspend_{}", "activate_{}", "set_password_{}")
_OF_GROUPS = ("add_members_{}", "remove_members_{}")
_EXECUTES = tuple(
    f"admin_{name.format(noun)}"
    for noun, specific in (("user", _OF_USERS), ("group", _OF_GROUPS))
    for name in (*_COMMON, *specific)
)


def mounts(app: Application) -> list[Mount]:
    """Returns the service for authenticated callers, and its public configuration."""
    scim = _OnDemand(app)
    return [
        Mount(path=PATH, app=scim, role=Role.VIEWER, speaks_for="admin", executes=_EXECUTES),
        Mount(
            path=f"{PATH}/ServiceProviderConfig",
            app=scim,
            role=None,
            exact=True,
            speaks_for="admin",
            executes=_EXECUTES[:1],
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
            # A caller that disconnects must not cancel the import for other callers.
            scim = await asyncio.shield(self._opened)
        except Exception:
            self._opened = None  # The next request tries again.
            raise
        await scim(scope, receive, send)

    def _open(self) -> ASGIApp:
        from api.protocols.scim.app import Scim

        return Scim(self._app, PATH)
