"""The current time, which tests can replace."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

_source: Callable[[], datetime] = lambda: datetime.now(UTC)  # noqa: E731 - `freeze` replaces this value


def now() -> datetime:
    """Returns the current time: timezone-aware, UTC."""
    return _source()


def freeze(source: Callable[[], datetime] | None) -> None:
    """Replaces the source of the current time. `None` restores the system clock. For tests."""
    global _source
    _source = source or (lambda: datetime.now(UTC))
