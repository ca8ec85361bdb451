"""Traces of the tests: their spans, and how clients send them."""

from __future__ import annotations

from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.api.admin.tenants import made
from tests.api.ai_catalog.test_runs import experiment
from tests.api_process import Api, Caller, Reply

TRACE, OTHER = "0af7651916cd43dd8448eb211c80319c", "1bf7651916cd43dd8448eb211c80319c"
START = 1_790_000_000_000_000_000
EXPORT = "/mlflow/v1/traces"


def span(n: int, parent: int | None = None, **values: Any) -> dict[str, Any]:
    body = {"span_id": f"{n:016x}", "name": f"step {n}", "started_ns": START + n, "ended_ns": START + n + 5_000_000}
    return body | ({} if parent is None else {"parent_id": f"{parent:016x}"}) | values


async def trace(api: Api, *spans: dict[str, Any], **body: Any) -> dict[str, Any]:
    if "experiment_id" not in body:
        body["experiment_id"] = await experiment(api)
    return await made(api.editor.post("ai-catalog/traces", {"otel_id": TRACE, "spans": list(spans)} | body))


async def spans_of(api: Api, id: str, **query: Any) -> list[dict[str, Any]]:
    return list((await made(api.viewer.get(f"ai-catalog/traces/{id}/spans", params=query)))["items"])


async def found(api: Api, text: str, caller: Caller | None = None) -> list[str]:
    reply = await made((caller or api.viewer).post("ai-catalog/traces:search", {"filter": text}))
    return [one["otel_id"] for one in reply["items"]]


def exported(*spans: dict[str, Any], otel_id: str = TRACE, **attributes: Any) -> ExportTraceServiceRequest:
    export = ExportTraceServiceRequest()
    scope = export.resource_spans.add().scope_spans.add()
    for one in spans:
        added = scope.spans.add(
            trace_id=bytes.fromhex(otel_id),
            span_id=bytes.fromhex(one["span_id"]),
            parent_span_id=bytes.fromhex(one.get("parent_id", "")),
            name=one["name"],
            start_time_unix_nano=one["started_ns"],
            end_time_unix_nano=one["ended_ns"],
        )
        for key, value in attributes.items():
            name = {float: "double_value", int: "int_value", bytes: "bytes_value"}.get(type(value), "string_value")
            setattr(added.attributes.add(key=key).value, name, value)
    return export


async def export(caller: Caller, place: str, body: bytes, **headers: str) -> Reply:
    headers = {"x-mlflow-experiment-id": place, "content-type": "application/x-protobuf"} | headers
    return await caller("POST", EXPORT, content=body, headers=headers)


async def export_raw(api: Api, place: str, body: bytes, headers: dict[str, str]) -> int:
    headers = {"x-mlflow-experiment-id": place, "content-type": "application/x-protobuf"} | headers
    return (await api.editor.http.post(EXPORT, content=body, headers=headers)).status_code
