"""Reads of the logged values of metrics. They are in the metadata database until they move to the lakehouse.

The waiting values are always read first. A value moves by being added to the lakehouse and then removed from the
database, so whatever is not waiting any more is found in the lakehouse. A value in both places is one value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from api.kernel.kinds.context import Context
from api.kernel.kinds.table_kind import Row
from api.kernel.kinds.unit import Unit
from api.kernel.platform import Platform
from api.services.ai_catalog.run_tables import METRIC_POINT, RUN
from core.errors import InvalidArgument
from core.numbers import is_storable

if TYPE_CHECKING:
    from lakehouse.metric_history import MetricHistory
    from lakehouse.metric_series import LoggedValue

FindRun = Callable[[Unit], Row]
"""Returns a run that the caller may read. Raises `NotFound` otherwise."""

_ORDER = (METRIC_POINT.c.step, METRIC_POINT.c.at_ms, METRIC_POINT.c.bits)


def open_metric_history(platform: Platform) -> MetricHistory:
    """Returns the history of metrics in the lakehouse of the process."""
    from lakehouse.metric_history import MetricHistory

    return MetricHistory.from_settings(platform.settings, platform.database)


async def history_page(
    ctx: Context, find: FindRun, key: str, size: int, token: str = ""
) -> tuple[list[LoggedValue], str | None]:
    """Returns one page of the logged values of a metric, by step, then time, and the token of the next page.

    Raises:
        InvalidArgument: the page token is not one of this list.
    """
    after = _position(token) if token else None
    later = () if after is None else (sa.tuple_(*_ORDER) > sa.tuple_(*after),)
    waiting = await ctx.read(lambda unit: _waiting(unit, find(unit), key, *later, limit=size + 1))
    found = waiting.values
    if waiting.moved:
        moved = await ctx.compute(_series, ctx.platform, waiting)
        found = sorted({*found, *moved.page(after, size + 1)})
    page = found[:size]
    return page, ",".join(map(str, page[-1])) if len(found) > size else None


async def sampled_history(
    ctx: Context, runs: Sequence[FindRun], key: str, size: int, start: int | None, end: int | None
) -> list[list[LoggedValue]]:
    """Returns at most `size` logged values of a metric of each run, evenly over the steps, with the first and the last.

    Args:
        ctx: the request.
        runs: the runs.
        key: name of the metric.
        size: how many values of each run to return.
        start: the first step to include.
        end: the last step to include.
    """
    inside = [METRIC_POINT.c.step >= start] if start is not None else []
    inside += [METRIC_POINT.c.step <= end] if end is not None else []
    waiting = await ctx.read(lambda unit: [_waiting(unit, find(unit), key, *inside) for find in runs])

    def sample() -> list[list[LoggedValue]]:
        return [
            _series(ctx.platform, one).with_values(one.values).sampled(size, start, end)
            if one.moved or len(one.values) > size
            else one.values
            for one in waiting
        ]

    return await ctx.compute(sample)


@dataclass(frozen=True)
class _Waiting:
    """Values of a metric in the metadata database."""

    project: str
    run: str
    key: str
    values: list[LoggedValue]
    moved: bool
    """Whether the lakehouse may have further values."""


def _waiting(unit: Unit, run: Row, key: str, *conditions: sa.ColumnElement[bool], limit: int | None = None) -> _Waiting:
    from lakehouse.metric_series import LoggedValue

    select = sa.select(*_ORDER).where(METRIC_POINT.c.run_id == run.id, METRIC_POINT.c.key == key, *conditions)
    rows: Sequence[Any] = unit.connection.execute(select.order_by(*_ORDER).limit(limit)).all()
    # After the values: those that moved in between are announced by then.
    moved = unit.connection.execute(sa.select(RUN.c.has_history).where(RUN.c.id == run.id)).scalar_one()
    return _Waiting(run.project_id, run.id, key, list(map(LoggedValue._make, rows)), moved)


def _series(platform: Platform, waiting: _Waiting) -> Any:
    from lakehouse.metric_series import MetricSeries

    if not waiting.moved:
        return MetricSeries.empty()
    return platform.part(open_metric_history).series(waiting.project, waiting.run, waiting.key)


def _position(token: str) -> tuple[int, ...]:
    parts = token.split(",")
    if len(parts) != 3 or not all(part.lstrip("-").isdigit() and is_storable(int(part)) for part in parts):
        raise InvalidArgument("page_token is not valid for this list. Send next_page_token of the previous page.")
    return tuple(map(int, parts))
