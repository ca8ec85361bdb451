"""Logging to runs: metrics, parameters, tags, and inputs; and the history of a metric."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

import sqlalchemy as sa
from pydantic import Field
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from api.kernel.kinds.context import Context
from api.kernel.kinds.table_kind import Row
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Query, Request
from api.services.ai_catalog.kinds.run import RUN, put
from api.services.ai_catalog.logic.metric_values import (
    MetricValue,
    Milliseconds,
    Step,
    bits,
    from_bits,
    null_if_nan,
    time_of,
    written,
)
from api.services.ai_catalog.logic.run_inputs import pinned
from api.services.ai_catalog.run_tables import METRIC_POINT, RUN_INPUT, RUN_METRIC, RUN_PARAM, RUN_TAG
from core.db import Prepared, insert
from core.errors import Conflict, InvalidArgument
from core.numbers import is_storable

_HUGE = sys.float_info.max
"""Stands for NaN in comparisons: any other value replaces it."""


def _adding_new(table: sa.Table) -> dict[str, Prepared]:
    """Returns the insert that skips known rows, for each database."""
    return {
        "sqlite": Prepared(sqlite.insert(table).on_conflict_do_nothing()),
        "postgresql": Prepared(postgresql.insert(table).on_conflict_do_nothing()),
    }


_ADD_POINTS = _adding_new(METRIC_POINT)
_ADD_PARAMS = _adding_new(RUN_PARAM)
_ADD_INPUTS = _adding_new(RUN_INPUT)

Key = Annotated[str, Field(min_length=1, max_length=250, pattern=r"^[^\x00-\x1f\x7f]+$")]
"""Name of a metric, parameter, or tag: up to 250 characters, without control characters."""


class Metric(Request):
    """A value of a metric."""

    key: Key
    """Name of the metric."""

    value: MetricValue
    """The value."""

    step: Step = 0
    """Step of the training."""

    at_ms: Milliseconds | None = None
    """Time in milliseconds since 1970. Defaults to now."""


class Param(Request):
    """A parameter of a run."""

    key: Key
    """Name of the parameter."""

    value: Annotated[str, Field(max_length=6000)]
    """The value."""


class RunBatch(Request):
    """Metrics, parameters, and tags of a run. All are stored, or none. The same request again adds nothing."""

    metrics: Annotated[list[Metric], Field(max_length=10_000)] = []
    """Values of metrics."""

    params: Annotated[list[Param], Field(max_length=1000)] = []
    """Parameters. A parameter that has another value already is refused."""

    tags: Annotated[dict[Key, Annotated[str, Field(max_length=8000)]], Field(max_length=1000)] = {}
    """Tags to set."""


class Logged(Model):
    """What a batch added."""

    points: int
    """Number of values that were not logged before."""

    params: int
    """Number of parameters that were not logged before."""


class DatasetInput(Request):
    """A dataset that a run read."""

    name: Annotated[str, Field(min_length=1, max_length=500)]
    """Name of the dataset. The id of an asset links the run to it."""

    digest: Annotated[str, Field(min_length=1, max_length=64)]
    """Digest of its content, as the client computed it."""

    version: Annotated[str, Field(max_length=128)] = ""
    """Version of the asset that was read: a table version or a data version."""

    source_type: Annotated[str, Field(max_length=64)] = "headwater"
    """Type of the source."""

    source: Annotated[str, Field(max_length=65_535)] = ""
    """The source, in the form of its type."""

    schema_: Annotated[str, Field(max_length=1_048_576, alias="schema")] = ""
    """Schema, as JSON."""

    profile: Annotated[str, Field(max_length=16_777_215)] = ""
    """Summary of the content, as JSON."""

    tags: dict[Key, Annotated[str, Field(max_length=500)]] = {}
    """Tags, such as `mlflow.data.context`."""


class RunInputs(Request):
    """Datasets that a run read."""

    inputs: Annotated[list[DatasetInput], Field(min_length=1, max_length=1000)]
    """The datasets."""


class LoggedInputs(Model):
    """The datasets that were added."""

    inputs: int
    """Number of datasets that were not logged before."""


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


@RUN.command("log-batch", request=RunBatch, result=Logged, past="logged")
def log_run_batch(unit: Unit, run: Row, request: RunBatch) -> Logged:
    """Logs metrics, parameters, and tags of a run, all or none. A repeated request adds nothing."""
    connection = unit.connection
    now = int(unit.now.timestamp() * 1000)
    points = [
        {"run_id": run.id, "key": one.key, "step": one.step, "at_ms": now if one.at_ms is None else one.at_ms}
        | {"value": float(one.value)}
        for one in request.metrics
    ]
    added = Logged(points=_add_points(connection, points), params=_add_params(connection, run.id, request.params))
    put(connection, RUN_TAG, run.id, request.tags)
    unit.call.note(metrics=len(request.metrics), params=len(request.params), tags=len(request.tags))
    return added


@RUN.action("log-inputs", request=RunInputs, result=LoggedInputs, past="inputs_logged")
async def log_run_inputs(ctx: Context, run: str, request: RunInputs) -> LoggedInputs:
    """Logs the datasets that a run read. A dataset of the platform is linked to the exact version that was read."""
    rows = await ctx.compute(_resolved, ctx, request.inputs)
    return await ctx.write(lambda unit: _add_inputs(unit, RUN.row(unit, run, "log-inputs"), rows))


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


def _add_points(connection: Connection, points: Sequence[dict[str, Any]]) -> int:
    if not points:
        return 0
    stored = [{**point, "bits": bits(point["value"])} for point in points]
    added = _ADD_POINTS[connection.dialect.name].run(connection, stored)
    latest: dict[str, dict[str, Any]] = {}
    for point in points:
        before = latest.get(point["key"])
        if before is None or _order(point) >= _order(before):
            latest[point["key"]] = point
    new = insert(connection, RUN_METRIC)
    is_later = sa.tuple_(new.excluded.step, new.excluded.at_ms, sa.func.coalesce(new.excluded.value, -_HUGE))
    is_stored = sa.tuple_(RUN_METRIC.c.step, RUN_METRIC.c.at_ms, sa.func.coalesce(RUN_METRIC.c.value, -_HUGE))
    replaced = {name: new.excluded[name] for name in ("value", "step", "at_ms")}
    connection.execute(
        new.on_conflict_do_update(index_elements=["run_id", "key"], set_=replaced, where=is_later > is_stored),
        [{**point, "value": null_if_nan(point["value"])} for point in latest.values()],
    )
    return added


def _add_params(connection: Connection, run: str, params: Sequence[Param]) -> int:
    if not params:
        return 0
    rows = [{"run_id": run, "key": param.key, "value": param.value} for param in params]
    added = _ADD_PARAMS[connection.dialect.name].run(connection, rows)
    columns = RUN_PARAM.c
    keys = [param.key for param in params]
    select = sa.select(columns.key, columns.value).where(columns.run_id == run, columns.key.in_(keys))
    stored = {row.key: row.value for row in connection.execute(select)}
    for n, param in enumerate(params):
        if stored[param.key] != param.value:
            raise Conflict(
                f"The parameter {param.key!r} has the value {stored[param.key][:100]!r} already. Parameters can't "
                "change. Start another run.",
                errors=[{"pointer": f"/params/{n}/value", "detail": "differs from the stored value"}],
            )
    return added


def _resolved(ctx: Context, inputs: Sequence[DatasetInput]) -> list[dict[str, Any]]:
    rows = []
    for n, one in enumerate(inputs):
        asset, version = pinned(ctx, one.name, one.source, one.version, f"/inputs/{n}/version")
        values = one.model_dump(exclude={"version", "schema_"})
        rows.append(values | {"schema": one.schema_, "asset": asset, "version": version})
    return rows


def _add_inputs(unit: Unit, run: Row, rows: Sequence[dict[str, Any]]) -> LoggedInputs:
    added = _ADD_INPUTS[unit.connection.dialect.name].run(unit.connection, [row | {"run_id": run.id} for row in rows])
    unit.call.note(inputs=[row["asset"] or row["name"][:200] for row in rows[:100]])
    return LoggedInputs(inputs=added)


def _order(point: dict[str, Any]) -> tuple[int, int, float]:
    value = point["value"]
    return point["step"], point["at_ms"], -math.inf if math.isnan(value) else value
