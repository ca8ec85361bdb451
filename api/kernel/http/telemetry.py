"""Spans of requests, sent to OpenTelemetry where an operator configures it.

The OpenTelemetry packages are optional. They are imported only when `otel_endpoint` is set.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from starlette.types import Scope

from api.kernel.http.served import Served
from api.kernel.http.state import RequestState
from api.kernel.http.trace_context import Trace
from api.kernel.platform import Platform

_EXPORT_SECONDS = 3.0
"""Timeout of an export, and so the longest time that the shutdown waits for a receiver that doesn't answer."""

_log = logging.getLogger("headwater.api")


class OpenTelemetry:
    """An observer that records a span for each request."""

    def __init__(self, provider: Any) -> None:
        """Uses a tracer provider of the OpenTelemetry SDK, which `close` shuts down."""
        self._provider = provider
        self._api = importlib.import_module("opentelemetry.trace")
        self._context = importlib.import_module("opentelemetry.context")
        propagation = importlib.import_module("opentelemetry.trace.propagation.tracecontext")
        self._propagator = propagation.TraceContextTextMapPropagator()
        self._tracer = provider.get_tracer("headwater")

    def began(self, scope: Scope, state: RequestState) -> None:
        """Starts the span. Outgoing requests become its children."""
        carrier = {
            name.decode(): value.decode("latin-1")
            for name, value in scope["headers"]
            if name in (b"traceparent", b"tracestate")
        }
        # Only a parent that `trace_of` accepted, so that log and trace agree.
        parent = self._propagator.extract(carrier if state.trace.parent_id else {})
        method = scope.get("method", "WEBSOCKET")
        span = self._tracer.start_span(method, parent, kind=self._api.SpanKind.SERVER)
        token = self._context.attach(self._api.set_span_in_context(span, parent))
        state.span = (span, token)
        state.trace = _at_span(state.trace, span)

    def ended(self, scope: Scope, state: RequestState, served: Served) -> None:
        """Ends the span under the name of its operation. It contains no query, body, or header."""
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
        """Records a span of work that an earlier request caused, and yields its position. Errors aren't recorded."""
        parent = self._propagator.extract({"traceparent": trace.traceparent})
        span = self._tracer.start_span(name, parent, kind=self._api.SpanKind.CLIENT, attributes=attributes)
        with self._api.use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
            try:
                yield _at_span(trace, span)
            except BaseException:
                span.set_status(self._api.StatusCode.ERROR)
                raise

    def close(self) -> None:
        """Exports the remaining spans and stops."""
        self._provider.shutdown()


def _at_span(trace: Trace, span: Any) -> Trace:
    """Returns the trace with this span of OpenTelemetry as its position."""
    context = span.get_span_context()
    return replace(
        trace,
        trace_id=f"{context.trace_id:032x}",
        span_id=f"{context.span_id:016x}",
        sampled=bool(context.trace_flags & 1),
    )


def open_telemetry(platform: Platform) -> OpenTelemetry | None:
    """Returns the tracer of this process, or `None` if `otel_endpoint` is empty or the packages aren't installed."""
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
