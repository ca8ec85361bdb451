"""W3C trace context: what is taken over, what is not, and the spans OpenTelemetry gets where it is installed."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from api.kernel.http.stack import Envelope
from api.kernel.http.state import state_of
from api.kernel.http.telemetry import OpenTelemetry, open_telemetry
from api.kernel.http.trace_context import trace_of
from core.settings import Settings

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"


def scope_with(*values: str) -> dict[str, Any]:
    return {"type": "http", "headers": [(b"traceparent", value.encode()) for value in values]}


@pytest.mark.parametrize(
    ("given", "sampled"),
    [
        (f"00-{TRACE}-{PARENT}-01", True),
        (f"00-{TRACE}-{PARENT}-00", False),
        (f"00-{TRACE}-{PARENT}-02", False),
        (f"01-{TRACE}-{PARENT}-01-more-of-a-later-version", True),
    ],
)
def test_the_trace_of_the_caller_is_continued(given: str, sampled: bool) -> None:
    trace = trace_of(scope_with(given))
    assert (trace.trace_id, trace.parent_id, trace.sampled) == (TRACE, PARENT, sampled)
    assert trace.span_id not in ("", PARENT)
    assert trace.traceparent == f"00-{TRACE}-{trace.span_id}-{'01' if sampled else '00'}"


@pytest.mark.parametrize(
    "values",
    [
        (),
        ("",),
        ("nonsense",),
        (f"ff-{TRACE}-{PARENT}-01",),
        (f"00-{'0' * 32}-{PARENT}-01",),
        (f"00-{TRACE}-{'0' * 16}-01",),
        (f"00-{TRACE.upper()}-{PARENT}-01",),
        (f"00-{TRACE}-{PARENT}-01-more",),
        (f"00-{TRACE}-{PARENT}-01\n",),
        (f"00-{TRACE}-{PARENT}-01", f"00-{TRACE}-{PARENT}-01"),
    ],
)
def test_what_is_no_trace_begins_a_new_one(values: tuple[str, ...]) -> None:
    first, second = trace_of(scope_with(*values)), trace_of(scope_with(*values))
    assert re.fullmatch("[0-9a-f]{32}", first.trace_id)
    assert re.fullmatch("[0-9a-f]{16}", first.span_id)
    assert first.trace_id not in (TRACE, second.trace_id)
    assert first.parent_id == ""


class PlatformOf:
    """The part of a platform that the tracer asks for."""

    def __init__(self, **values: Any) -> None:
        self.settings = Settings(**values)


def test_nothing_is_traced_unless_asked_for() -> None:
    assert open_telemetry(PlatformOf()) is None  # type: ignore[arg-type]


def test_a_missing_library_is_told_and_stops_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "opentelemetry.sdk.trace", None)
    assert open_telemetry(PlatformOf(otel_endpoint="http://127.0.0.1:4318")) is None  # type: ignore[arg-type]
    assert "not installed" in caplog.text


async def test_each_request_becomes_a_span_of_the_callers_trace() -> None:
    exporter, provider, seen = InMemorySpanExporter(), TracerProvider(), []
    provider.add_span_processor(SimpleSpanProcessor(exporter))

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(state_of(scope).trace)
        provider.get_tracer("inner").start_span("work").end()
        if scope["path"] == "/broken":
            raise RuntimeError("broken")
        await PlainTextResponse("ok")(scope, receive, send)

    tracer = OpenTelemetry(provider)
    stack = Envelope(app, tls=False, observers=[tracer])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(stack), base_url="http://test") as http:
        await http.get("/secret?token=hunter2", headers={"traceparent": f"00-{TRACE}-{PARENT}-01"})
        await http.get("/broken")
    work_span, request, _, broken = exporter.get_finished_spans()
    assert f"{request.context.trace_id:032x}" == TRACE == seen[0].trace_id
    assert f"{request.parent.span_id:016x}" == PARENT
    assert work_span.parent.span_id == request.context.span_id
    assert f"{request.context.span_id:016x}" == seen[0].span_id
    assert request.attributes["http.response.status_code"] == 200
    assert broken.status.status_code is trace.StatusCode.ERROR
    assert broken.parent is None
    assert "hunter2" not in repr([(span.name, dict(span.attributes)) for span in (work_span, request, broken)])
    assert not trace.get_current_span().get_span_context().is_valid, "nothing stays attached"
    tracer.close()
