"""The table of the versions of scorers."""

from __future__ import annotations

import sqlalchemy as sa

from api.kernel.tables import project_rows
from core.db import METADATA, UtcDateTime

SCORER = sa.Table(
    "scorer",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("organization_id", sa.String(64), nullable=False),
    sa.Column("project_id", sa.String(64), nullable=False, index=True),
    sa.Column("experiment_id", sa.String(64), nullable=False),
    sa.Column("name", sa.String(250), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("definition", sa.Text, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("created_by", sa.String(128), nullable=False),
    sa.Column("deleted_at", UtcDateTime),
    sa.Index("uq_scorer_version", "experiment_id", "name", "version", unique=True),
    info=project_rows("created_by"),
)
"""Versions of scorers. Their definition never changes, and numbers are never used again."""
