"""The table of evaluation runs. Evaluations are resources, and the results of runs are tables of the lakehouse."""

from __future__ import annotations

import sqlalchemy as sa

from api.kernel.tables import project_rows
from core.db import METADATA, UtcDateTime

EVALUATION_RUN = sa.Table(
    "evaluation_run",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("organization_id", sa.String(64), nullable=False),
    sa.Column("project_id", sa.String(64), nullable=False, index=True),
    sa.Column("evaluation_id", sa.String(64), nullable=False),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Column("model_version_id", sa.String(64), nullable=False),
    sa.Column("dataset", sa.String(200), nullable=False),
    sa.Column("dataset_version", sa.String(128), nullable=False),
    sa.Column("results", sa.String(200), nullable=False),
    sa.Column("results_version", sa.String(128), nullable=False),
    sa.Column("rows", sa.BigInteger, nullable=False),
    sa.Column("source", sa.String(16), nullable=False),
    sa.Column("thresholds", sa.JSON, nullable=False),
    sa.Column("passed", sa.Boolean, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("created_by", sa.String(128), nullable=False),
    sa.Index("ix_evaluation_run_version", "model_version_id", "evaluation_id", "id"),
    info=project_rows("created_by"),
)
"""Runs. `generation` is that of the evaluation: a run of an earlier one does not count as a gate."""
