"""The W3C trace context of every request.

Each request belongs to a trace, the caller's or a new one, so that its log line can be found from either side.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from starlette.types import Scope

if TYPE_CHECKING:
    import httpx

_PARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
_STATE = re.compile(rb"[ -~]{0,512}")


@dataclass(frozen=True, slots=True)
class Trace:
    """The position of a request in its trace. `parent_id` is empty if the trace began with this request."""

    trace_id: str = ""
    span_id: str = ""
    parent_id: str = ""
    sampled: bool = False
    state: str = ""
    """The `tracestate` header of the caller, which is passed on unchanged."""

    @property
    def traceparent(self) -> str:
        """The `traceparent` header for requests that this request sends."""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"

    @property
    def stored(self) -> str | None:
        """The `traceparent` to store for later work; `None` if no other system takes part in the trace."""
        return self.traceparent if self.parent_id or self.sampled else None


class Tracer(Protocol):
    """Records spans."""

    def span(self, trace: Trace, name: str, attributes: Mapping[str, str]) -> AbstractContextManager[Trace]:
        """Records a span of work that an earlier request caused, and yields its position in the trace."""


CURRENT: ContextVar[Trace | None] = ContextVar("headwater_trace", default=None)
"""The trace of the request that this task serves; `None` outside of requests."""


async def propagate(request: httpx.Request) -> None:
    """Adds the current trace context to an outgoing request: a request hook of httpx."""
    if trace := CURRENT.get():
        request.headers["traceparent"] = trace.traceparent
        request.headers.pop("tracestate", None)
        if trace.state:
            request.headers["tracestate"] = trace.state


@contextmanager
def resumed(traceparent: str | None, tracer: Tracer | None, name: str, attributes: Mapping[str, str]) -> Iterator[None]:
    """Runs its block as part of the trace of an earlier request, within a span if there is a tracer."""
    trace = parse_traceparent(traceparent.encode()) if traceparent else None
    span = tracer.span(trace, name, attributes) if trace and tracer else nullcontext(trace)
    with span as current:
        token = CURRENT.set(current)
        try:
            yield
        finally:
            CURRENT.reset(token)


def trace_of(scope: Scope) -> Trace:
    """Returns the trace of a request, or a new one. Several or malformed `traceparent` headers count as none."""
    headers = [value for name, value in scope["headers"] if name == b"traceparent"]
    if len(headers) == 1 and (caller := parse_traceparent(headers[0])):
        state = b",".join(value for name, value in scope["headers"] if name == b"tracestate")
        tracestate = state.decode() if _STATE.fullmatch(state) else ""
        return Trace(caller.trace_id, secrets.token_hex(8), caller.span_id, caller.sampled, tracestate)
    random = secrets.token_hex(24)
    return Trace(random[:32], random[32:])


def parse_traceparent(traceparent: bytes) -> Trace | None:
    """Returns the position that a `traceparent` header describes, or `None` if it is malformed."""
    match = _PARENT.fullmatch(traceparent)
    if match is None:
        return None
    version, trace_id, span_id, flags, extension = match.groups()
    is_supported = version != b"ff" and not (version == b"00" and extension)
    if not (is_supported and trace_id.strip(b"0") and span_id.strip(b"0")):
        return None
    return Trace(trace_id.decode(), span_id.decode(), sampled=bool(int(flags, 16) & 1))
