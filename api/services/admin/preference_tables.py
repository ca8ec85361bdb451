"""The table of preferences."""

from __future__ import annotations

import sqlalchemy as sa

from api.kernel.tables import organization_rows
from core.db import METADATA, UtcDateTime

PREFERENCES = sa.Table(
    "preferences",
    METADATA,
    sa.Column("principal_id", sa.String(64), primary_key=True),
    sa.Column("organization_id", sa.String(64), nullable=False, index=True),
    sa.Column("value", sa.JSON, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
    info=organization_rows(),
)
"""What each user changed in their preferences. One who changed nothing has no row."""
