"""Tables of shares: their objects, their recipients, tokens, and reads."""

from __future__ import annotations

import sqlalchemy as sa

from api.kernel.tables import organization_rows, project_rows
from core.db import METADATA, UtcDateTime

SHARE_OBJECT = sa.Table(
    "share_object",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("organization_id", sa.String(64), nullable=False),
    sa.Column("project_id", sa.String(64), nullable=False, index=True),
    sa.Column("share_id", sa.String(64), nullable=False),
    sa.Column("schema_name", sa.String(64), nullable=False),
    sa.Column("table_name", sa.String(64), nullable=False),
    sa.Column("asset", sa.String(200), nullable=False, index=True),
    sa.Column("table_id", sa.String(64), nullable=False),
    sa.Column("version", sa.BigInteger),
    sa.Column("history_from", sa.BigInteger),
    sa.Column("partition_filter", sa.String(2000), nullable=False),
    sa.Column("comment", sa.String(2000), nullable=False),
    sa.Column("shared_by", sa.String(128), nullable=False),
    sa.Column("shared_by_id", sa.String(64), nullable=False),
    sa.Column("shared_at", UtcDateTime, nullable=False),
    sa.Index("uq_share_object", "share_id", "schema_name", "table_name", unique=True),
    info=project_rows("shared_by"),
)
"""Tables in shares. A principal who loses the right to share a table no longer shares it."""

SHARE_GRANT = sa.Table(
    "share_grant",
    METADATA,
    sa.Column("share_id", sa.String(64), primary_key=True),
    sa.Column("recipient_id", sa.String(64), primary_key=True, index=True),
    sa.Column("organization_id", sa.String(64), nullable=False),
    sa.Column("project_id", sa.String(64), nullable=False, index=True),
    sa.Column("granted_at", UtcDateTime, nullable=False),
    sa.Column("granted_by", sa.String(128), nullable=False),
    info=project_rows("granted_by"),
)
"""Recipients of shares. A grant has no effect if share and recipient belong to different organizations."""

SHARE_READ = sa.Table(
    "share_read",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("organization_id", sa.String(64), nullable=False),
    sa.Column("project_id", sa.String(64), nullable=False, index=True),
    sa.Column("share_id", sa.String(64), nullable=False),
    sa.Column("recipient_id", sa.String(64), nullable=False),
    sa.Column("recipient", sa.String(128), nullable=False),
    sa.Column("asset", sa.String(200), nullable=False),
    sa.Column("operation", sa.String(16), nullable=False),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("files", sa.BigInteger, nullable=False),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("client", sa.String(64), nullable=False),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Index("ix_share_read_share", "share_id", "at"),
    sa.Index("ix_share_read_recipient", "recipient_id", "at"),
    info=project_rows("recipient"),
)
"""Queries of recipients: table, version, and the files that they were given links to."""

RECIPIENT_TOKEN = sa.Table(
    "recipient_token",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("organization_id", sa.String(64), nullable=False),
    sa.Column("recipient_id", sa.String(64), nullable=False, index=True),
    # SHA-256 of 256 random bits: of the activation link until it is used, and of the token after that.
    sa.Column("link_digest", sa.String(64), unique=True),
    sa.Column("link_expires_at", UtcDateTime, nullable=False),
    sa.Column("digest", sa.String(64), unique=True),
    sa.Column("days", sa.Integer, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("created_by", sa.String(128), nullable=False),
    sa.Column("activated_at", UtcDateTime),
    sa.Column("expires_at", UtcDateTime),
    sa.Column("revoked_at", UtcDateTime),
    info=organization_rows(),
)
"""Bearer tokens of recipients, each with the one-time link that activates it."""
