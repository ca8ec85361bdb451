"""Table of tags on items and on columns of assets. Tags themselves are resources."""

from __future__ import annotations

import sqlalchemy as sa

from api.kernel.tables import project_rows
from core.db import METADATA, UtcDateTime

TAG_ASSIGNMENT = sa.Table(
    "tag_assignment",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("organization_id", sa.String(64), nullable=False),
    sa.Column("project_id", sa.String(64), nullable=False, index=True),
    sa.Column("target", sa.String(200), nullable=False),
    sa.Column("column_name", sa.String(256), nullable=False),
    sa.Column("tag_id", sa.String(64), nullable=False),
    sa.Column("tag", sa.String(64), nullable=False),
    sa.Column("value", sa.String(64), nullable=False),
    sa.Column("origin", sa.String(16), nullable=False),
    sa.Column("reason", sa.String(2000), nullable=False),
    sa.Column("assigned_at", UtcDateTime, nullable=False),
    sa.Column("assigned_by", sa.String(128), nullable=False),
    sa.Column("ended_at", UtcDateTime),
    sa.Column("ended_by", sa.String(128)),
    sa.Index("ix_tag_assignment_target", "organization_id", "target"),
    sa.Index("ix_tag_assignment_tag", "tag_id", "ended_at"),
    info=project_rows("assigned_by", "ended_by"),
)
"""Stated tags, and statements that a tag is not inherited. Inherited tags follow from lineage and are not stored.

`column_name` is empty for the whole item, and `value` for a tag without values. Rows stay when they end.
"""

sa.Index(
    "uq_tag_assignment",
    *(TAG_ASSIGNMENT.c[name] for name in ("target", "column_name", "tag_id", "value", "origin")),
    unique=True,
    sqlite_where=TAG_ASSIGNMENT.c.ended_at.is_(None),
    postgresql_where=TAG_ASSIGNMENT.c.ended_at.is_(None),
)
