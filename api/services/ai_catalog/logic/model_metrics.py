"""Metrics of logged models, by the dataset that they were measured on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.services.ai_catalog.logic.metric_values import bits
from api.services.ai_catalog.logic.run_rows import adding_new
from api.services.ai_catalog.model_tables import MODEL_METRIC

_ADD = adding_new(MODEL_METRIC)


def add_model_metrics(connection: Connection, points: Sequence[Mapping[str, Any]]) -> int:
    """Adds values of metrics. Returns the number of values that were not stored before.

    Args:
        connection: the transaction.
        points: values with `model_id`, `key`, `dataset_name`, `dataset_digest`, `run_id`, `step`, `at_ms`, and `value`.
    """
    if not points:
        return 0
    names = ("model_id", "key", "dataset_name", "dataset_digest", "run_id", "step", "at_ms")
    rows = [{name: point[name] for name in names} | {"bits": bits(float(point["value"]))} for point in points]
    return _ADD[connection.dialect.name].run(connection, rows)


def latest_metrics(connection: Connection, models: Iterable[str]) -> dict[str, list[sa.Row[Any]]]:
    """Returns the latest value of each metric on each dataset, by model. The latest has the highest step, then time."""
    ids = list(models)
    found: dict[str, list[sa.Row[Any]]] = {id: [] for id in ids}
    columns = MODEL_METRIC.c
    key = (columns.model_id, columns.key, columns.dataset_name, columns.dataset_digest)
    rank = sa.func.row_number().over(
        partition_by=key, order_by=(columns.step.desc(), columns.at_ms.desc(), columns.bits.desc())
    )
    for start in range(0, len(ids), 500):
        of_models = sa.select(MODEL_METRIC, rank.label("rank")).where(columns.model_id.in_(ids[start : start + 500]))
        ranked = of_models.subquery()
        select = sa.select(ranked).where(ranked.c.rank == 1)
        ordered = select.order_by(ranked.c.model_id, ranked.c.key, ranked.c.dataset_name, ranked.c.dataset_digest)
        for row in connection.execute(ordered):
            found[row.model_id].append(row)
    return found
