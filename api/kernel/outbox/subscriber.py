"""Who gets which events."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import sqlalchemy as sa

from core.events import EVENT, Recorded


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A consumer of events. It may get an event twice: make its effect idempotent (`deliveries.once`)."""

    name: str
    """Stable: the cursor is stored under it."""
    types: tuple[str, ...]
    """Event types; a `*` at the end stands for anything: `admin.user.created`, `admin.*`, `*`."""
    handle: Callable[[Recorded], Awaitable[None]]
    """Raises if the event was not taken; it then comes again, before later events of its subject."""
    organization_id: str | None = None
    """Only events of this organization, if given."""
    project_id: str | None = None
    """Only events of this project, if given."""
    from_beginning: bool = True
    """Whether a consumer never seen before gets the events there are already."""
    begins: bool = True
    """Whether it gets its first cursor by itself; else who made it gives it one, and without one it gets nothing."""
    max_attempts: int = 10
    """Tries after which an event becomes a dead letter."""
    timeout_seconds: float = 30.0
    waits: bool = False
    """Whether `Unavailable` holds back all its events until it is over. Else it is a failed try of the one event."""

    def wants(self) -> sa.ColumnElement[bool]:
        """The condition that its events meet."""
        kinds = []
        for pattern in self.types:
            if pattern.endswith("*"):
                kinds.append(EVENT.c.type.startswith(pattern[:-1], autoescape=True))
            else:
                kinds.append(EVENT.c.type == pattern)
        conditions: list[sa.ColumnElement[bool]] = [sa.or_(sa.false(), *kinds)]
        if self.organization_id is not None:
            conditions.append(EVENT.c.organization_id == self.organization_id)
        if self.project_id is not None:
            conditions.append(EVENT.c.project_id == self.project_id)
        return sa.and_(*conditions)
