"""Spans: the steps of traces, as clients send them."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from api.kernel.models import Request
from api.services.ai_catalog.logic.trace_spans import MAX_NAME, MAX_NS

SpanId = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
"""Id of a span in OpenTelemetry: 16 hexadecimal digits."""

Nanoseconds = Annotated[int, Field(ge=0, le=MAX_NS)]
"""A time in nanoseconds since 1970, until the year 2262."""


class SpanStatus(StrEnum):
    """Status of a span."""

    UNSET = "UNSET"
    OK = "OK"
    ERROR = "ERROR"


class SpanEvent(Request):
    """Something that happened during a span."""

    name: Annotated[str, Field(max_length=MAX_NAME)]
    """Name."""

    time_ns: Nanoseconds = 0
    """Time at which it happened."""

    attributes: dict[str, Any] = {}
    """Attributes."""


class NewSpan(Request):
    """A finished span."""

    span_id: SpanId
    """Id in OpenTelemetry."""

    parent_id: SpanId | None = None
    """Id of the span that started it. Null for the root."""

    name: Annotated[str, Field(max_length=MAX_NAME)]
    """Name of what was done."""

    status: SpanStatus = SpanStatus.UNSET
    """Status."""

    message: Annotated[str, Field(max_length=100_000)] = ""
    """What went wrong."""

    started_ns: Nanoseconds
    """Start."""

    ended_ns: Nanoseconds | None = None
    """End."""

    attributes: dict[str, Any] = {}
    """Attributes. Those of MLflow and OpenTelemetry for inputs, outputs, models, tokens, and costs are understood."""

    events: Annotated[list[SpanEvent], Field(max_length=10_000)] = []
    """What happened during the span."""
