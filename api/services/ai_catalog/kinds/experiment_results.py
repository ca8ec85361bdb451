"""What the runs of an experiment show: their number by status, what they logged, and the best of them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import sqlalchemy as sa
from pydantic import Field

from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Query
from api.services.ai_catalog.kinds.experiment import EXPERIMENT, Experiment
from api.services.ai_catalog.kinds.run import RUN, Run
from api.services.ai_catalog.logic.metric_values import MetricValue, nan_if_null, written
from api.services.ai_catalog.run_tables import RUN as TABLE
from api.services.ai_catalog.run_tables import RUN_METRIC, RUN_PARAM
from core.errors import InvalidArgument, NotFound


class BestQuery(Query):
    """What makes a run the best."""

    metric: Annotated[str, Field(max_length=250)] = ""
    """Name of the metric. Required. Its latest value in each run counts. NaN never counts."""

    goal: Literal["max", "min"] = "max"
    """Whether the highest or the lowest value is the best."""


class MetricSummary(Model):
    """A metric of the runs of an experiment."""

    key: str
    """Name of the metric."""

    runs: int
    """Number of runs that logged it."""

    lowest: MetricValue
    """Lowest latest value. NaN if every run has NaN."""

    highest: MetricValue
    """Highest latest value. NaN if every run has NaN."""


class ExperimentSummary(Model):
    """The runs of an experiment in numbers."""

    runs: dict[str, int]
    """Number of runs by status."""

    first_started_at: datetime | None
    """Start of the first run. Null if there is none."""

    last_started_at: datetime | None
    """Start of the last run. Null if there is none."""

    params: list[str]
    """Names of the parameters that runs logged."""

    metrics: list[MetricSummary]
    """Metrics that runs logged, by name."""


@EXPERIMENT.view("summary", query=Query, result=ExperimentSummary)
def get_experiment_summary(unit: Unit, experiment: Experiment, query: Query) -> ExperimentSummary:
    """Returns the runs of an experiment in numbers: how many there are by status, and what they logged."""
    inside = _inside(unit, experiment)
    ids = sa.select(TABLE.c.id).where(inside)
    statuses = sa.select(TABLE.c.status, sa.func.count()).where(inside).group_by(TABLE.c.status)
    times = sa.select(sa.func.min(TABLE.c.started_at), sa.func.max(TABLE.c.started_at)).where(inside)
    first, last = unit.connection.execute(times).one()
    value = RUN_METRIC.c.value
    metrics = (
        sa.select(RUN_METRIC.c.key, sa.func.count(), sa.func.min(value), sa.func.max(value))
        .where(RUN_METRIC.c.run_id.in_(ids))
        .group_by(RUN_METRIC.c.key)
        .order_by(RUN_METRIC.c.key)
    )
    params = sa.select(RUN_PARAM.c.key).where(RUN_PARAM.c.run_id.in_(ids)).distinct().order_by(RUN_PARAM.c.key)
    return ExperimentSummary(
        runs={row[0]: row[1] for row in unit.connection.execute(statuses)},
        first_started_at=first,
        last_started_at=last,
        params=list(unit.connection.execute(params).scalars()),
        metrics=[
            MetricSummary(key=key, runs=count, lowest=written(nan_if_null(low)), highest=written(nan_if_null(high)))
            for key, count, low, high in unit.connection.execute(metrics)
        ],
    )


@EXPERIMENT.view("best", query=BestQuery, result=Run)
def get_experiment_best(unit: Unit, experiment: Experiment, query: BestQuery) -> Run:
    """Returns the run with the highest or lowest latest value of a metric. The oldest of equal runs is the best."""
    if not query.metric:
        raise InvalidArgument("Name the metric: add ?metric= to the address.")
    value = RUN_METRIC.c.value
    select = (
        sa.select(TABLE)
        .join(RUN_METRIC, RUN_METRIC.c.run_id == TABLE.c.id)
        .where(_inside(unit, experiment), RUN_METRIC.c.key == query.metric, value.is_not(None))
        .order_by(value.desc() if query.goal == "max" else value.asc(), TABLE.c.started_at, TABLE.c.id)
    )
    row = unit.connection.execute(select.limit(1)).first()
    if row is None:
        raise NotFound(f"No run of {experiment.name} has a value of the metric {query.metric!r}.")
    return RUN.item(unit, row)


def _inside(unit: Unit, experiment: Experiment) -> sa.ColumnElement[bool]:
    return sa.and_(TABLE.c.experiment_id == experiment.id, RUN.visible(unit), RUN.present())
