"""Tables of runs: parameters, tags, metrics, and inputs of each run. Experiments are resources."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from api.kernel.tables import project_rows
from core.db import METADATA, UtcDateTime

RUN = sa.Table(
    "run",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("organization_id", sa.String(64), nullable=False),
    sa.Column("project_id", sa.String(64), nullable=False, index=True),
    sa.Column("experiment_id", sa.String(64), nullable=False),
    sa.Column("name", sa.String(500), nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("source", sa.String(16), nullable=False),
    sa.Column("started_at", UtcDateTime, nullable=False),
    sa.Column("ended_at", UtcDateTime),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("created_by", sa.String(128), nullable=False),
    sa.Column("deleted_at", UtcDateTime),
    # Whether the lakehouse may have values of its metrics.
    sa.Column("has_history", sa.Boolean, nullable=False, server_default=sa.false(), default=False),
    sa.Index("ix_run_experiment", "experiment_id", "started_at", "id"),
    info=project_rows("created_by"),
)
"""Runs. A deleted experiment hides its runs."""


def _of_run(*columns: sa.Column[object], name: str, **options: Any) -> sa.Table:
    run: sa.Column[object] = sa.Column("run_id", sa.ForeignKey("run.id", ondelete="CASCADE"), primary_key=True)
    return sa.Table(name, METADATA, run, *columns, **options)


RUN_PARAM = _of_run(
    sa.Column("key", sa.String(250), primary_key=True), sa.Column("value", sa.Text, nullable=False), name="run_param"
)
"""Parameters. A parameter never changes."""

RUN_TAG = _of_run(
    sa.Column("key", sa.String(250), primary_key=True), sa.Column("value", sa.Text, nullable=False), name="run_tag"
)

RUN_METRIC = _of_run(
    sa.Column("key", sa.String(250), primary_key=True),
    # Null stands for NaN, which SQLite cannot store and which compares with nothing.
    sa.Column("value", sa.Double),
    sa.Column("step", sa.BigInteger, nullable=False),
    sa.Column("at_ms", sa.BigInteger, nullable=False),
    name="run_metric",
)
"""The latest value of each metric: the one with the highest step, then time, then value."""

METRIC_POINT = _of_run(
    # The order of the key makes the values of a request neighbors, so that a commit writes few pages.
    sa.Column("step", sa.BigInteger, primary_key=True),
    sa.Column("at_ms", sa.BigInteger, primary_key=True),
    sa.Column("key", sa.String(250), primary_key=True),
    # The 64 bits of the value: exact for NaN and infinities, and part of the key, so that a repeated request adds
    # nothing.
    sa.Column("bits", sa.BigInteger, primary_key=True),
    name="metric_point",
    sqlite_with_rowid=False,
)
"""Logged values of metrics that wait to move to the lakehouse."""

METRIC_HISTORY = sa.Table(
    "metric_history",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("moved_at", UtcDateTime, nullable=False),
)
"""Projects, by their ids, with a table of logged values in the lakehouse, and the last time that values moved to it.

A row stays when its project is erased, so that its table is found and deleted.
"""

RUN_INPUT = _of_run(
    sa.Column("name", sa.String(500), primary_key=True),
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("source_type", sa.String(64), nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("schema", sa.Text),
    sa.Column("profile", sa.Text),
    sa.Column("tags", sa.JSON, nullable=False),
    sa.Column("asset", sa.String(200), index=True),
    sa.Column("version", sa.String(128)),
    name="run_input",
)
"""Datasets that a run read. Those of the platform name the exact version."""
