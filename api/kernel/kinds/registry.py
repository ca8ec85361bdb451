"""The registry of every path that the API serves, for policy, routing, and documents.

A path that is not in the registry has no policy and is refused.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp

from api.kernel.kinds.endpoint import Endpoint
from api.kernel.kinds.service import Service
from api.kernel.permissions.principal import Principal
from api.kernel.roles import Role

PREFIX = "/api/v1/"
_ID = re.compile(r"[^/:\x00-\x1f\x7f]{1,256}")
"""The characters of an id in a path. A colon begins a verb."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Mount:
    """An ASGI app at a path, with its policy."""

    path: str
    app: ASGIApp
    role: Role | None
    """None makes the mount public. Otherwise it needs a login or, if there is a `permission`, that permission on the
    platform; `role` is then the least built-in role that includes the permission."""
    exact: bool = False
    """Whether it serves only this path, and no path below."""
    sockets: bool = False
    """Whether it serves WebSockets, too."""
    escaped_slashes: bool = False
    """Whether segments of its paths can contain `%2F`. Its app must split `raw_path`, and then decode each segment."""
    page: bool = False
    """Whether browsers that navigate to a path that nothing else serves get it."""
    login_page: str = ""
    """Where it redirects browsers that are not logged in, instead of responding with 401."""
    permission: str = ""
    authenticate: Callable[[HTTPConnection], Awaitable[Principal]] | None = None
    """Returns the caller, for a mount with its own credentials. The credentials of the platform don't open it."""
    uploads: bool = False
    """Whether it streams bodies of up to `max_upload_bytes`."""
    speaks_for: str = ""
    """Name of the service whose resources it offers through another protocol."""
    acts_as: tuple[str, ...] = ()
    """Ids of the operations whose permissions and events its own code uses."""
    executes: tuple[str, ...] = ()
    """Ids of the operations that it runs unchanged, so that it writes what they write."""


@dataclass(frozen=True, slots=True)
class Found:
    """The content of a path: operations by method, or a mount. `id` and `part` are the ids in the path."""

    operations: Mapping[str, Endpoint] = field(default_factory=dict)
    id: str = ""
    part: str = ""
    mount: Mount | None = None

    def endpoint(self, method: str) -> Endpoint | None:
        """Returns the operation that a method calls. HEAD is GET without a body."""
        return self.operations.get("GET" if method == "HEAD" else method)


class Registry:
    """All services and mounts of one process."""

    def __init__(self, services: Sequence[Service], mounts: Sequence[Mount] = ()) -> None:
        """Raises `ValueError` if two declarations have the same path or name."""
        self.services = tuple(sorted(services, key=lambda service: service.name))
        self.endpoints = tuple(endpoint for service in self.services for endpoint in service.endpoints)
        self._operations: dict[str, dict[str, Endpoint]] = {}
        self._exact: dict[str, Mount] = {}
        self._prefixes: list[Mount] = []
        self._page: Mount | None = None
        self.names: dict[str, Endpoint] = {}
        """Every operation by its id."""

        for endpoint in self.endpoints:
            methods = self._operations.setdefault(endpoint.key, {})
            if endpoint.method in methods or endpoint.operation_id in self.names:
                raise ValueError(f"{endpoint} is declared twice ({endpoint.method} {endpoint.path})")
            methods[endpoint.method] = endpoint
            self.names[endpoint.operation_id] = endpoint
        self._rooted = {endpoint.kind.plural for endpoint in self.endpoints if endpoint.kind.rooted}
        for mount in mounts:
            self.add(mount)

    def add(self, mount: Mount) -> None:
        """Adds a mount. The longest matching path has precedence."""
        if mount.page:
            self._page = mount
        if mount.exact:
            self._exact[mount.path] = mount
        else:
            self._prefixes.append(mount)
            self._prefixes.sort(key=lambda other: -len(other.path))

    @property
    def permissions(self) -> dict[str, Role]:
        """Every permission, with the least built-in role that includes it."""
        needed = {mount.permission: mount.role for mount in self.mounts if mount.role and mount.permission}
        return needed | {endpoint.permission: endpoint.role for endpoint in self.endpoints}

    @property
    def mounts(self) -> tuple[Mount, ...]:
        """Every mount."""
        return (*self._exact.values(), *self._prefixes)

    def find(self, path: str) -> Found | None:
        """Returns the content of this (decoded) path, or None."""
        if mount := self._exact.get(path):
            return Found(mount=mount)
        if path.startswith(PREFIX) and (found := self._operation(path[len(PREFIX) :])):
            return found
        for mount in self._prefixes:
            if path == mount.path or path.startswith(f"{mount.path}/"):
                return Found(mount=mount)
        return None

    def page(self, path: str) -> Found | None:
        """Returns what a browser gets that navigates to a path that nothing serves. The API has no pages."""
        return None if self._page is None or path.startswith("/api/") else Found(mount=self._page)

    def _operation(self, rest: str) -> Found | None:
        segments = rest.split("/")
        taken = 1 if segments[0].partition(":")[0] in self._rooted else 2
        base, tail = "/".join(segments[:taken]), segments[taken:]
        if not tail:
            operations = self._operations.get(base)
            return Found(operations) if operations else None
        item, colon, verb = tail[0].partition(":")
        if not _ID.fullmatch(item):
            return None
        key = "/".join((base, f"*{colon}{verb}", *tail[1:]))
        if operations := self._operations.get(key):
            return Found(operations, item)
        if len(tail) == 3 and not colon and _ID.fullmatch(tail[2]):
            operations = self._operations.get(f"{base}/*/{tail[1]}/*")
            return Found(operations, item, tail[2]) if operations else None
        return None
