"""Spans of traces: what is stored of them, and what they say about the whole trace."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from core.errors import InvalidPayload

MAX_SPANS = 20_000
"""Spans of one trace."""

MAX_BYTES = 64_000_000
"""Size of the content of all spans of a trace, as JSON."""

MAX_NS = 2**63 - 1
"""The last time of a span, in nanoseconds since 1970: a moment in the year 2262."""

MAX_NAME = 1000
PREVIEW = 1000
"""Characters of the input or output of a trace that lists show."""

_HEX = re.compile(r"[0-9a-f]+")
_USAGE = "mlflow.chat.tokenUsage"
_COST = "mlflow.llm.cost"
_COUNTS = ("input_tokens", "output_tokens", "total_tokens")
_COSTS = ("input_cost", "output_cost", "total_cost")


class Usage(NamedTuple):
    """Tokens that models read and wrote. None for what is unknown."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class SpanFacts:
    """A finished span, as a client reported it."""

    span_id: str
    """Id in OpenTelemetry: 16 hexadecimal digits."""
    parent_id: str | None
    name: str
    status: str
    """`OK`, `ERROR`, or `UNSET`."""
    message: str
    started_ns: int
    ended_ns: int | None
    attributes: Mapping[str, Any]
    exact: Mapping[str, Any] = field(default_factory=dict)
    """Attributes whose value JSON can't express, such as NaN, in the JSON of OpenTelemetry."""
    events: Sequence[Mapping[str, Any]] = ()
    links: Sequence[Mapping[str, Any]] = ()

    def checked(self, pointer: str) -> SpanFacts:
        """Returns the span.

        Raises:
            InvalidPayload: an id, a time, or the name can't be stored. The error has the pointer of the span.
        """
        ids = (
            (("span_id", self.span_id),)
            if self.parent_id is None
            else (("span_id", self.span_id), ("parent_id", self.parent_id))
        )
        for name, id in ids:
            if len(id) != 16 or not _HEX.fullmatch(id) or not id.strip("0"):
                raise _fault(f"{pointer}/{name}", "must be 16 hexadecimal digits that are not all zero")
        for name, time in (("started_ns", self.started_ns), ("ended_ns", self.ended_ns)):
            if time is not None and not 0 <= time <= MAX_NS:
                raise _fault(f"{pointer}/{name}", "must be nanoseconds since 1970, until the year 2262")
        if any(event["time_ns"] > MAX_NS for event in self.events):
            raise _fault(f"{pointer}/events", "have times after the year 2262")
        if self.ended_ns is not None and self.ended_ns < self.started_ns:
            raise _fault(f"{pointer}/ended_ns", "is before started_ns")
        if len(self.name) > MAX_NAME:
            raise _fault(f"{pointer}/name", f"is longer than {MAX_NAME} characters")
        return self

    @property
    def usage(self) -> Usage:
        """The tokens of this span and, for some clients, of those below it."""
        found = _object(self.attributes.get(_USAGE))
        if found:
            return Usage(*(_count(found.get(name)) for name in _COUNTS))
        read, written = (_count(self.attributes.get(f"gen_ai.usage.{name}")) for name in _COUNTS[:2])
        if read is None and written is None:
            return Usage()
        return Usage(read, written, (read or 0) + (written or 0))

    def row(self) -> dict[str, Any]:
        """Returns the columns of the span, without its trace."""
        parts = {"exact": dict(self.exact), "events": list(self.events), "links": list(self.links)}
        content = {"attributes": dict(self.attributes), **{name: part for name, part in parts.items() if part}}
        if self.message:
            content["message"] = self.message
        cost = _object(self.attributes.get(_COST))
        return {
            "span_id": self.span_id,
            "parent_id": self.parent_id,
            "name": self.name,
            "type": _text(self.attributes.get("mlflow.spanType")),
            "status": self.status,
            "started_ns": self.started_ns,
            "ended_ns": self.ended_ns,
            "model": _text(self.attributes.get("mlflow.llm.model") or self.attributes.get("gen_ai.request.model")),
            "provider": _text(self.attributes.get("mlflow.llm.provider") or self.attributes.get("gen_ai.system")),
            **self.usage._asdict(),
            **{name: _amount(cost.get(name)) for name in _COSTS},
            "content": content,
            "bytes": len(msgspec.json.encode(content)) + len(self.name),
        }


def total_usage(spans: Iterable[tuple[str, str | None, Usage]]) -> Usage:
    """Returns the tokens of a trace from the id, the parent, and the tokens of each span.

    Some clients repeat the tokens of spans in those above them, so only the highest span of each branch counts.
    """
    nodes = {id: (parent, usage) for id, parent, usage in spans}
    known: dict[str | None, bool] = {}
    counted = [
        usage
        for parent, usage in nodes.values()
        if usage.total_tokens is not None and not _has_tokens(nodes, parent, known)
    ]
    if not counted:
        return Usage()
    return Usage(*(min(sum(one[n] or 0 for one in counted), MAX_NS) for n in range(3)))


def _has_tokens(nodes: Mapping[str, tuple[str | None, Usage]], id: str | None, known: dict[str | None, bool]) -> bool:
    """Returns whether a span or one above it has tokens. Spans of a lying client can be above one another."""
    path: dict[str, None] = {}
    while id is not None and id in nodes and id not in known and id not in path:
        parent, usage = nodes[id]
        if usage.total_tokens is not None:
            known[id] = True
            break
        path[id] = None
        id = parent
    found = known.get(id, False)
    known.update(dict.fromkeys(path, found))
    return found


def usage_of(text: str | None) -> Usage | None:
    """Returns the tokens in a text of a client, or None if it contains none."""
    found = _object(text)
    usage = Usage(*(_count(found.get(name)) for name in _COUNTS))
    return usage if any(count is not None for count in usage) else None


def preview(value: Any) -> str:
    """Returns the beginning of an input or output, as lists show it."""
    if value is None:
        return ""
    return (value if isinstance(value, str) else msgspec.json.encode(value).decode())[:PREVIEW]


def linked_prompts(spans: Iterable[SpanFacts]) -> Iterator[tuple[str, str]]:
    """Yields the name and the number of each version of a prompt that spans say they used."""
    for span in spans:
        value = span.attributes.get("mlflow.linkedPrompts")
        yield from prompts_in(value)


def prompts_in(value: Any) -> Iterator[tuple[str, str]]:
    """Yields the name and the number of each version of a prompt in a list of MLflow, as JSON or parsed."""
    if isinstance(value, str):
        with suppress(ValueError, RecursionError):
            value = json.loads(value)
    for one in value if isinstance(value, list) else []:
        if isinstance(one, dict) and isinstance(one.get("name"), str):
            yield one["name"], str(one.get("version"))


def read_versions(spans: Iterable[SpanFacts]) -> Iterator[tuple[str, str]]:
    """Yields each asset and version that spans say they read, in the attribute `headwater.reads`."""
    for span in spans:
        value = span.attributes.get("headwater.reads")
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str) and "@" in text:
                asset, _, version = text.partition("@")
                yield asset.strip()[:200], version.strip()[:128]


def _fault(pointer: str, detail: str) -> InvalidPayload:
    return InvalidPayload(
        f"The span is not valid: {pointer} {detail}.", errors=[{"pointer": pointer, "detail": detail}]
    )


def _object(value: Any) -> Mapping[str, Any]:
    if isinstance(value, str):
        with suppress(ValueError, RecursionError):
            value = json.loads(value)
    return value if isinstance(value, dict) else {}


def _count(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return int(value) if 0 <= value <= 2**53 else None


def _amount(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    with suppress(OverflowError):
        return float(value) if math.isfinite(float(value)) else None
    return None


def _text(value: Any) -> str:
    return value[:250] if isinstance(value, str) else ""
