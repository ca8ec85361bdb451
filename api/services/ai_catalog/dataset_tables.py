"""Table of what people state about data sets: licence, sensitivity, and texts. The data set itself is an asset."""

from __future__ import annotations

import sqlalchemy as sa

from api.kernel.tables import project_rows
from core.db import METADATA, UtcDateTime

DATASET = sa.Table(
    "dataset",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("organization_id", sa.String(64), nullable=False),
    sa.Column("project_id", sa.String(64), nullable=False, index=True),
    sa.Column("asset", sa.String(200), nullable=False, unique=True),
    sa.Column("title", sa.String(200), nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("license", sa.String(256)),
    sa.Column("sensitivity", sa.String(16), nullable=False),
    sa.Column("declassified_because", sa.String(2000)),
    sa.Column("contact", sa.String(128), nullable=False),
    sa.Column("citation", sa.Text, nullable=False),
    sa.Column("links", sa.JSON, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("created_by", sa.String(128), nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
    sa.Column("updated_by", sa.String(128), nullable=False),
    info=project_rows("created_by", "updated_by"),
)
"""At most one row for each asset. With `declassified_because`, the inherited sensitivity doesn't count."""
