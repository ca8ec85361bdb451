"""Tables of traces: their tags and metadata, spans, assessments, and what they are linked to."""

from __future__ import annotations

import sqlalchemy as sa

from api.kernel.tables import project_rows
from core.db import METADATA, UtcDateTime

TRACE = sa.Table(
    "trace",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("organization_id", sa.String(64), nullable=False),
    sa.Column("project_id", sa.String(64), nullable=False),
    sa.Column("experiment_id", sa.String(64), nullable=False),
    # The id in OpenTelemetry, which the client chose: unique in its project only.
    sa.Column("otel_id", sa.String(32), nullable=False),
    sa.Column("client_request_id", sa.String(250), nullable=False),
    sa.Column("name", sa.String(500), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("started_at", UtcDateTime, nullable=False),
    sa.Column("duration_ms", sa.BigInteger),
    sa.Column("request_preview", sa.Text, nullable=False),
    sa.Column("response_preview", sa.Text, nullable=False),
    sa.Column("spans", sa.Integer, nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("input_tokens", sa.BigInteger),
    sa.Column("output_tokens", sa.BigInteger),
    sa.Column("total_tokens", sa.BigInteger),
    # Whether the client has sent the facts about the whole trace. Until then, its spans determine them.
    sa.Column("complete", sa.Boolean, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("created_by", sa.String(128), nullable=False),
    sa.Column("deleted_at", UtcDateTime),
    sa.Index("uq_trace_otel_id", "project_id", "otel_id", unique=True),
    sa.Index("ix_trace_otel_id", "otel_id"),
    sa.Index("ix_trace_experiment", "experiment_id", "started_at", "id"),
    info=project_rows("created_by"),
)
"""Traces. A deleted experiment hides its traces. Deleting a trace itself removes it."""


def _of_trace(name: str, *columns: sa.schema.SchemaItem) -> sa.Table:
    trace: sa.Column[str] = sa.Column("trace_id", sa.ForeignKey("trace.id", ondelete="CASCADE"), primary_key=True)
    return sa.Table(name, METADATA, trace, *columns)


TRACE_TAG = _of_trace(
    "trace_tag", sa.Column("key", sa.String(250), primary_key=True), sa.Column("value", sa.Text, nullable=False)
)
"""Tags, which can change."""

TRACE_METADATA = _of_trace(
    "trace_metadata", sa.Column("key", sa.String(250), primary_key=True), sa.Column("value", sa.Text, nullable=False)
)
"""Facts that the client recorded with the trace, such as its session."""

TRACE_LINK = _of_trace(
    "trace_link",
    sa.Column("type", sa.String(16), primary_key=True),
    sa.Column("target", sa.String(200), primary_key=True),
    sa.Column("version", sa.String(128), primary_key=True),
    sa.Index("ix_trace_link_target", "type", "target"),
)
"""What a trace is linked to: a RUN, a MODEL that was logged, a version of a PROMPT, or a version of an ASSET."""

SPAN = _of_trace(
    "span",
    sa.Column("span_id", sa.String(16), primary_key=True),
    sa.Column("parent_id", sa.String(16)),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("status", sa.String(8), nullable=False),
    sa.Column("started_ns", sa.BigInteger, nullable=False),
    sa.Column("ended_ns", sa.BigInteger),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("provider", sa.Text, nullable=False),
    sa.Column("input_tokens", sa.BigInteger),
    sa.Column("output_tokens", sa.BigInteger),
    sa.Column("total_tokens", sa.BigInteger),
    sa.Column("input_cost", sa.Double),
    sa.Column("output_cost", sa.Double),
    sa.Column("total_cost", sa.Double),
    # Attributes, events, links, and the message of the status.
    sa.Column("content", sa.JSON, nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Index("ix_span_order", "trace_id", "started_ns", "span_id"),
)
"""Spans. They never change."""

TRACE_ASSESSMENT = sa.Table(
    "trace_assessment",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("organization_id", sa.String(64), nullable=False),
    sa.Column("project_id", sa.String(64), nullable=False, index=True),
    sa.Column("trace_id", sa.ForeignKey("trace.id", ondelete="CASCADE"), nullable=False),
    sa.Column("span_id", sa.String(16)),
    sa.Column("name", sa.String(250), nullable=False),
    sa.Column("type", sa.String(16), nullable=False),
    sa.Column("source_type", sa.String(16), nullable=False),
    sa.Column("source_id", sa.String(250), nullable=False),
    # A JSON value, also null.
    sa.Column("value", sa.JSON, nullable=False),
    # The value as a number, if it is one or means yes or no.
    sa.Column("number", sa.Double),
    sa.Column("error", sa.JSON(none_as_null=True)),
    sa.Column("rationale", sa.Text, nullable=False),
    sa.Column("metadata", sa.JSON, nullable=False),
    sa.Column("overrides", sa.String(64)),
    sa.Column("valid", sa.Boolean, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("created_by", sa.String(128), nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
    sa.Index("ix_trace_assessment_trace", "trace_id", "id"),
    info=project_rows("created_by"),
)
"""Assessments of traces: feedback about an answer, or what was expected."""
