"""The history of metrics of runs."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from api.kernel.kinds.context import Context
from api.kernel.kinds.table_kind import Row
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Query
from api.services.ai_catalog.kinds.run import RUN
from api.services.ai_catalog.logic.metric_history import FindRun, history_page, sampled_history
from api.services.ai_catalog.logic.metric_values import MetricValue, from_bits, time_of, written
from core.errors import InvalidArgument

if TYPE_CHECKING:
    from lakehouse.metric_series import LoggedValue


class MetricHistoryQuery(Query):
    """Which values of a metric to return."""

    key: Annotated[str, Field(max_length=250)] = ""
    """Name of the metric. Required."""

    page_size: Annotated[int, Field(ge=1, le=25_000)] = 1000
    """Maximum number of values."""

    page_token: Annotated[str, Field(max_length=200)] = ""
    """`next_page_token` of the previous page."""


class MetricSampleQuery(Query):
    """Which values of a metric to return."""

    key: Annotated[str, Field(max_length=250)] = ""
    """Name of the metric. Required."""

    points: Annotated[int, Field(ge=2, le=2_500)] = 500
    """Maximum number of values."""


class MetricPoint(Model):
    """A logged value of a metric."""

    step: int
    """Step."""

    at: datetime
    """Time that the client reported."""

    value: MetricValue
    """The value."""


class MetricHistory(Model):
    """Logged values of a metric, by step and time."""

    key: str
    """Name of the metric."""

    points: list[MetricPoint]
    """The values."""

    next_page_token: str | None
    """Token of the next page. Null on the last page."""


class MetricSample(Model):
    """Values of a metric, evenly over its steps, with the first and the last."""

    key: str
    """Name of the metric."""

    points: list[MetricPoint]
    """The values, by step and time."""


@RUN.part("metric-history", query=MetricHistoryQuery, result=MetricHistory)
async def get_run_metric_history(ctx: Context, run: str, query: MetricHistoryQuery) -> MetricHistory:
    """Returns the logged values of a metric, by step, then time."""

    points, token = await history_page(
        ctx, _find(run, query.key, "metric-history"), query.key, query.page_size, query.page_token
    )
    return MetricHistory(
        key=query.key,
        points=[_point(one) for one in points],
        next_page_token=token,
    )


@RUN.part("metric-sample", query=MetricSampleQuery, result=MetricSample)
async def get_run_metric_sample(ctx: Context, run: str, query: MetricSampleQuery) -> MetricSample:
    """Returns logged values of a metric evenly over its steps, few enough to draw a chart of any run."""
    find = _find(run, query.key, "metric-sample")
    (points,) = await sampled_history(ctx, [find], query.key, query.points, None, None)
    return MetricSample(key=query.key, points=[_point(one) for one in points])


def _find(run: str, key: str, verb: str) -> FindRun:
    def find(unit: Unit) -> Row:
        row = RUN.row(unit, run, verb)
        if not key:
            raise InvalidArgument("Name the metric: add ?key= to the address.")
        return row

    return find


def _point(logged: LoggedValue) -> MetricPoint:
    return MetricPoint(step=logged.step, at=time_of(logged.at_ms), value=written(from_bits(logged.bits)))
