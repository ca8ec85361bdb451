"""Spans as a receiver of OTLP over HTTP gets them from a running API, and traces as those we call get them."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from api.gateways.dagster.client import DagsterClient
from api.kernel.http import access_log
from api.kernel.http.stack import Envelope
from api.kernel.outbox import deliveries
from core.errors import Unavailable
from tests.api.admin.tenants import made
from tests.api_process import Api, running
from tests.orchestration import FakeOrchestrator
from tests.receiver import Receiver, receiving

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SECRET = "hunter2"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as started:
        yield started


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    log = logging.getLogger(access_log.LOGGER)
    before = (log.level, log.propagate)
    stream = io.StringIO()
    handler = access_log.write_to(stream)
    log.setLevel(logging.INFO)
    yield stream
    log.removeHandler(handler)
    log.setLevel(before[0])
    log.propagate = before[1]


def base_of(receiver: Receiver) -> str:
    return receiver.url.rpartition("/")[0]


def received(receiver: Receiver) -> list[Span]:
    found = []
    for headers, body in receiver.requests:
        assert headers["content-type"] == "application/x-protobuf"
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            attributes = {item.key: item.value.string_value for item in resource.resource.attributes}
            assert attributes["service.name"] == "headwater"
            found += [span for scope in resource.scope_spans for span in scope.spans]
    return found


def attributes(span: Span) -> dict[str, object]:
    return {item.key: getattr(item.value, str(item.value.WhichOneof("value"))) for item in span.attributes}


async def test_each_request_is_one_span_of_its_callers_trace_and_shows_no_secret(
    tmp_path: Path, receiver: Receiver, lines: io.StringIO
) -> None:
    orchestrator = FakeOrchestrator()
    async with running(tmp_path, orchestrator, HEADWATER_OTEL_ENDPOINT=base_of(receiver)) as api:
        lines.truncate(0)
        lines.seek(0)
        headers = {"authorization": f"Bearer {api.admin.token}", "cookie": f"a={SECRET}", "x-secret": SECRET}
        traced = headers | {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": f"vendor={SECRET}"}
        transport = httpx.ASGITransport(api.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
            catalog = "/api/v1/ai-catalog/assets"
            answers = [
                await http.get(f"{catalog}/flights.bronze.flights?nonsense={SECRET}", headers=traced),
                await http.get(f"{catalog}/flights.bronze.flights", headers=headers),
                await http.post(
                    "/api/v1/admin/projects", headers=headers, json={"name": SECRET, "spec": {"title": SECRET}}
                ),
                await http.get(f"/{SECRET}/nowhere", headers=headers),
                await http.get(catalog, headers={"authorization": f"Bearer {SECRET}"}),
            ]

            def away() -> object:
                raise Unavailable("Dagster does not answer.")

            orchestrator.view = away  # type: ignore[method-assign,assignment]
            answers.append(await http.get(f"{catalog}/flights.bronze.flights", headers=headers))
    assert [answer.status_code for answer in answers] == [400, 200, 201, 404, 401, 503]

    spans = received(receiver)
    asset = "/api/v1/ai-catalog/assets/{asset}"
    assert [(span.name, attributes(span)["http.response.status_code"]) for span in spans] == [
        (f"GET {asset}", 400),
        (f"GET {asset}", 200),
        ("POST /api/v1/admin/projects", 201),
        ("GET", 404),
        ("GET /api/v1/ai-catalog/assets", 401),
        (f"GET {asset}", 503),
    ]
    assert {span.kind for span in spans} == {Span.SPAN_KIND_SERVER}
    assert [span.status.code == Status.STATUS_CODE_ERROR for span in spans] == [False] * 5 + [True]
    assert (spans[0].trace_id.hex(), spans[0].parent_span_id.hex()) == (TRACE, PARENT)
    assert len({span.trace_id for span in spans}) == 6
    assert not any(span.parent_span_id for span in spans[1:])
    assert attributes(spans[1])["headwater.operation"] == "ai_catalog_get_asset"
    assert attributes(spans[1])["http.route"] == asset

    reported = [json.loads(line) for line in lines.getvalue().splitlines()]
    assert [(line["trace_id"], line["request_id"]) for line in reported] == [
        (span.trace_id.hex(), attributes(span)["headwater.request_id"]) for span in spans
    ]
    assert [answer.headers["x-request-id"] for answer in answers] == [line["request_id"] for line in reported]

    displayed = repr([(span.name, attributes(span), span.events, span.status, span.links) for span in spans])
    assert SECRET not in displayed
    assert api.admin.token not in repr(receiver.requests)


async def test_a_delivery_is_part_of_the_trace_of_the_request_that_caused_the_event(
    tmp_path: Path, receiver: Receiver
) -> None:
    variables = {"HEADWATER_OTEL_ENDPOINT": base_of(receiver), "HEADWATER_PRIVATE_SOURCES": "true"}
    with receiving() as hook:
        hook.answers = [503]
        async with running(tmp_path, FakeOrchestrator(), **variables) as api:
            spec = {"url": hook.url, "types": ["admin.project.created"]}
            await made(api.admin.post("admin/webhook-endpoints", {"name": "hook", "spec": spec}))
            await made(api.admin.post("admin/projects", {"name": "one", "spec": {"title": "One"}}))
            async with asyncio.timeout(60):
                # A delivery that the receiver has answered may not have ended here yet.
                while len(hook.requests) < 2 or behind(api):
                    await asyncio.sleep(0.02)
    spans = {span.span_id.hex(): span for span in received(receiver)}
    [request] = [span for span in spans.values() if span.name == "POST /api/v1/admin/projects"]
    for headers, body in hook.requests:
        event = json.loads(body)
        assert event["traceparent"] == f"00-{request.trace_id.hex()}-{request.span_id.hex()}-01"
        _, trace, span, flags = headers["traceparent"].split("-")
        delivery = spans[span]
        assert (trace, flags) == (request.trace_id.hex(), "01")
        assert (delivery.trace_id, delivery.parent_span_id) == (request.trace_id, request.span_id)
        assert (delivery.name, delivery.kind) == ("deliver admin.project.created", Span.SPAN_KIND_CLIENT)
        assert delivery.start_time_unix_nano >= request.start_time_unix_nano
        reported = attributes(delivery)
        assert (reported["headwater.event_id"], reported["headwater.request_id"]) == (event["id"], event["requestid"])
    first, second = (spans[headers["traceparent"].split("-")[2]] for headers, _ in hook.requests)
    assert (first.status.code, second.status.code) == (Status.STATUS_CODE_ERROR, Status.STATUS_CODE_UNSET)
    assert len([span for span in spans.values() if span.name.startswith("deliver ")]) == 2


def behind(api: Api) -> int:
    """How many events the endpoint has not taken."""
    with api.database.read() as connection:
        return sum(lag.events_behind for name, lag in deliveries.lag(connection).items() if name.startswith("webhook:"))


async def test_a_receiver_that_is_away_changes_no_answer_and_delays_no_end(tmp_path: Path) -> None:
    async with running(tmp_path, FakeOrchestrator(), HEADWATER_OTEL_ENDPOINT="http://127.0.0.1:1") as api:
        for _ in range(3):
            assert (await api.admin.get("/api/v1/ai-catalog/assets")).status == 200
        began = time.monotonic()
    assert time.monotonic() - began < 10, "the exporter would try for longer if it was let"


@pytest.mark.parametrize("tracestate", ["", "vendor=1"])
async def test_whom_we_ask_for_a_request_gets_its_trace(receiver: Receiver, tracestate: str) -> None:
    dagster = DagsterClient(base_of(receiver))

    async def app(scope: object, receive: object, send: object) -> None:
        await dagster.change("mutation { reload }")

    sent = {"traceparent": f"00-{TRACE}-{PARENT}-01"} | ({"tracestate": tracestate} if tracestate else {})
    transport = httpx.ASGITransport(Envelope(app, tls=False), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        await http.get("/", headers=sent)
        await http.get("/")
    with pytest.raises(Unavailable):
        await dagster.change("mutation { reload }")  # outside of a request
    await dagster.close()
    first, second, third = (headers for headers, _ in receiver.requests)
    version, trace, span, flags = first["traceparent"].split("-")
    assert (version, trace, flags) == ("00", TRACE, "01")
    assert span != PARENT
    assert first.get("tracestate", "") == tracestate
    assert TRACE not in second["traceparent"]
    assert "traceparent" not in third
