"""The file `traces.json`, in which MLflow's client uploads the spans of a trace that the server did not have yet."""

from __future__ import annotations

import base64
import json
from typing import Any

import sqlalchemy as sa
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from api.kernel.kinds.unit import Unit
from api.protocols.mlflow import otlp
from api.protocols.mlflow.call import MlflowCall
from api.services.ai_catalog.kinds.experiment import EXPERIMENT
from api.services.ai_catalog.kinds.trace import TRACE, store_trace
from api.services.ai_catalog.logic.trace_recording import TraceFacts
from api.services.ai_catalog.logic.trace_spans import SpanFacts
from api.services.ai_catalog.trace_tables import SPAN
from core.errors import InvalidArgument, PayloadTooLarge

NAME = "traces.json"


def is_trace(path: str) -> bool:
    """Returns whether a path of the artifact store, `<experiment>/<id>/artifacts/<name>`, is in that of a trace."""
    parts = path.split("/")
    return len(parts) > 1 and parts[1].startswith(f"{TRACE.prefix}_")


async def upload(call: MlflowCall, http: HttpRequest, path: str) -> Response:
    """Stores the spans of a trace that are not stored yet."""
    _, id, *rest = path.split("/")
    if rest != ["artifacts", NAME]:
        raise InvalidArgument(f"Traces have no files but {NAME}: attachments of spans are not supported.")
    trace = await call.read("get_trace", lambda unit: TRACE.row(unit, id))
    body = await _body(http, call.calls.platform.settings.max_body_bytes)

    async def act(ctx: Any) -> None:
        spans = await ctx.compute(_parsed, body)

        def write(unit: Unit) -> None:
            experiment = unit.row(EXPERIMENT, trace.experiment_id)
            known = set(unit.connection.execute(sa.select(SPAN.c.span_id).where(SPAN.c.trace_id == id)).scalars())
            new = [span for span in spans if span.span_id not in known]
            store_trace(unit, experiment, trace.otel_id, new, TraceFacts())

        await ctx.write(write)

    await call.act("create_trace", act, id)
    return Response(b"{}", media_type="application/json")


async def _body(http: HttpRequest, max_bytes: int) -> bytes:
    body = bytearray()
    async for chunk in http.stream():
        body += chunk
        if len(body) > max_bytes:
            raise PayloadTooLarge(f"{NAME} has more than {max_bytes:,} bytes. Record less in the spans of a trace.")
    return bytes(body)


def _parsed(body: bytes) -> list[SpanFacts]:
    if b"\0" in body or b"\\u0000" in body:
        raise InvalidArgument("A span contains a NUL character. Remove it: texts must not contain it.")
    try:
        found = json.loads(body)["spans"]
        return [_facts(span).checked(f"/spans/{n}") for n, span in enumerate(found)]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise InvalidArgument(f"{NAME} does not have the form that MLflow 3 writes.") from None


def _facts(span: dict[str, Any]) -> SpanFacts:
    attributes, exact = {}, {}
    for key, text in span["attributes"].items():
        value = json.loads(text) if isinstance(text, str) else text
        attributes[key] = otlp.as_json(value)
        if attributes[key] != value:
            exact[key] = otlp.any_value(value)
    status = span["status"]
    return SpanFacts(
        span_id=_hex(span["span_id"]),
        parent_id=_hex(span["parent_span_id"]) if span.get("parent_span_id") else None,
        name=str(span["name"]),
        status=str(status["code"]).removeprefix("STATUS_CODE_"),
        message=str(status.get("message") or ""),
        started_ns=int(span["start_time_unix_nano"]),
        ended_ns=None if span.get("end_time_unix_nano") is None else int(span["end_time_unix_nano"]),
        attributes=attributes,
        exact=exact,
        events=[
            {
                "name": str(event["name"]),
                "time_ns": int(event["time_unix_nano"]),
                "attributes": otlp.as_json(event["attributes"]),
            }
            for event in span.get("events") or []
        ],
    )


def _hex(text: str) -> str:
    return base64.b64decode(text, validate=True).hex()


EXECUTES = ("ai_catalog_create_trace", "ai_catalog_get_trace")
