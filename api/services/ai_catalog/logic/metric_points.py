"""Logged values of metrics, and the latest value of each."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from api.services.ai_catalog.logic.metric_values import bits, null_if_nan
from api.services.ai_catalog.logic.run_rows import adding_new
from api.services.ai_catalog.run_tables import METRIC_POINT, RUN_METRIC
from core.db import Prepared

_LOWEST: sa.ColumnElement[float] = sa.literal_column(repr(-sys.float_info.max))
"""Stands for NaN in comparisons: any other value replaces it."""


def _arrays(table: sa.Table) -> postgresql.Insert:
    """Returns an insert of all rows with one statement: its parameters are one array for each column."""
    arrays = [sa.bindparam(column.name, type_=postgresql.ARRAY(column.type)) for column in table.c]
    rows = sa.func.unnest(*arrays).table_valued(*table.c.keys()).render_derived()
    return postgresql.insert(table).from_select(table.c.keys(), sa.select(rows))


def _keeping_latest(new: sqlite.Insert | postgresql.Insert) -> Prepared:
    is_later = sa.tuple_(new.excluded.step, new.excluded.at_ms, sa.func.coalesce(new.excluded.value, _LOWEST))
    is_stored = sa.tuple_(RUN_METRIC.c.step, RUN_METRIC.c.at_ms, sa.func.coalesce(RUN_METRIC.c.value, _LOWEST))
    replaced = {name: new.excluded[name] for name in ("value", "step", "at_ms")}
    return Prepared(
        new.on_conflict_do_update(index_elements=["run_id", "key"], set_=replaced, where=is_later > is_stored)
    )


_ADD_POINTS = {
    "sqlite": adding_new(METRIC_POINT)["sqlite"],
    "postgresql": Prepared(_arrays(METRIC_POINT).on_conflict_do_nothing()),
}
_KEEP_LATEST = {
    "sqlite": _keeping_latest(sqlite.insert(RUN_METRIC)),
    "postgresql": _keeping_latest(_arrays(RUN_METRIC)),
}


def add_points(connection: Connection, points: Sequence[dict[str, Any]]) -> int:
    """Adds values of metrics, and updates the latest ones. Returns the number of values that were not waiting.

    Args:
        connection: the transaction.
        points: values with `run_id`, `key`, `step`, `at_ms`, and `value`.
    """
    if not points:
        return 0
    stored = [{**point, "bits": bits(point["value"])} for point in points]
    added = _run(connection, _ADD_POINTS, METRIC_POINT, stored)
    latest: dict[str, dict[str, Any]] = {}
    for point in points:
        before = latest.get(point["key"])
        if before is None or _order(point) >= _order(before):
            latest[point["key"]] = point
    newest = [{**point, "value": null_if_nan(point["value"])} for point in latest.values()]
    _run(connection, _KEEP_LATEST, RUN_METRIC, newest)
    return added


def _run(
    connection: Connection, statements: Mapping[str, Prepared], table: sa.Table, rows: Sequence[dict[str, Any]]
) -> int:
    dialect = connection.dialect.name
    if dialect == "postgresql":
        rows = [{column.name: [row[column.name] for row in rows] for column in table.c}]
    return statements[dialect].run(connection, rows)


def _order(point: dict[str, Any]) -> tuple[int, int, float]:
    value = point["value"]
    return point["step"], point["at_ms"], -math.inf if math.isnan(value) else value
