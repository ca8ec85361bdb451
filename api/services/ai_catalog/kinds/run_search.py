"""Searches and comparisons of runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import sqlalchemy as sa
from pydantic import Field

from api.kernel.kinds.context import Context
from api.kernel.kinds.table_kind import Row
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Page, Request
from api.services.ai_catalog.kinds.experiment import ExperimentReference
from api.services.ai_catalog.kinds.run import RUN, Run, RunInput
from api.services.ai_catalog.logic.metric_values import MetricValue
from api.services.ai_catalog.logic.run_search import condition, order
from api.services.ai_catalog.logic.sorted_pages import page_of
from api.services.ai_catalog.run_tables import RUN as TABLE

Id = Annotated[str, Field(max_length=64)]


class RunSearch(Request):
    """Which runs to return, in the language of MLflow's `search_runs`."""

    experiments: Annotated[list[ExperimentReference], Field(max_length=1000)] = []
    """Ids of experiments. By default all that the caller can see."""

    filter: Annotated[str, Field(max_length=6000)] = ""
    """Filter, such as `metrics.rmse < 1 AND params.model = 'tree'`."""

    order_by: Annotated[list[Annotated[str, Field(max_length=500)]], Field(max_length=10)] = []
    """Keys such as `metrics.rmse DESC`. The newest runs come first by default."""

    deleted: bool = False
    """Whether to return deleted runs instead of others."""

    page_size: Annotated[int, Field(ge=1, le=1000)] = 100
    """Maximum number of runs on the page."""

    page_token: Annotated[str, Field(max_length=8000)] = ""
    """`next_page_token` of the previous page."""


class CompareRuns(Request):
    """Runs to compare."""

    runs: Annotated[list[Id], Field(min_length=2, max_length=100)]
    """Ids of the runs."""


class ComparedValue(Model):
    """A parameter or metric of several runs."""

    key: str
    """Name of the parameter or metric."""

    values: list[MetricValue | str | None]
    """Its value in each run, in the order of the request. Null in a run that doesn't have it."""

    differs: bool
    """Whether the runs have different values."""


class RunComparison(Model):
    """Parameters, metrics, and inputs of several runs, side by side."""

    runs: list[str]
    """Ids of the runs."""

    params: list[ComparedValue]
    """Parameters by name."""

    metrics: list[ComparedValue]
    """Latest values of metrics by name."""

    inputs: list[list[RunInput]]
    """Datasets that each run read."""


@RUN.collection_action("search", request=RunSearch, result=Page[Run], reads=True)
async def search_runs(ctx: Context, request: RunSearch) -> Page[Run]:
    """Searches runs by metrics, parameters, tags, and attributes, in the language of MLflow."""

    def read(unit: Unit) -> Page[Run]:
        rows, token = found_runs(unit, request, RUN.present(deleted=request.deleted))
        return Page[Run](items=list(RUN.items(unit, rows)), next_page_token=token)

    return await ctx.read(read)


@RUN.collection_action("compare", request=CompareRuns, result=RunComparison, reads=True)
async def compare_runs(ctx: Context, request: CompareRuns) -> RunComparison:
    """Compares parameters, metrics, and inputs of runs."""

    def read(unit: Unit) -> RunComparison:
        runs = RUN.items(unit, [RUN.row(unit, id) for id in request.runs])
        return RunComparison(
            runs=[run.id for run in runs],
            params=compared([run.params for run in runs]),
            metrics=compared([{key: metric.value for key, metric in run.metrics.items()} for run in runs]),
            inputs=[run.inputs for run in runs],
        )

    return await ctx.read(read)


def found_runs(unit: Unit, request: RunSearch, present: sa.ColumnElement[bool]) -> tuple[Sequence[Row], str | None]:
    """Returns one page of the runs that a search finds and the caller can see, and the token of the next page.

    Raises:
        InvalidArgument: the filter, the order, or the page token is not valid.
    """
    select = sa.select(TABLE).where(RUN.visible(unit), present, condition(request.filter, unit.connection.dialect.name))
    if request.experiments:
        select = select.where(TABLE.c.experiment_id.in_(request.experiments))
    return page_of(unit.connection, select, order(request.order_by), request.page_size, request.page_token)


def compared(values_of: Sequence[dict[str, Any]]) -> list[ComparedValue]:
    """Returns named values side by side, by name."""
    found = []
    for key in sorted({key for values in values_of for key in values}):
        values = [one.get(key) for one in values_of]
        found.append(ComparedValue(key=key, values=values, differs=any(value != values[0] for value in values)))
    return found
