"""Table of requests for access to assets."""

from __future__ import annotations

import sqlalchemy as sa

from api.kernel.tables import project_rows
from core.db import METADATA, UtcDateTime

ACCESS_REQUEST = sa.Table(
    "access_request",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("organization_id", sa.String(64), nullable=False),
    sa.Column("project_id", sa.String(64), nullable=False, index=True),
    sa.Column("asset", sa.String(200), nullable=False, index=True),
    sa.Column("copies", sa.String(200)),
    sa.Column("purpose", sa.Text, nullable=False),
    sa.Column("until", UtcDateTime),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("requested_by", sa.String(128), nullable=False),
    sa.Column("requested_by_id", sa.String(64), nullable=False, index=True),
    sa.Column("requested_at", UtcDateTime, nullable=False),
    # The organizations at the time of the request, which a move doesn't change.
    sa.Column("requested_from", sa.String(64), nullable=False),
    sa.Column("requested_in", sa.String(64), nullable=False),
    # Digest of who asks for what, while the request is open.
    sa.Column("open_key", sa.String(64), unique=True),
    sa.Column("comment", sa.Text, nullable=False),
    sa.Column("ended_by", sa.String(128)),
    sa.Column("ended_at", UtcDateTime),
    sa.Column("grant_id", sa.String(64)),
    sa.Column("release_id", sa.String(64)),
    info=project_rows("requested_by", "ended_by"),
)
"""Requests. They belong to the project of the asset that the right is needed on."""
