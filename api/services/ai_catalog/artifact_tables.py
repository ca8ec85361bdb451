"""The table of artifacts. Their content is in the blobs of the lakehouse."""

from __future__ import annotations

import sqlalchemy as sa

from api.kernel.tables import project_rows
from core.db import METADATA, UtcDateTime

ARTIFACT = sa.Table(
    "artifact",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("organization_id", sa.String(64), nullable=False),
    sa.Column("project_id", sa.String(64), nullable=False),
    sa.Column("parent_id", sa.String(64), nullable=False),
    sa.Column("path", sa.String(1000), nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("created_by", sa.String(128), nullable=False),
    sa.Index("uq_artifact_path", "parent_id", "path", unique=True),
    sa.Index("ix_artifact_digest", "project_id", "digest"),
    info=project_rows("created_by"),
)
"""Files of runs. Several artifacts of a project can have the same content."""
