"""Metrics of logged models, by the dataset that they were measured on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

import sqlalchemy as sa
from pydantic import Field

from api.kernel.kinds.table_kind import Row
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Query, Request
from api.kernel.permissions.graph import visible_assets
from api.services.ai_catalog.kinds.logged_model import LOGGED_MODEL
from api.services.ai_catalog.kinds.run import RUN, RunSource
from api.services.ai_catalog.logic.lineage_rows import chunks
from api.services.ai_catalog.logic.metric_values import (
    MetricValue,
    Milliseconds,
    Step,
    from_bits,
    time_of,
    written,
)
from api.services.ai_catalog.logic.model_metrics import add_model_metrics, latest_metrics
from api.services.ai_catalog.logic.run_rows import Key
from api.services.ai_catalog.run_tables import RUN as RUNS
from api.services.ai_catalog.run_tables import RUN_INPUT
from core.errors import Conflict, InvalidPayload


class ModelMetric(Request):
    """A value of a metric of a model."""

    key: Key
    """Name of the metric."""

    value: MetricValue
    """The value."""

    step: Step = 0
    """Step of the training."""

    at_ms: Milliseconds | None = None
    """Time in milliseconds since 1970. Defaults to now."""

    dataset_name: Annotated[str, Field(max_length=500)] = ""
    """Name of the dataset that it was measured on, as the run logged it. Empty if it is unknown."""

    dataset_digest: Annotated[str, Field(max_length=64)] = ""
    """Digest of the dataset, as the run logged it."""


class ModelMetrics(Request):
    """Values of metrics of a model. All are stored, or none. The same request again adds nothing."""

    metrics: Annotated[list[ModelMetric], Field(min_length=1, max_length=1000)]
    """The values."""

    run: Annotated[str, Field(max_length=64)] = ""
    """Id of the run that measured them."""


class LoggedMetrics(Model):
    """The values that were added."""

    points: int
    """Number of values that were not logged before."""


class MeasuredMetric(Model):
    """The latest value of a metric on a dataset."""

    key: str
    """Name of the metric."""

    value: MetricValue
    """The value."""

    step: int
    """Step."""

    at: datetime
    """Time that the client reported."""

    dataset_name: str
    """Name of the dataset. Empty if it is unknown."""

    dataset_digest: str
    """Digest of the dataset. Empty if it is unknown."""

    asset: str | None
    """Id of the asset that the dataset is. Null for other data, and for assets that the caller can't see."""

    version: str | None
    """Data version of the asset. Null if it is unknown."""

    run_id: str | None
    """Id of the run that measured it. Null if it is unknown."""


class MeasuredMetrics(Model):
    """Metrics of a model."""

    items: list[MeasuredMetric]
    """The latest value of each metric on each dataset, by name."""


@LOGGED_MODEL.command("log-metrics", request=ModelMetrics, result=LoggedMetrics, past="metrics_logged")
def log_logged_model_metrics(unit: Unit, model: Row, request: ModelMetrics) -> LoggedMetrics:
    """Logs values of metrics of a model, each with the dataset that it was measured on."""
    if request.run and RUN.row(unit, request.run).project_id != model.project_id:
        fault = {"pointer": "/run", "detail": "is in another project"}
        raise InvalidPayload("The run must be in the project of the model.", errors=[fault])
    return LoggedMetrics(points=log_metrics(unit, model, request))


def log_metrics(unit: Unit, model: Row, request: ModelMetrics) -> int:
    """Stores values of metrics of a model that the caller may change. Returns the number of new ones."""
    trained = sa.select(RUNS.c.id).where(RUNS.c.id == model.run_id, RUNS.c.source == RunSource.PLATFORM.value)
    if not request.run and unit.connection.execute(trained).first():
        raise Conflict(f"The platform trained the model {model.id}. Name the run that measured the metrics.")
    now = int(unit.now.timestamp() * 1000)
    points = [
        {**one.model_dump(), "model_id": model.id, "run_id": request.run or None}
        | {"at_ms": now if one.at_ms is None else one.at_ms}
        for one in request.metrics
    ]
    return add_model_metrics(unit.connection, points)


@LOGGED_MODEL.view("metrics", query=Query, result=MeasuredMetrics)
def get_logged_model_metrics(unit: Unit, model: Row, query: Query) -> MeasuredMetrics:
    """Returns the latest value of each metric of a model on each dataset, with the exact version of the dataset."""
    return MeasuredMetrics(items=measured(unit, [model.id])[model.id])


def measured(unit: Unit, models: Sequence[str]) -> dict[str, list[MeasuredMetric]]:
    """Returns the latest metrics of models, by model. Datasets that the caller can't see have no name."""
    rows = latest_metrics(unit.connection, models)
    runs = {row.run_id for some in rows.values() for row in some if row.run_id}
    inputs: dict[tuple[str, str, str], sa.Row[Any]] = {}
    for some in chunks(sorted(runs)):
        for one in unit.connection.execute(sa.select(RUN_INPUT).where(RUN_INPUT.c.run_id.in_(some))):
            inputs[one.run_id, one.name, one.digest] = one
    is_visible = visible_assets(unit.platform, unit.principal.access)

    def item(row: Row) -> MeasuredMetric:
        source = inputs.get((row.run_id, row.dataset_name, row.dataset_digest))
        asset = source.asset if source is not None else None
        hidden = not is_visible(asset or row.dataset_name)
        return MeasuredMetric(
            key=row.key,
            value=written(from_bits(row.bits)),
            step=row.step,
            at=time_of(row.at_ms),
            dataset_name="" if hidden else row.dataset_name,
            dataset_digest="" if hidden else row.dataset_digest,
            asset=None if hidden else asset,
            version=None if hidden or source is None else source.version,
            run_id=row.run_id,
        )

    return {model: [item(row) for row in some] for model, some in rows.items()}
