"""What the layers of the ASGI stack know of one request; `scope["headwater"]`."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any, cast

from api.kernel.endpoint import Endpoint
from api.kernel.registry import Found
from api.kernel.roles import Principal

KEY = "headwater"


@dataclass(slots=True)
class RequestState:
    """Filled from the outside in: the envelope makes it, the guard adds who asks and for what."""

    request_id: str
    client: str
    principal: Principal | None = None
    found: Found | None = None
    endpoint: Endpoint | None = None


def state_of(scope: MutableMapping[str, Any]) -> RequestState:
    """The state of the request with this scope. Mounted apps may use it, too."""
    return cast("RequestState", scope[KEY])
