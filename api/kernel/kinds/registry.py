"""Every path the API answers, found by dictionary: the same answer serves policy, routing and documents.

A path that is not here has no policy and is refused, whatever app might have served it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from starlette.types import ASGIApp

from api.kernel.kinds.endpoint import Endpoint
from api.kernel.kinds.service import Service
from api.kernel.roles import Role

PREFIX = "/api/v1/"
_ID = re.compile(r"[^/:\x00-\x1f\x7f]{1,256}")
"""What an id in a path may be made of. No colon: that begins a verb."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Mount:
    """An ordinary ASGI app at a path, with its policy.

    `role` None makes it public; otherwise whoever is logged in may enter, or, if there is a `permission`, who holds it
    on the platform: `role` is then the least built-in role that includes it. `exact` mounts serve one path only.
    `login_page` sends browsers that are not logged in there instead of answering 401. `speaks_for` is the name of the
    service whose things it offers by somebody else's protocol. `acts_as` are the ids of operations in whose name its
    own code acts; `carries_out` are those that it does as they are, so that it writes what they write.
    """

    path: str
    app: ASGIApp
    role: Role | None
    exact: bool = False
    login_page: str = ""
    permission: str = ""
    speaks_for: str = ""
    acts_as: tuple[str, ...] = ()
    carries_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """What stands at a path: operations by method, or a mount. `id` and `part` are what the path names."""

    operations: Mapping[str, Endpoint] = field(default_factory=dict)
    id: str = ""
    part: str = ""
    mount: Mount | None = None

    def endpoint(self, method: str) -> Endpoint | None:
        """The operation this method calls. HEAD is GET without a body."""
        return self.operations.get("GET" if method == "HEAD" else method)


class Registry:
    """All services and mounts of one process."""

    def __init__(self, services: Sequence[Service], mounts: Sequence[Mount] = ()) -> None:
        """Raises `ValueError` where two declarations claim the same path or name."""
        self.services = tuple(sorted(services, key=lambda service: service.name))
        self.endpoints = tuple(endpoint for service in self.services for endpoint in service.endpoints)
        self._operations: dict[str, dict[str, Endpoint]] = {}
        self._exact: dict[str, Mount] = {}
        self._prefixes: list[Mount] = []
        names: set[str] = set()
        for endpoint in self.endpoints:
            methods = self._operations.setdefault(endpoint.key, {})
            if endpoint.method in methods or endpoint.operation_id in names:
                raise ValueError(f"{endpoint} is declared twice ({endpoint.method} {endpoint.path})")
            methods[endpoint.method] = endpoint
            names.add(endpoint.operation_id)
        self._rooted = {endpoint.kind.plural for endpoint in self.endpoints if endpoint.kind.rooted}
        for mount in mounts:
            self.add(mount)

    def add(self, mount: Mount) -> None:
        """Adds a mount. The longest path wins."""
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
        """What stands at this (decoded) path, or None."""
        if mount := self._exact.get(path):
            return Found(mount=mount)
        if path.startswith(PREFIX) and (found := self._operation(path[len(PREFIX) :])):
            return found
        for mount in self._prefixes:
            if path == mount.path or path.startswith(f"{mount.path}/"):
                return Found(mount=mount)
        return None

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
