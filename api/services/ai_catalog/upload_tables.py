"""Tables of uploads in parts."""

from __future__ import annotations

import sqlalchemy as sa

from api.kernel.tables import project_rows
from core.db import METADATA, UtcDateTime

ARTIFACT_UPLOAD = sa.Table(
    "artifact_upload",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("organization_id", sa.String(64), nullable=False),
    sa.Column("project_id", sa.String(64), nullable=False, index=True),
    sa.Column("parent_id", sa.String(64), nullable=False, index=True),
    sa.Column("path", sa.String(1000), nullable=False),
    sa.Column("size", sa.BigInteger),
    sa.Column("digest", sa.String(64)),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("artifact_id", sa.String(64)),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("created_by", sa.String(128), nullable=False),
    sa.Column("expires_at", UtcDateTime, nullable=False, index=True),
    info=project_rows("created_by"),
)
"""Uploads. `size` and `digest` are what the client expects of the whole file."""

ARTIFACT_UPLOAD_PART = sa.Table(
    "artifact_upload_part",
    METADATA,
    sa.Column("upload_id", sa.ForeignKey("artifact_upload.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
)
"""Parts that arrived completely, with the digest of their content."""
