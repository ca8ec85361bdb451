"""What the layers of the ASGI stack know of one request; `scope["headwater"]`."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass, field
from typing import Any, cast

from api.kernel.http.tracing import Trace
from api.kernel.kinds.endpoint import Endpoint
from api.kernel.kinds.registry import Found
from api.kernel.permissions.principal import Principal

KEY = "headwater"


@dataclass(slots=True)
class RequestState:
    """Filled from the outside in: the envelope makes it, the guard adds who asks and for what."""

    request_id: str
    client: str
    principal: Principal | None = None
    found: Found | None = None
    endpoint: Endpoint | None = None
    trace: Trace = field(default_factory=Trace)
    rejected: str = ""
    """The reason, if the request was refused by a layer or a mount and not by a handler."""

    headers: tuple[tuple[str, str], ...] = ()
    """Headers that layers add to the answer."""

    span: Any = None
    """What the tracer keeps of this request."""

    @property
    def route(self) -> str:
        """The path template of what was found, or an empty string. Never what a caller wrote."""
        if self.endpoint is not None:
            return self.endpoint.path
        return self.found.mount.path if self.found and self.found.mount else ""


def state_of(scope: MutableMapping[str, Any]) -> RequestState:
    """The state of the request with this scope. Mounted apps may use it, too."""
    return cast("RequestState", scope[KEY])
