"""The history of metrics of runs."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from api.kernel.kinds.context import Context
from api.kernel.kinds.table_kind import Row
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Query
from api.services.ai_catalog.kinds.run import RUN
from api.services.ai_catalog.logic.metric_history import history_page
from api.services.ai_catalog.logic.metric_values import MetricValue, from_bits, time_of, written
from core.errors import InvalidArgument


class MetricHistoryQuery(Query):
    """Which values of a metric to return."""

    key: Annotated[str, Field(max_length=250)] = ""
    """Name of the metric. Required."""

    page_size: Annotated[int, Field(ge=1, le=25_000)] = 1000
    """Maximum number of values."""

    page_token: Annotated[str, Field(max_length=200)] = ""
    """`next_page_token` of the previous page."""


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


@RUN.part("metric-history", query=MetricHistoryQuery, result=MetricHistory)
async def get_run_metric_history(ctx: Context, run: str, query: MetricHistoryQuery) -> MetricHistory:
    """Returns the logged values of a metric, by step, then time."""

    def find(unit: Unit) -> Row:
        row = RUN.row(unit, run, "metric-history")
        if not query.key:
            raise InvalidArgument("Name the metric: add ?key= to the address.")
        return row

    points, token = await history_page(ctx, find, query.key, query.page_size, query.page_token)
    return MetricHistory(
        key=query.key,
        points=[
            MetricPoint(step=point.step, at=time_of(point.at_ms), value=written(from_bits(point.bits)))
            for point in points
        ],
        next_page_token=token,
    )
