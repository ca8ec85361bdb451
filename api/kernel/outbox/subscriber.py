"""Subscribers: the consumers of events, with their filters and retries."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa

from core.events import EVENT, RecordedEvent


@dataclass(frozen=True, slots=True)
class Backoff:
    """Growing delays between the attempts to deliver an event. The consumer shortens each by up to half at random."""

    growth: float = 2.0
    """Factor between two delays."""
    maximum: timedelta = timedelta(hours=1)
    """Longest delay."""

    def seconds(self, attempts: int, *, first: float = 1.0) -> float:
        """Returns the delay after a number of failed attempts, where `first` is the delay after the first one."""
        return min(first * self.growth ** min(attempts - 1, 30), self.maximum.total_seconds())


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A consumer of events. It may receive an event twice: make its effect idempotent with `deliveries.once`."""

    name: str
    """Stable name, under which the cursor is stored."""
    types: tuple[str, ...]
    """Patterns of event types, such as `admin.user.created`, `admin.*`, or `*`."""
    handle: Callable[[RecordedEvent], Awaitable[None]]
    """Handles an event. If it raises, the event is delivered again, before later events of its subject."""
    organization_id: str | None = None
    """Organization whose events are delivered. None delivers those of all organizations."""
    project_id: str | None = None
    """Project whose events are delivered. None delivers those of all projects."""
    from_beginning: bool = True
    """Whether a new consumer receives the events that exist already."""
    creates_cursor: bool = True
    """Whether the first run creates the cursor. Otherwise nothing is delivered until another function creates it."""
    max_attempts: int = 10
    """Number of failed attempts after which an event becomes a dead letter."""
    backoff: Backoff = Backoff()
    """Delays between attempts."""
    timeout_seconds: float = 30.0
    """Time limit of one attempt."""
    blocks: bool = False
    """Whether `Unavailable` stops all deliveries until it is over. Otherwise it is a failed attempt of one event."""

    def condition(self) -> sa.ColumnElement[bool]:
        """Returns the condition for the events of this subscriber."""
        matches = []
        for pattern in self.types:
            if pattern.endswith("*"):
                matches.append(EVENT.c.type.startswith(pattern[:-1], autoescape=True))
            else:
                matches.append(EVENT.c.type == pattern)
        conditions: list[sa.ColumnElement[bool]] = [sa.or_(sa.false(), *matches)]
        if self.organization_id is not None:
            conditions.append(EVENT.c.organization_id == self.organization_id)
        if self.project_id is not None:
            conditions.append(EVENT.c.project_id == self.project_id)
        return sa.and_(*conditions)
