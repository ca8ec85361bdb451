"""Tables of connections."""

from __future__ import annotations

import sqlalchemy as sa

from core.db import METADATA, UtcDateTime

CONNECTION_TEST = sa.Table(
    "connection_test",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("organization_id", sa.String(64), nullable=False),
    sa.Column("project_id", sa.String(64), nullable=False),
    sa.Column("connection_id", sa.String(64), nullable=False),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("by", sa.String(128), nullable=False),
    sa.Column("passed", sa.Boolean, nullable=False),
    # `StepResult`s as JSON.
    sa.Column("steps", sa.JSON, nullable=False),
    sa.Index("ix_connection_test_connection_id", "connection_id", "id"),
)
"""Outcomes of tests."""
