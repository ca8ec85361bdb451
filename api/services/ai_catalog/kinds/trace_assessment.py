"""Assessments of traces: feedback about an answer by a person or a program, and what was expected."""

from __future__ import annotations

import math
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import sqlalchemy as sa
from pydantic import Field

from api.kernel.kinds.table_kind import Row, TableKind
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Request
from api.services.ai_catalog.kinds.span import SpanId
from api.services.ai_catalog.kinds.trace import TRACE
from api.services.ai_catalog.logic.run_rows import Key
from api.services.ai_catalog.trace_tables import SPAN
from api.services.ai_catalog.trace_tables import TRACE_ASSESSMENT as TABLE
from core.errors import InvalidPayload

Metadata = Annotated[dict[Key, Annotated[str, Field(max_length=8000)]], Field(max_length=100)]
"""Free key-value pairs."""


class AssessmentType(StrEnum):
    """FEEDBACK judges what happened. An EXPECTATION is what should have happened."""

    FEEDBACK = "FEEDBACK"
    EXPECTATION = "EXPECTATION"


class AssessmentSource(StrEnum):
    """Who assessed: a person, a model, or code."""

    HUMAN = "HUMAN"
    LLM_JUDGE = "LLM_JUDGE"
    CODE = "CODE"


class AssessmentError(Request):
    """Why a judge gave no value."""

    code: Annotated[str, Field(max_length=250)] = ""
    """Name of the error."""

    message: Annotated[str, Field(max_length=10_000)] = ""
    """What happened."""

    stack_trace: Annotated[str, Field(max_length=100_000)] = ""
    """Where it happened."""


class TraceAssessment(Model):
    """Feedback about a trace or a span, or what was expected of it."""

    id: str
    """Id of the assessment."""

    organization_id: str
    """Id of the organization that it belongs to."""

    project_id: str
    """Id of the project that it belongs to."""

    trace_id: str
    """Id of the trace."""

    span_id: str | None
    """Id of the span that it is about. Null if it is about the whole trace."""

    name: str
    """Name of what is assessed, such as `correctness`."""

    type: AssessmentType
    """Whether it is feedback or an expectation."""

    source_type: AssessmentSource
    """Who assessed, as the client says."""

    source_id: str
    """Name of the person, model, or program, as the client says. `created_by` is who stored it."""

    value: Any
    """The value: any JSON."""

    error: AssessmentError | None
    """Why there is no value. Null if there is no error."""

    rationale: str
    """Reason for the value."""

    metadata: dict[str, str]
    """Free key-value pairs, such as the run of an evaluation."""

    overrides: str | None
    """Id of the assessment that it replaces."""

    valid: bool
    """Whether no other assessment replaces it."""

    created_at: datetime
    """Time at which it was created."""

    created_by: str
    """Name of the principal that created it."""

    updated_at: datetime
    """Time of its last change."""


class NewTraceAssessment(Request):
    """An assessment to store."""

    trace: Annotated[str, Field(max_length=64)]
    """Id of the trace."""

    span_id: SpanId | None = None
    """Id of the span that it is about."""

    name: Key
    """Name of what is assessed."""

    type: AssessmentType = AssessmentType.FEEDBACK
    """Whether it is feedback or an expectation."""

    source_type: AssessmentSource = AssessmentSource.HUMAN
    """Who assessed."""

    source_id: Annotated[str, Field(max_length=250)] = ""
    """Name of the person, model, or program."""

    value: Any = None
    """The value: any JSON."""

    error: AssessmentError | None = None
    """Why there is no value. Only for feedback."""

    rationale: Annotated[str, Field(max_length=50_000)] = ""
    """Reason for the value."""

    metadata: Metadata = {}
    """Free key-value pairs."""

    overrides: Annotated[str, Field(max_length=64)] | None = None
    """Id of an assessment of the same trace that it replaces."""


class TraceAssessmentChange(Request):
    """Changes of an assessment."""

    name: Key | None = None
    """New name."""

    value: Any = None
    """New value."""

    error: AssessmentError | None = None
    """New error. Null removes it."""

    rationale: Annotated[str, Field(max_length=50_000)] | None = None
    """New reason."""

    metadata: Metadata = {}
    """Pairs to set."""


TRACE_ASSESSMENT = TableKind(
    TraceAssessment,
    TABLE,
    plural="trace-assessments",
    prefix="asm",
    filter_by=("trace_id", "span_id", "name", "type", "source_type", "valid", "created_by", "created_at"),
)


@TRACE_ASSESSMENT.creation(request=NewTraceAssessment, result=TraceAssessment)
def create_trace_assessment(unit: Unit, request: NewTraceAssessment) -> TraceAssessment:
    """Assesses a trace or a span. An assessment that it replaces stays, and is no longer valid."""
    return add_assessment(unit, TRACE.row(unit, request.trace), request)


@TRACE_ASSESSMENT.modification(request=TraceAssessmentChange, result=TraceAssessment)
def update_trace_assessment(unit: Unit, assessment: Row, request: TraceAssessmentChange) -> TraceAssessment:
    """Changes an assessment."""
    sent = request.model_fields_set
    values: dict[str, Any] = {"updated_at": unit.now, "metadata": {**assessment.metadata, **request.metadata}}
    values |= {name: getattr(request, name) for name in ("name", "rationale") if getattr(request, name) is not None}
    if "value" in sent:
        values |= {"value": _json(request.value), "number": number_of(request.value)}
    if "error" in sent:
        _require_feedback(assessment.type, request.error)
        values["error"] = request.error.model_dump() if request.error else None
    return TRACE_ASSESSMENT.change(unit, assessment, **values)


@TRACE_ASSESSMENT.deletion()
def delete_trace_assessment(unit: Unit, assessment: Row) -> None:
    """Deletes an assessment. One that it replaced is valid again."""
    if assessment.overrides:
        _set_valid(unit, assessment.trace_id, assessment.overrides, valid=True)
    unit.connection.execute(TABLE.delete().where(TABLE.c.id == assessment.id))


def add_assessment(unit: Unit, trace: Row, request: NewTraceAssessment) -> TraceAssessment:
    """Stores an assessment of a trace.

    Raises:
        InvalidPayload: the trace has no such span, or no such assessment to replace.
    """
    _require_feedback(request.type.value, request.error)
    if request.span_id:
        span = sa.select(SPAN.c.span_id).where(SPAN.c.trace_id == trace.id, SPAN.c.span_id == request.span_id)
        if unit.connection.execute(span).first() is None:
            raise _fault("/span_id", f"The trace {trace.id} has no span {request.span_id}.")
    if request.overrides and not _set_valid(unit, trace.id, request.overrides, valid=False):
        raise _fault("/overrides", f"The trace {trace.id} has no assessment {request.overrides}.")
    values = request.model_dump(exclude={"trace", "type", "source_type", "value"})
    return TRACE_ASSESSMENT.add(
        unit,
        organization_id=trace.organization_id,
        project_id=trace.project_id,
        trace_id=trace.id,
        type=request.type.value,
        source_type=request.source_type.value,
        value=_json(request.value),
        number=number_of(request.value),
        valid=True,
        created_at=unit.now,
        created_by=unit.principal.name,
        updated_at=unit.now,
        **values,
    )


def number_of(value: Any) -> float | None:
    """Returns a value as a number: yes and true are 1, no and false are 0. None for anything else."""
    if isinstance(value, str):
        return {"yes": 1.0, "no": 0.0}.get(value.lower())
    if isinstance(value, bool | int | float):
        number = float(value)
        return number if math.isfinite(number) else None
    return None


def _json(value: Any) -> Any:
    return sa.JSON.NULL if value is None else value


def _set_valid(unit: Unit, trace: str, id: str, *, valid: bool) -> int:
    update = TABLE.update().where(TABLE.c.id == id, TABLE.c.trace_id == trace)
    return unit.connection.execute(update.values(valid=valid)).rowcount


def _require_feedback(type: str, error: AssessmentError | None) -> None:
    if error and type != AssessmentType.FEEDBACK:
        raise _fault("/error", "Only feedback can have an error: an expectation has a value.")


def _fault(pointer: str, detail: str) -> InvalidPayload:
    return InvalidPayload(detail, errors=[{"pointer": pointer, "detail": detail}])
