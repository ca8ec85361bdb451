"""Assessments of traces as MLflow's feedback and expectations."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from api.kernel.kinds.table_kind import Row
from api.kernel.kinds.unit import Unit
from api.protocols.mlflow.call import MlflowCall, validated_json
from api.protocols.mlflow.trace_names import trace_row, uri_of
from api.services.ai_catalog.kinds.trace_assessment import (
    TRACE_ASSESSMENT,
    NewTraceAssessment,
    TraceAssessmentChange,
    add_assessment,
    delete_trace_assessment,
    update_trace_assessment,
)
from api.services.ai_catalog.trace_tables import TRACE_ASSESSMENT as TABLE
from core.errors import InvalidArgument, NotFound

_SOURCES = {"SOURCE_TYPE_UNSPECIFIED": "CODE", "AI_JUDGE": "LLM_JUDGE"}


async def create(call: MlflowCall) -> dict[str, Any]:
    """Assesses a trace."""
    request = assessment_of(call.values.get("assessment"))

    def write(unit: Unit) -> dict[str, Any]:
        trace = trace_row(unit, call, call.text("trace_id"))
        made = add_assessment(unit, trace, request)
        return rendered_assessment(trace.otel_id, _stored(unit, made.id))

    return {"assessment": await call.write("create_trace_assessment", write)}


async def get(call: MlflowCall) -> dict[str, Any]:
    """Returns an assessment."""

    def read(unit: Unit) -> dict[str, Any]:
        trace = trace_row(unit, call, call.text("trace_id"))
        return rendered_assessment(trace.otel_id, _of(unit, call, trace))

    return {"assessment": await call.read("get_trace_assessment", read)}


async def update(call: MlflowCall) -> dict[str, Any]:
    """Changes the parts of an assessment that the request sends."""
    sent = call.values.get("assessment")
    if not isinstance(sent, dict):
        raise InvalidArgument("The parameter 'assessment' must be an object.")
    change: dict[str, Any] = {}
    if "assessment_name" in sent:
        change["name"] = sent["assessment_name"]
    if "feedback" in sent or "expectation" in sent:
        change |= _content(sent)
    change |= {name: sent[name] for name in ("rationale", "metadata") if name in sent}
    body = validated_json(TraceAssessmentChange, change)

    def write(unit: Unit) -> dict[str, Any]:
        trace = trace_row(unit, call, call.text("trace_id"))
        row = TRACE_ASSESSMENT.row(unit, _of(unit, call, trace).id, "update")
        unit.call.subject = row.id
        update_trace_assessment(unit, row, body)
        return rendered_assessment(trace.otel_id, _stored(unit, row.id))

    return {"assessment": await call.write("update_trace_assessment", write)}


async def delete(call: MlflowCall) -> dict[str, Any]:
    """Deletes an assessment."""

    def write(unit: Unit) -> dict[str, Any]:
        trace = trace_row(unit, call, call.text("trace_id"))
        row = TRACE_ASSESSMENT.row(unit, _of(unit, call, trace).id, "delete")
        unit.call.subject = row.id
        delete_trace_assessment(unit, row)
        return {}

    return await call.write("delete_trace_assessment", write)


def assessment_of(value: Any) -> NewTraceAssessment:
    """Returns the assessment in a request of MLflow. Its trace is that of the request.

    Raises:
        InvalidArgument: it is no feedback and no expectation.
        InvalidPayload: a part of it is not valid.
    """
    if not isinstance(value, dict):
        raise InvalidArgument("An assessment must be an object.")
    if "feedback" not in value and "expectation" not in value:
        raise InvalidArgument("An assessment must be feedback or an expectation.")
    source = value.get("source") if isinstance(value.get("source"), dict) else {}
    kind = str((source or {}).get("source_type", "CODE"))
    body = {
        "trace": "",
        "name": value.get("assessment_name"),
        "type": "FEEDBACK" if "feedback" in value else "EXPECTATION",
        "span_id": value.get("span_id") or None,
        "source_type": _SOURCES.get(kind, kind),
        "source_id": (source or {}).get("source_id") or "",
        "rationale": value.get("rationale") or "",
        "metadata": value.get("metadata") or {},
        "overrides": value.get("overrides") or None,
        **_content(value),
    }
    return validated_json(NewTraceAssessment, body)


def rendered_assessment(otel_id: str, row: Row) -> dict[str, Any]:
    """Returns an assessment as MLflow writes it."""
    content: dict[str, Any] = {"value": row.value}
    if row.type == "FEEDBACK":
        if error := row.error:
            names = {"error_code": "code", "error_message": "message", "stack_trace": "stack_trace"}
            content["error"] = {name: error[own] for name, own in names.items() if error[own]}
    elif isinstance(row.value, dict | list):
        content = {"serialized_value": {"serialization_format": "JSON_FORMAT", "value": json.dumps(row.value)}}
    parts = {"span_id": row.span_id, "rationale": row.rationale, "overrides": row.overrides}
    return {
        "assessment_id": row.id,
        "assessment_name": row.name,
        "trace_id": uri_of(otel_id),
        "source": {"source_type": row.source_type, "source_id": row.source_id or "default"},
        "create_time": _timestamp(row.created_at),
        "last_update_time": _timestamp(row.updated_at),
        "feedback" if row.type == "FEEDBACK" else "expectation": content,
        "metadata": row.metadata,
        "valid": row.valid,
        **{name: value for name, value in parts.items() if value},
    }


def _content(value: dict[str, Any]) -> dict[str, Any]:
    content = value.get("feedback") if "feedback" in value else value.get("expectation")
    if not isinstance(content, dict):
        raise InvalidArgument("Feedback and expectations must be objects with a value.")
    found: dict[str, Any] = {"value": content.get("value")}
    if isinstance(serialized := content.get("serialized_value"), dict):
        try:
            found["value"] = json.loads(serialized.get("value", "null"))
        except (ValueError, TypeError, RecursionError):
            raise InvalidArgument("The serialized value of an expectation must be JSON.") from None
    error = content.get("error") or value.get("error")
    if isinstance(error, dict):
        names = {"code": "error_code", "message": "error_message", "stack_trace": "stack_trace"}
        found["error"] = {own: str(error.get(name) or "") for own, name in names.items()}
    return found


def _of(unit: Unit, call: MlflowCall, trace: Row) -> Row:
    id = call.text("assessment_id")
    select = sa.select(TABLE).where(TABLE.c.id == id, TABLE.c.trace_id == trace.id, TRACE_ASSESSMENT.visible(unit))
    row = unit.connection.execute(select).first()
    if row is None:
        raise NotFound(f"Assessment with ID {id[:64]!r} not found for trace {uri_of(trace.otel_id)!r}.")
    return row


def _stored(unit: Unit, id: str) -> Row:
    return unit.connection.execute(sa.select(TABLE).where(TABLE.c.id == id)).one()


def _timestamp(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


_PATH = "/api/3.0/mlflow/traces/{trace_id}/assessments"
ROUTES = {
    ("POST", _PATH): create,
    ("GET", f"{_PATH}/{{assessment_id}}"): get,
    ("PATCH", f"{_PATH}/{{assessment_id}}"): update,
    ("DELETE", f"{_PATH}/{{assessment_id}}"): delete,
}
EXECUTES = tuple(f"ai_catalog_{verb}_trace_assessment" for verb in ("create", "get", "update", "delete"))
