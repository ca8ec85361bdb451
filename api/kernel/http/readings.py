"""What the metrics of a process show now, for readers in the same process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Values = float | Mapping[str, float]
"""One value, or values by label."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a gauge shows now."""

    name: str
    help: str
    label: str
    values: Values | None
    """None if the gauge can't be read."""


@dataclass(frozen=True, slots=True)
class Responses:
    """The responses of one operation with one status, since the process started."""

    service: str
    operation: str
    method: str
    status: int
    count: int
    seconds: float
    """Sum of the times until the last byte. Streams don't count."""

    bins: tuple[int, ...]
    """Number of responses up to each bound of the histogram, and above all of them."""
