"""The values of runs in their tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import sqlalchemy as sa
from pydantic import Field
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from api.services.ai_catalog.model_tables import RUN_OUTPUT
from api.services.ai_catalog.run_tables import RUN_INPUT, RUN_METRIC, RUN_PARAM, RUN_TAG
from core.db import Prepared, insert

Row = sa.Row[Any]

Key = Annotated[str, Field(min_length=1, max_length=250, pattern=r"^[^\x00-\x1f\x7f]+$")]
"""Name of a metric, parameter, or tag: up to 250 characters, without control characters."""


def put(connection: Connection, table: sa.Table, run: str, values: Mapping[str, str]) -> None:
    """Sets keys of a table with the columns `run_id`, `key`, and `value`."""
    if values:
        rows = insert(connection, table).on_conflict_do_update(
            index_elements=["run_id", "key"], set_={"value": sa.literal_column("excluded.value")}
        )
        connection.execute(rows, [{"run_id": run, "key": key, "value": value} for key, value in values.items()])


class RunValues:
    """The values of several runs, read with one statement for each table."""

    def __init__(self, connection: Connection, runs: Sequence[str]) -> None:
        self.params = _texts(connection, RUN_PARAM, runs)
        self.tags = _texts(connection, RUN_TAG, runs)
        self.metrics = _by_run(connection, RUN_METRIC, runs, lambda row: (row.key, row))
        select = sa.select(RUN_OUTPUT).where(RUN_OUTPUT.c.run_id.in_(runs)).order_by(RUN_OUTPUT.c.model_id)
        self.outputs: dict[str, list[dict[str, Any]]] = {run: [] for run in runs}
        for row in connection.execute(select).all():
            self.outputs[row.run_id].append({"model_id": row.model_id, "step": row.step})
        self.inputs = _by_run(connection, RUN_INPUT, runs, lambda row: ((row.name, row.digest), row))


def _texts(connection: Connection, table: sa.Table, runs: Sequence[str]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {run: {} for run in runs}
    select = sa.select(table.c.run_id, table.c.key, table.c.value).where(table.c.run_id.in_(runs))
    for run, key, value in connection.execute(select.order_by(table.c.run_id, table.c.key)).all():
        found[run][key] = value
    return found


def _by_run(
    connection: Connection, table: sa.Table, runs: Sequence[str], item: Callable[[Row], tuple[Any, Any]]
) -> dict[str, dict[Any, Any]]:
    found: dict[str, dict[Any, Any]] = {run: {} for run in runs}
    select = sa.select(table).where(table.c.run_id.in_(runs)).order_by(*table.primary_key)
    for row in connection.execute(select).all():  # an iteration would fetch each row by itself
        key, value = item(row)
        found[row.run_id][key] = value
    return found


def adding_new(table: sa.Table) -> dict[str, Prepared]:
    """Returns the insert that skips known rows, for each database."""
    return {
        "sqlite": Prepared(sqlite.insert(table).on_conflict_do_nothing()),
        "postgresql": Prepared(postgresql.insert(table).on_conflict_do_nothing()),
    }
