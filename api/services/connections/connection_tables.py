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

SCHEMA_SNAPSHOT = sa.Table(
    "schema_snapshot",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("organization_id", sa.String(64), nullable=False),
    sa.Column("project_id", sa.String(64), nullable=False),
    sa.Column("connection_id", sa.String(64), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    # Where the next page begins. Empty before the first and after the last one.
    sa.Column("position", sa.Text, nullable=False),
    sa.Column("tables", sa.Integer, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("created_by", sa.String(128), nullable=False),
    sa.Column("completed_at", UtcDateTime),
    sa.Column("accepted_at", UtcDateTime),
    sa.Column("accepted_by", sa.String(128)),
    sa.Index("ix_schema_snapshot_connection_id", "connection_id", "id"),
)
"""What databases had at some time."""

SNAPSHOT_TABLE = sa.Table(
    "schema_snapshot_table",
    METADATA,
    sa.Column("snapshot_id", sa.String(64), primary_key=True),
    sa.Column("schema_name", sa.String(255), primary_key=True),
    sa.Column("table_name", sa.String(255), primary_key=True),
    sa.Column("organization_id", sa.String(64), nullable=False),
    sa.Column("project_id", sa.String(64), nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    # Lists of `name`, `type`, and `nullable`.
    sa.Column("columns", sa.JSON, nullable=False),
    sa.Column("key", sa.JSON, nullable=False),
    # What changes with kind, columns, or key.
    sa.Column("digest", sa.String(64), nullable=False),
    # Names of schema, table, and columns in lowercase, one a line, for searches.
    sa.Column("words", sa.Text, nullable=False),
)
"""Tables of snapshots."""

HEALTH_MONITOR = sa.Table(
    "health_monitor",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("organization_id", sa.String(64), nullable=False),
    sa.Column("project_id", sa.String(64), nullable=False),
    sa.Column("connection_id", sa.String(64), nullable=False, unique=True),
    sa.Column("every_minutes", sa.Integer, nullable=False),
    sa.Column("failures", sa.Integer, nullable=False),
    # What the last checks found. What callers see is UNKNOWN when they are too old.
    sa.Column("found", sa.String(16), nullable=False),
    # The last state that an event told.
    sa.Column("told", sa.String(16), nullable=False),
    sa.Column("since", UtcDateTime),
    sa.Column("checked_at", UtcDateTime),
    sa.Column("next_at", UtcDateTime, nullable=False, index=True),
    sa.Column("failed_checks", sa.Integer, nullable=False),
    sa.Column("reason", sa.String(64), nullable=False),
    sa.Column("muted_until", UtcDateTime),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("created_by", sa.String(128), nullable=False),
    # The principal with whose right the connection is used.
    sa.Column("created_by_id", sa.String(64), nullable=False),
)
"""What tests a connection regularly, and what it found."""

HEALTH_CHECK = sa.Table(
    "health_check",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("organization_id", sa.String(64), nullable=False),
    sa.Column("project_id", sa.String(64), nullable=False),
    sa.Column("monitor_id", sa.String(64), nullable=False),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("passed", sa.Boolean, nullable=False),
    sa.Column("reason", sa.String(64), nullable=False),
    # `StepResult`s as JSON.
    sa.Column("steps", sa.JSON, nullable=False),
    sa.Index("ix_health_check_monitor_id", "monitor_id", "at"),
)
"""Results of monitors."""
