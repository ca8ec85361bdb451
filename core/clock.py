"""The time, replaceable in tests."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

_source: Callable[[], datetime] = lambda: datetime.now(UTC)  # noqa: E731 - replaced as a value by `freeze`


def now() -> datetime:
    """Current time, timezone-aware, UTC."""
    return _source()


def freeze(source: Callable[[], datetime] | None) -> None:
    """Replaces the source of time; `None` restores the system clock. For tests."""
    global _source
    _source = source or (lambda: datetime.now(UTC))
