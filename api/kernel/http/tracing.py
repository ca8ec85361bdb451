"""W3C trace context of every request, and spans to OpenTelemetry where an operator asks for them.

Each request belongs to a trace, the caller's or its own, so that its log line can be found from either side. The
OpenTelemetry packages are optional: they are imported only when `otel_endpoint` is set.
"""

from __future__ import annotations

import importlib
import logging
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from starlette.types import Scope

if TYPE_CHECKING:
    import httpx

    from api.kernel.http.stack import Served
    from api.kernel.http.state import RequestState
    from api.kernel.platform import Platform

_PARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
_STATE = re.compile(rb"[ -~]{0,512}")
_EXPORT_SECONDS = 3.0
"""Also how long the end of the process waits for a receiver that is away."""

_log = logging.getLogger("headwater.api")


@dataclass(frozen=True, slots=True)
class Trace:
    """Where a request stands in its trace. `parent_id` is empty if the trace began here."""

    trace_id: str = ""
    span_id: str = ""
    parent_id: str = ""
    sampled: bool = False
    state: str = ""
    """What the systems before us want handed on (`tracestate`)."""

    @property
    def traceparent(self) -> str:
        """The header that hands this trace to whoever is asked next."""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"

    @property
    def told(self) -> str | None:
        """The same for what is done later, unless nobody else knows of this trace."""
        return self.traceparent if self.parent_id or self.sampled else None


CURRENT: ContextVar[Trace | None] = ContextVar("headwater_trace", default=None)
"""The trace of the request that this task serves; None outside of requests."""


async def hand_on(request: httpx.Request) -> None:
    """Makes a request that we send part of the trace of the one we serve: a request hook of httpx."""
    if trace := CURRENT.get():
        request.headers["traceparent"] = trace.traceparent
        request.headers.pop("tracestate", None)
        if trace.state:
            request.headers["tracestate"] = trace.state


@contextmanager
def resumed(
    traceparent: str | None, tracer: OpenTelemetry | None, name: str, attributes: Mapping[str, str]
) -> Iterator[None]:
    """Makes what is done inside part of the trace of an earlier request: a span there, if spans are made at all."""
    trace = _known(traceparent.encode()) if traceparent else None
    span = tracer.span(trace, name, attributes) if trace and tracer else nullcontext(trace)
    with span as current:
        token = CURRENT.set(current)
        try:
            yield
        finally:
            CURRENT.reset(token)


def trace_of(scope: Scope) -> Trace:
    """The trace a request came with, else a new one. Two or malformed `traceparent` headers count as none."""
    given = [value for name, value in scope["headers"] if name == b"traceparent"]
    if len(given) == 1 and (caller := _known(given[0])):
        state = b",".join(value for name, value in scope["headers"] if name == b"tracestate")
        kept = state.decode() if _STATE.fullmatch(state) else ""
        return Trace(caller.trace_id, secrets.token_hex(8), caller.span_id, caller.sampled, kept)
    random = secrets.token_hex(24)
    return Trace(random[:32], random[32:])


def _known(traceparent: bytes) -> Trace | None:
    """Where somebody else stands in a trace, if this tells."""
    match = _PARENT.fullmatch(traceparent)
    if match is None:
        return None
    version, trace_id, span_id, flags, more = match.groups()
    known = version != b"ff" and not (version == b"00" and more)
    if not (known and trace_id.strip(b"0") and span_id.strip(b"0")):
        return None
    return Trace(trace_id.decode(), span_id.decode(), sampled=bool(int(flags, 16) & 1))


class OpenTelemetry:
    """Makes a span of each request. An observer of the envelope."""

    def __init__(self, provider: Any) -> None:
        """`provider`: a tracer provider of the OpenTelemetry SDK; it is shut down by `close`."""
        self._provider = provider
        self._api = importlib.import_module("opentelemetry.trace")
        self._context = importlib.import_module("opentelemetry.context")
        propagation = importlib.import_module("opentelemetry.trace.propagation.tracecontext")
        self._propagator = propagation.TraceContextTextMapPropagator()
        self._tracer = provider.get_tracer("headwater")

    def began(self, scope: Scope, state: RequestState) -> None:
        """Starts the span; what the request calls becomes part of it."""
        carrier = {
            name.decode(): value.decode("latin-1")
            for name, value in scope["headers"]
            if name in (b"traceparent", b"tracestate")
        }
        # Only what we accept as a parent ourselves: log and trace must tell the same.
        parent = self._propagator.extract(carrier if state.trace.parent_id else {})
        method = scope.get("method", "WEBSOCKET")
        span = self._tracer.start_span(method, parent, kind=self._api.SpanKind.SERVER)
        token = self._context.attach(self._api.set_span_in_context(span, parent))
        state.span = (span, token)
        state.trace = _placed(state.trace, span)

    def ended(self, scope: Scope, state: RequestState, served: Served) -> None:
        """Ends the span under the name of its operation; neither query nor body nor header goes along."""
        if state.span is None:
            return
        span, token = state.span
        self._context.detach(token)
        method = scope.get("method", "WEBSOCKET")
        span.set_attribute("http.request.method", method)
        span.set_attribute("http.response.status_code", served.status)
        span.set_attribute("headwater.request_id", state.request_id)
        if route := state.route:
            span.update_name(f"{method} {route}")
            span.set_attribute("http.route", route)
        if state.endpoint:
            span.set_attribute("headwater.operation", state.endpoint.operation_id)
        if served.status >= 500 or not served.complete:
            span.set_status(self._api.StatusCode.ERROR)
        span.end()

    @contextmanager
    def span(self, trace: Trace, name: str, attributes: Mapping[str, str]) -> Iterator[Trace]:
        """A span of what is done later for a request, and where that stands in its trace. What it raises stays out."""
        parent = self._propagator.extract({"traceparent": trace.traceparent})
        span = self._tracer.start_span(name, parent, kind=self._api.SpanKind.CLIENT, attributes=attributes)
        told = {"record_exception": False, "set_status_on_exception": False}
        with self._api.use_span(span, end_on_exit=True, **told):
            try:
                yield _placed(trace, span)
            except BaseException:
                span.set_status(self._api.StatusCode.ERROR)
                raise

    def close(self) -> None:
        """Sends what is left and stops."""
        self._provider.shutdown()


def _placed(trace: Trace, span: Any) -> Trace:
    """The trace, at this span of OpenTelemetry."""
    context = span.get_span_context()
    return replace(
        trace,
        trace_id=f"{context.trace_id:032x}",
        span_id=f"{context.span_id:016x}",
        sampled=bool(context.trace_flags & 1),
    )


def open_telemetry(platform: Platform) -> OpenTelemetry | None:
    """The tracer of this process, or None if `otel_endpoint` is empty or the packages are not installed."""
    endpoint = platform.settings.otel_endpoint
    if not endpoint:
        return None
    try:
        sdk = importlib.import_module("opentelemetry.sdk.trace")
        export = importlib.import_module("opentelemetry.sdk.trace.export")
        resources = importlib.import_module("opentelemetry.sdk.resources")
        otlp = importlib.import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    except ImportError as error:
        _log.warning(
            "otel_endpoint is set, but %s is not installed; no traces are sent. "
            "Install opentelemetry-sdk and opentelemetry-exporter-otlp-proto-http.",
            error.name,
        )
        return None
    provider = sdk.TracerProvider(resource=resources.Resource.create({"service.name": "headwater"}))
    url = f"{endpoint.rstrip('/')}/v1/traces"
    exporter = otlp.OTLPSpanExporter(endpoint=url, timeout=_EXPORT_SECONDS)
    provider.add_span_processor(export.BatchSpanProcessor(exporter))
    return OpenTelemetry(provider)
