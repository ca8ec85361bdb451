"""Responses as observed by the envelope, and the protocol of observers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from starlette.types import Scope

from api.kernel.http.state import RequestState


@dataclass(slots=True)
class Served:
    """Status, size, and duration of a response. `complete` is False if the response was cut off."""

    status: int = 0
    size_bytes: int = 0
    seconds: float = 0.0
    complete: bool = False


class Observer(Protocol):
    """An observer of all requests. It must not block. The envelope logs its errors and continues."""

    def began(self, scope: Scope, state: RequestState) -> None:
        """Runs before the request is processed."""

    def ended(self, scope: Scope, state: RequestState, served: Served) -> None:
        """Runs after the last byte was sent or the response was cut off."""
