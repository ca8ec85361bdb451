"""Tables of external locations and of the credentials that they vend."""

from __future__ import annotations

import sqlalchemy as sa

from api.kernel.tables import project_rows
from core.db import METADATA, UtcDateTime

EXTERNAL_LOCATION = sa.Table(
    "external_location",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("organization_id", sa.String(64), nullable=False),
    sa.Column("project_id", sa.String(64), nullable=False),
    sa.Column("name", sa.String(64), nullable=False),
    sa.Column("title", sa.String(1000), nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("url", sa.String(1000), nullable=False),
    sa.Column("storage_credential_id", sa.String(64), nullable=False, index=True),
    sa.Column("read_only", sa.Boolean, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("created_by", sa.String(128), nullable=False),
    sa.UniqueConstraint("project_id", "name"),
    sa.Index("ix_external_location_organization_id", "organization_id", "url"),
    info=project_rows("created_by"),
)

CREDENTIAL_LEASE = sa.Table(
    "credential_lease",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("organization_id", sa.String(64), nullable=False),
    sa.Column("project_id", sa.String(64), nullable=False),
    sa.Column("external_location_id", sa.String(64), nullable=False),
    sa.Column("storage_credential_id", sa.String(64), nullable=False),
    sa.Column("url", sa.String(2000), nullable=False),
    sa.Column("path", sa.String(1000), nullable=False),
    sa.Column("access", sa.String(16), nullable=False),
    sa.Column("form", sa.String(16), nullable=False),
    # The id of the vended key, which the log of the store shows. The key itself is not stored.
    sa.Column("key_id", sa.String(200), nullable=False),
    sa.Column("principal_id", sa.String(64), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("created_by", sa.String(128), nullable=False),
    sa.Column("expires_at", UtcDateTime, nullable=False),
    sa.Column("renewed_at", UtcDateTime),
    sa.Column("revoked_at", UtcDateTime),
    sa.Column("revoked_by", sa.String(128)),
    sa.Index("ix_credential_lease_external_location_id", "external_location_id", "expires_at"),
    sa.Index("ix_credential_lease_storage_credential_id", "storage_credential_id", "expires_at"),
    info=project_rows("created_by", "revoked_by"),
)
"""Vended credentials, without their secrets."""
