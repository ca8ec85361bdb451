"""Traces of the AI catalog in the answers of MLflow."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from api.kernel.kinds.table_kind import Row
from api.kernel.kinds.unit import Unit
from api.protocols.mlflow import otlp
from api.protocols.mlflow.assessments import rendered_assessment
from api.protocols.mlflow.trace_names import uri_of
from api.services.ai_catalog.kinds.trace import TRACE
from api.services.ai_catalog.kinds.trace_spans import spans_of
from api.services.ai_catalog.logic.trace_rows import TraceValues
from core.errors import InvalidArgument

NAME, LOCATION, ARTIFACTS = "mlflow.traceName", "mlflow.trace.spansLocation", "mlflow.artifactLocation"
"""Tags that the server sets: the name, where the spans are, and where attachments go."""

_MAX_BATCH_BYTES = 100_000_000
"""Size of the content of the spans of one answer."""


def whole_traces(unit: Unit, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Returns traces with their spans.

    Raises:
        InvalidArgument: the spans are too large for one answer.
    """
    if sum(row.bytes for row in rows) > _MAX_BATCH_BYTES:
        raise InvalidArgument("The spans of these traces have more than 100 MB. Ask for fewer traces at once.")
    # Each span is encoded at once, so that only the text of all of them is in memory.
    return [
        {
            "trace_info": info,
            "spans": [
                msgspec.Raw(msgspec.json.encode(otlp.rendered(row.otel_id, span)))
                for span in spans_of(unit.connection, row.id)
            ],
        }
        for row, info in zip(rows, infos(unit, rows), strict=True)
    ]


def infos(unit: Unit, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Returns traces without their spans."""
    values = TraceValues(unit.connection, [row.id for row in rows])
    return [
        {
            "trace_id": uri_of(trace.otel_id),
            **({"client_request_id": trace.client_request_id} if trace.client_request_id else {}),
            "trace_location": {
                "type": "MLFLOW_EXPERIMENT",
                "mlflow_experiment": {"experiment_id": trace.experiment_id},
            },
            "request_preview": trace.request_preview,
            "response_preview": trace.response_preview,
            "request_time": _timestamp(trace.started_at),
            **({} if trace.duration_ms is None else {"execution_duration": f"{trace.duration_ms / 1000:.3f}s"}),
            "state": trace.state.value,
            "trace_metadata": _metadata(trace.metadata, trace.runs),
            "tags": trace.tags | {NAME: trace.name} | _location_of(trace),
            "assessments": [rendered_assessment(trace.otel_id, one) for one in values.assessments[trace.id]],
        }
        for trace in TRACE.items(unit, rows)
    ]


def _metadata(metadata: dict[str, str], runs: Sequence[str]) -> dict[str, str]:
    return {"mlflow.trace_schema.version": "3", **({"mlflow.sourceRun": runs[0]} if runs else {}), **metadata}


def _location_of(trace: Any) -> dict[str, str]:
    """Returns the tags that tell a client where the spans are: in the store, as soon as there is one."""
    place = f"mlflow-artifacts:/{trace.experiment_id}/{trace.id}/artifacts"
    return {ARTIFACTS: place, **({LOCATION: "TRACKING_STORE"} if trace.spans else {})}


def _timestamp(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
