"""The state of a request in the ASGI stack, `scope["headwater"]`."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass, field
from typing import Any, cast

from api.kernel.http.trace_context import Trace
from api.kernel.kinds.endpoint import Endpoint
from api.kernel.kinds.registry import Found
from api.kernel.permissions.principal import Principal
from api.kernel.securable import PLATFORM

KEY = "headwater"


@dataclass(slots=True)
class RequestState:
    """The state of a request. The envelope creates it, and the guard adds the principal and the operation."""

    request_id: str
    client: str
    principal: Principal | None = None
    found: Found | None = None
    endpoint: Endpoint | None = None
    trace: Trace = field(default_factory=Trace)
    rejected: str = ""
    """Reason of the error if middleware or a mount refused the request."""

    headers: tuple[tuple[str, str], ...] = ()
    """Headers that middleware adds to the response."""

    span: Any = None
    """Span of the tracer."""

    @property
    def service(self) -> str:
        """Name of the service that the request is for, or `platform`."""
        if self.endpoint is not None:
            return self.endpoint.service
        if self.found is None:
            return PLATFORM
        if self.found.mount is not None:
            return self.found.mount.speaks_for or PLATFORM
        return next((endpoint.service for endpoint in self.found.operations.values()), PLATFORM)

    @property
    def route(self) -> str:
        """Path template of the operation or mount, or an empty string. It never contains text of the caller."""
        if self.endpoint is not None:
            return self.endpoint.path
        return self.found.mount.path if self.found and self.found.mount else ""


def state_of(scope: MutableMapping[str, Any]) -> RequestState:
    """Returns the state of the request with this scope. Mounted applications can use it too."""
    return cast("RequestState", scope[KEY])
