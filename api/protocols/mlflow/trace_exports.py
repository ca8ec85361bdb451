"""Exports of spans by clients of OpenTelemetry."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from api.kernel.kinds.unit import Unit
from api.protocols.mlflow import otlp
from api.protocols.mlflow.call import MlflowCall
from api.protocols.mlflow.experiments import experiment_id
from api.services.ai_catalog.kinds.experiment import EXPERIMENT
from api.services.ai_catalog.kinds.trace import store_trace
from api.services.ai_catalog.logic.trace_recording import TraceFacts
from core.errors import InvalidArgument


async def export(call: MlflowCall, http: HttpRequest) -> Response:
    """Stores spans that an exporter of OpenTelemetry sends."""
    place = http.headers.get("x-mlflow-experiment-id", "").strip()
    if not place:
        raise InvalidArgument("Name the experiment in the header x-mlflow-experiment-id.")
    run = http.headers.get("x-mlflow-run-id", "").strip()
    body, is_json = await otlp.body_of(http, call.calls.platform.settings.max_body_bytes)

    async def act(ctx: Any) -> None:
        spans = await ctx.compute(otlp.parsed, body, is_json=is_json)

        def write(unit: Unit) -> None:
            experiment = unit.row(EXPERIMENT, experiment_id(unit, call.workspace, place))
            facts = TraceFacts(metadata={"mlflow.sourceRun": run} if run else {})
            # In one order, so that two exports with the same traces don't wait for one another.
            for otel_id in sorted(spans):
                store_trace(unit, experiment, otel_id, spans[otel_id], facts)

        await ctx.write(write)

    await call.act("create_trace", act, place)
    return Response(b"{}" if is_json else b"", media_type="application/json" if is_json else otlp.PROTOBUF)
