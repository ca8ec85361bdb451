"""Statistics of traces: counts, latencies, tokens, costs, and assessments."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import sqlalchemy as sa
from pydantic import Field

from api.kernel.kinds.context import Context
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Request, Timestamp
from api.services.ai_catalog.kinds.experiment import ExperimentReference
from api.services.ai_catalog.kinds.trace import TRACE
from api.services.ai_catalog.kinds.trace_assessment import TRACE_ASSESSMENT
from api.services.ai_catalog.logic.trace_statistics import VIEWS, Aggregation, filtered, statistics
from api.services.ai_catalog.trace_tables import TRACE as TABLE
from core.errors import InvalidPayload

_MAX_POINTS = 10_000


class TraceView(StrEnum):
    """What is counted."""

    TRACES = "TRACES"
    SPANS = "SPANS"
    ASSESSMENTS = "ASSESSMENTS"


class AggregationType(StrEnum):
    """How values are combined."""

    COUNT = "COUNT"
    SUM = "SUM"
    AVG = "AVG"
    MIN = "MIN"
    MAX = "MAX"
    PERCENTILE = "PERCENTILE"


class StatisticsAggregation(Request):
    """A way to combine values."""

    type: AggregationType
    """How values are combined."""

    percentile: Annotated[float, Field(ge=0, le=100)] | None = None
    """The percentile, between 0 and 100. Required for PERCENTILE."""


class TraceStatisticsRequest(Request):
    """What to compute."""

    view: TraceView = TraceView.TRACES
    """What is counted."""

    metric: Annotated[str, Field(max_length=64, examples=["latency"])] = "trace_count"
    """Of traces: `trace_count`, `session_count`, `latency` in ms, `input_tokens`, `output_tokens`, `total_tokens`. Of
    spans: `span_count`, `latency` in ms, `input_cost`, `output_cost`, `total_cost`. Of assessments: `assessment_count`,
    `assessment_value`."""

    aggregations: Annotated[list[StatisticsAggregation], Field(min_length=1, max_length=10)] = [
        StatisticsAggregation(type=AggregationType.COUNT)
    ]
    """How values are combined."""

    dimensions: Annotated[list[Annotated[str, Field(max_length=64)]], Field(max_length=5)] = []
    """What forms groups, such as `trace_name`, `trace_status`, `span_model_name`, or `assessment_name`."""

    experiments: Annotated[list[ExperimentReference], Field(max_length=1000)] = []
    """Ids of experiments. By default all that the caller can see."""

    filter: Annotated[str, Field(max_length=6000)] = ""
    """Filter in the language of `:search`. `span.name` and `assessment.name` are about what is counted."""

    interval_seconds: Annotated[int, Field(ge=1, le=315_360_000)] | None = None
    """Length of the intervals of time that form groups as well."""

    started_from: Timestamp | None = None
    """Traces that started at this time or later."""

    started_to: Timestamp | None = None
    """Traces that started at this time or before."""


class StatisticsPoint(Model):
    """The values of one group."""

    dimensions: dict[str, str]
    """Value of each dimension. `time_bucket` is the start of the interval."""

    values: dict[str, float]
    """Result of each aggregation, such as `COUNT` or `P95.0`."""


class TraceStatistics(Model):
    """Statistics of the traces that the caller can see."""

    metric: str
    """Name of the metric."""

    points: list[StatisticsPoint]
    """The groups, by their dimensions."""


@TRACE.collection_action("statistics", request=TraceStatisticsRequest, result=TraceStatistics, reads=True)
async def statistics_traces(ctx: Context, request: TraceStatisticsRequest) -> TraceStatistics:
    """Computes counts, sums, and percentiles of traces, spans, or assessments, by dimensions and time."""
    return await ctx.read(lambda unit: trace_statistics(unit, request))


def trace_statistics(unit: Unit, request: TraceStatisticsRequest) -> TraceStatistics:
    """Returns statistics of the traces that the caller can see.

    Raises:
        InvalidPayload: a percentile is missing or given for another aggregation, or there are too many groups.
        InvalidArgument: the metric, a dimension, or the filter is not valid.
    """
    for n, one in enumerate(request.aggregations):
        if (one.percentile is None) == (one.type is AggregationType.PERCENTILE):
            fault = {"pointer": f"/aggregations/{n}/percentile", "detail": "belongs to PERCENTILE, and only to it"}
            raise InvalidPayload("PERCENTILE needs a percentile, and nothing else has one.", errors=[fault])
    view = VIEWS[request.view.value]
    where: list[sa.ColumnElement[bool]] = [TRACE.visible(unit), TRACE.present(), filtered(unit, view, request.filter)]
    if request.view is TraceView.ASSESSMENTS:
        where.append(TRACE_ASSESSMENT.visible(unit))
    if request.experiments:
        where.append(TABLE.c.experiment_id.in_(request.experiments))
    if request.started_from is not None:
        where.append(TABLE.c.started_at >= request.started_from)
    if request.started_to is not None:
        where.append(TABLE.c.started_at <= request.started_to)
    aggregations = [Aggregation(one.type.value, one.percentile) for one in request.aggregations]
    points = statistics(unit, view, request.metric, aggregations, request.dimensions, where, request.interval_seconds)
    if len(points) > _MAX_POINTS:
        raise InvalidPayload(f"There are {len(points):,} groups, more than {_MAX_POINTS:,}. Use longer intervals.")
    return TraceStatistics(
        metric=request.metric,
        points=[StatisticsPoint(dimensions=dimensions, values=values) for dimensions, values in points],
    )
