"""Values of metrics: 64-bit floating-point numbers with NaN and infinities, exact in JSON and in both databases."""

from __future__ import annotations

import math
import struct
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

MetricValue = Annotated[
    float | Literal["NaN", "Infinity", "-Infinity"],
    BeforeValidator(lambda value: float(value) if type(value) is int else value),
]
"""A number, or `NaN`, `Infinity`, or `-Infinity` as text, because JSON has no such numbers."""

MAX_MS = 253_402_300_799_999
"""The last millisecond of the year 9999."""

Milliseconds = Annotated[int, Field(ge=0, le=MAX_MS)]
"""A time in milliseconds since 1970, until the year 9999."""

Step = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]
"""A step: any integer of 64 bits."""


def written(value: float) -> Any:
    """Returns a value as it appears in JSON."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value


def bits(value: float) -> int:
    """Returns the 64 bits of a value as a signed integer. All NaN are one value."""
    return int(struct.unpack("<q", struct.pack("<d", math.nan if math.isnan(value) else value))[0])


def from_bits(value: int) -> float:
    """Returns the value of its 64 bits."""
    return float(struct.unpack("<d", struct.pack("<q", value))[0])


def null_if_nan(value: float) -> float | None:
    """Returns a value as it is stored in a column of numbers."""
    return None if math.isnan(value) else value


def nan_if_null(value: float | None) -> float:
    """Returns a value from a column of numbers."""
    return math.nan if value is None else value


def time_of(milliseconds: int) -> datetime:
    """Returns the time of milliseconds since 1970."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
