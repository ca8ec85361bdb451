"""Spans in the protocol of OpenTelemetry (OTLP), as exporters send them and as MLflow's client reads them."""

from __future__ import annotations

import base64
import json
import math
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from starlette.requests import Request as HttpRequest

from api.services.ai_catalog.logic.metric_values import written
from api.services.ai_catalog.logic.run_rows import Row
from api.services.ai_catalog.logic.trace_spans import SpanFacts
from core.errors import InvalidArgument, InvalidPayload, PayloadTooLarge, UnsupportedMediaType

PATH = "/v1/traces"
PROTOBUF = "application/x-protobuf"

_STATUSES = ("UNSET", "OK", "ERROR")
_BASE64 = {"traceId", "spanId", "parentSpanId", "trace_id", "span_id", "parent_span_id"}


async def body_of(http: HttpRequest, max_bytes: int) -> tuple[bytes, bool]:
    """Returns the decompressed body of an export, and whether it is JSON.

    Raises:
        UnsupportedMediaType: the body is neither protobuf nor JSON, or its encoding is not gzip.
        PayloadTooLarge: it is larger than `max_bytes` when it is decompressed.
        InvalidArgument: it is not valid gzip.
    """
    media_type = http.headers.get("content-type", "").split(";")[0].strip().lower()
    if media_type not in (PROTOBUF, "application/json"):
        raise UnsupportedMediaType(f"Send spans as {PROTOBUF} or application/json.")
    body = await http.body()
    encoding = http.headers.get("content-encoding", "").strip().lower()
    if encoding not in ("", "identity", "gzip"):
        raise UnsupportedMediaType("Send spans uncompressed or with gzip.")
    if encoding == "gzip":
        try:
            inflate = zlib.decompressobj(wbits=31)
            body = inflate.decompress(body, max_bytes + 1)
        except zlib.error:
            raise InvalidArgument("The body is not valid gzip.") from None
        if len(body) > max_bytes:
            raise PayloadTooLarge(f"The spans have more than {max_bytes:,} bytes. Export fewer at once.")
        if not inflate.eof:
            raise InvalidArgument("The body is not valid gzip.")
    return body, media_type != PROTOBUF


def parsed(body: bytes, *, is_json: bool) -> dict[str, list[SpanFacts]]:
    """Returns the spans of an export by the id of their trace.

    Raises:
        InvalidArgument: the body is not an export of spans.
        InvalidPayload: a span can't be stored.
    """
    # Imported on first use: a server without traces does not need it.
    from google.protobuf import json_format  # type: ignore[import-untyped]
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    export: Any = ExportTraceServiceRequest()
    try:
        if is_json:
            json_format.ParseDict(_with_base64(json.loads(body)), export, ignore_unknown_fields=True)
        else:
            export.ParseFromString(body)
    except (DecodeError, json_format.ParseError, ValueError, TypeError, AttributeError, RecursionError):
        raise InvalidArgument("The body is not an ExportTraceServiceRequest of OpenTelemetry.") from None
    found: dict[str, list[SpanFacts]] = {}
    for pointer, span in _spans(export):
        trace = span.trace_id.hex()
        if len(trace) != 32 or not trace.strip("0"):
            fault = {"pointer": f"{pointer}/traceId", "detail": "must be 16 bytes that are not all zero"}
            raise InvalidPayload("The id of a trace is not valid.", errors=[fault])
        found.setdefault(trace, []).append(_facts(span, pointer).checked(pointer))
    return found


def rendered(otel_id: str, row: Row) -> dict[str, Any]:
    """Returns a stored span in the JSON of protocol buffers, which has ids in base64."""
    content = row.content
    exact: Mapping[str, Any] = content.get("exact", {})
    status: dict[str, Any] = {"code": f"STATUS_CODE_{row.status}"}
    if message := content.get("message"):
        status["message"] = message
    span = {
        "trace_id": _bytes(otel_id),
        "span_id": _bytes(row.span_id),
        "name": row.name,
        "start_time_unix_nano": str(row.started_ns),
        "attributes": _pairs(content["attributes"], exact),
        "events": [
            {
                "name": event.get("name", ""),
                "time_unix_nano": str(event.get("time_ns", 0)),
                "attributes": _pairs(event.get("attributes", {}), {}),
            }
            for event in content.get("events", [])
        ],
        "links": [
            {
                "trace_id": _bytes(link["otel_id"]),
                "span_id": _bytes(link["span_id"]),
                "attributes": _pairs(link.get("attributes", {}), {}),
            }
            for link in content.get("links", [])
        ],
        "status": status,
    }
    if row.parent_id:
        span["parent_span_id"] = _bytes(row.parent_id)
    if row.ended_ns is not None:
        span["end_time_unix_nano"] = str(row.ended_ns)
    return span


def any_value(value: Any) -> dict[str, Any]:
    """Returns a value in the JSON of OpenTelemetry, which names its type."""
    match value:
        case None:
            return {}
        case bool():
            return {"bool_value": value}
        case int():
            return {"int_value": str(value)}
        case float():
            return {"double_value": written(value)}
        case str():
            return {"string_value": value}
        case list():
            return {"array_value": {"values": [any_value(one) for one in value]}}
    return {"kvlist_value": {"values": [{"key": key, "value": any_value(one)} for key, one in value.items()]}}


def as_json(value: Any) -> Any:
    """Returns a value with NaN and infinities as texts, because JSON has no such numbers."""
    match value:
        case float():
            return written(value)
        case list():
            return [as_json(one) for one in value]
        case dict():
            return {key: as_json(one) for key, one in value.items()}
    return value


def _spans(export: Any) -> Iterator[tuple[str, Any]]:
    for n, resource in enumerate(export.resource_spans):
        for m, scope in enumerate(resource.scope_spans):
            for k, span in enumerate(scope.spans):
                yield f"/resourceSpans/{n}/scopeSpans/{m}/spans/{k}", span


def _facts(span: Any, pointer: str) -> SpanFacts:
    attributes, exact = _values(span.attributes, pointer)
    return SpanFacts(
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex() or None,
        name=_storable(span.name, pointer),
        status=_STATUSES[span.status.code] if span.status.code < len(_STATUSES) else "UNSET",
        message=_storable(span.status.message, pointer),
        started_ns=span.start_time_unix_nano,
        ended_ns=span.end_time_unix_nano or None,
        attributes=attributes,
        exact=exact,
        events=[
            {
                "name": _storable(event.name, pointer),
                "time_ns": event.time_unix_nano,
                "attributes": _values(event.attributes, pointer)[0],
            }
            for event in span.events
        ],
        links=[
            {
                "otel_id": link.trace_id.hex(),
                "span_id": link.span_id.hex(),
                "attributes": _values(link.attributes, pointer)[0],
            }
            for link in span.links
        ],
    )


def _values(pairs: Any, pointer: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns attributes as JSON, and in the JSON of OpenTelemetry those that JSON can't express."""
    from google.protobuf import json_format

    values, exact = {}, {}
    for pair in pairs:
        lossy: list[Any] = []
        values[_storable(pair.key, pointer)] = _plain(pair.value, lossy, pointer)
        if lossy:
            exact[pair.key] = json_format.MessageToDict(pair.value)
    return values, exact


def _plain(value: Any, lossy: list[Any], pointer: str) -> Any:
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    found = getattr(value, kind)
    match kind:
        case "string_value":
            return _storable(found, pointer)
        case "array_value":
            return [_plain(one, lossy, pointer) for one in found.values]
        case "kvlist_value":
            return {_storable(one.key, pointer): _plain(one.value, lossy, pointer) for one in found.values}
        case "bytes_value":
            lossy.append(found)
            return base64.b64encode(found).decode()
        case "double_value" if not math.isfinite(found):
            lossy.append(found)
            return written(found)
    return found


def _pairs(values: Mapping[str, Any], exact: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": exact.get(key) or any_value(value)} for key, value in values.items()]


def _storable(text: str, pointer: str) -> str:
    if "\0" in text:
        fault = {"pointer": pointer, "detail": "contains a NUL character"}
        raise InvalidPayload("A span contains a NUL character. Remove it: texts must not contain it.", errors=[fault])
    return text


def _bytes(text: str) -> str:
    return base64.b64encode(bytes.fromhex(text)).decode()


def _with_base64(document: Any) -> Any:
    """Returns the document with its ids, which are hexadecimal in OTLP, in base64 as in the JSON of protobuf."""
    if isinstance(document, list):
        return [_with_base64(one) for one in document]
    if not isinstance(document, dict):
        return document
    return {
        name: _bytes(value) if name in _BASE64 and isinstance(value, str) else _with_base64(value)
        for name, value in document.items()
    }
