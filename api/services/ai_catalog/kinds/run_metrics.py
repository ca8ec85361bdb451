"""The history of metrics of runs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

import sqlalchemy as sa
from pydantic import Field
from sqlalchemy.engine import Connection

from api.kernel.kinds.table_kind import Row
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Query
from api.services.ai_catalog.kinds.run import RUN
from api.services.ai_catalog.logic.metric_values import MetricValue, from_bits, time_of, written
from api.services.ai_catalog.run_tables import METRIC_POINT
from core.errors import InvalidArgument
from core.numbers import is_storable


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


@RUN.view("metric-history", query=MetricHistoryQuery, result=MetricHistory)
def get_run_metric_history(unit: Unit, run: Row, query: MetricHistoryQuery) -> MetricHistory:
    """Returns the logged values of a metric, by step, then time."""
    if not query.key:
        raise InvalidArgument("Name the metric: add ?key= to the address.")
    points, token = history(unit.connection, run.id, query.key, query.page_size, query.page_token)
    return MetricHistory(
        key=query.key,
        points=[
            MetricPoint(step=point.step, at=time_of(point.at_ms), value=written(from_bits(point.bits)))
            for point in points
        ],
        next_page_token=token,
    )


def history(
    connection: Connection, run: str, key: str, page_size: int, page_token: str = ""
) -> tuple[Sequence[Any], str | None]:
    """Returns one page of the logged values of a metric, by step, then time, and the token of the next page.

    Raises:
        InvalidArgument: the page token is not one of this list.
    """
    columns = METRIC_POINT.c
    select = sa.select(columns.step, columns.at_ms, columns.bits).where(columns.run_id == run, columns.key == key)
    if page_token:
        select = select.where(sa.tuple_(columns.step, columns.at_ms, columns.bits) > sa.tuple_(*_position(page_token)))
    rows = connection.execute(select.order_by(columns.step, columns.at_ms, columns.bits).limit(page_size + 1)).all()
    page = rows[:page_size]
    return page, ",".join(map(str, page[-1])) if len(rows) > page_size else None


def sampled(connection: Connection, run: str, key: str, size: int, start: int | None, end: int | None) -> Sequence[Any]:
    """Returns at most about `size` logged values of a metric, evenly over the steps, with the first and the last one.

    Args:
        connection: a connection to the metadata database.
        run: id of the run.
        key: name of the metric.
        size: how many values to return.
        start: the first step to include.
        end: the last step to include.
    """
    columns = METRIC_POINT.c
    inside = [columns.run_id == run, columns.key == key]
    inside += [columns.step >= start] if start is not None else []
    inside += [columns.step <= end] if end is not None else []
    count, first, last = connection.execute(
        sa.select(sa.func.count(), sa.func.min(columns.step), sa.func.max(columns.step)).where(*inside)
    ).one()
    select = sa.select(columns.step, columns.at_ms, columns.bits).where(*inside)
    if count > size:
        interval = max(1, -(-(last - first + 1) // size))
        select = select.where(sa.or_((columns.step - first) % interval == 0, columns.step == last))
    return connection.execute(select.order_by(columns.step, columns.at_ms, columns.bits)).all()


def _position(token: str) -> list[int]:
    parts = token.split(",")
    if len(parts) != 3 or not all(part.lstrip("-").isdigit() and is_storable(int(part)) for part in parts):
        raise InvalidArgument("page_token is not valid for this list. Send next_page_token of the previous page.")
    return [int(part) for part in parts]
