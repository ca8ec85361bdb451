"""Logging to runs: metrics, parameters, and tags, all or none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import sqlalchemy as sa
from pydantic import Field
from sqlalchemy.engine import Connection

from api.kernel.kinds.table_kind import Row
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Request
from api.services.ai_catalog.kinds.run import RUN, require_external
from api.services.ai_catalog.logic.metric_points import add_points
from api.services.ai_catalog.logic.metric_values import MetricValue, Milliseconds, Step
from api.services.ai_catalog.logic.run_rows import Key, adding_new, put
from api.services.ai_catalog.run_tables import RUN_PARAM, RUN_TAG
from core.errors import Conflict

_ADD_PARAMS = adding_new(RUN_PARAM)


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
    """Number of values that were stored.

    A value that was logged before and moved to the lakehouse counts again. The history still has it once.
    """

    params: int
    """Number of parameters that were not logged before."""


@RUN.command("log-batch", request=RunBatch, result=Logged, past="logged")
def log_run_batch(unit: Unit, run: Row, request: RunBatch) -> Logged:
    """Logs metrics, parameters, and tags of a run, all or none. A repeated request adds nothing."""
    if request.metrics or request.params:
        require_external(run)
    connection = unit.connection
    now = int(unit.now.timestamp() * 1000)
    points = [
        {"run_id": run.id, "key": one.key, "step": one.step, "at_ms": now if one.at_ms is None else one.at_ms}
        | {"value": float(one.value)}
        for one in request.metrics
    ]
    added = Logged(points=add_points(connection, points), params=_add_params(connection, run.id, request.params))
    put(connection, RUN_TAG, run.id, request.tags)
    unit.call.note(metrics=len(request.metrics), params=len(request.params), tags=len(request.tags))
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
