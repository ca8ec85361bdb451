"""Table of the items that terms of a glossary are linked to. Terms themselves are resources."""

from __future__ import annotations

import sqlalchemy as sa

from api.kernel.tables import project_rows
from core.db import METADATA, UtcDateTime

TERM_LINK = sa.Table(
    "term_link",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("organization_id", sa.String(64), nullable=False),
    sa.Column("project_id", sa.String(64), nullable=False, index=True),
    sa.Column("term_id", sa.String(64), nullable=False),
    sa.Column("target", sa.String(200), nullable=False, index=True),
    sa.Column("column_name", sa.String(256), nullable=False),
    sa.Column("linked_at", UtcDateTime, nullable=False),
    sa.Column("linked_by", sa.String(128), nullable=False),
    sa.UniqueConstraint("term_id", "target", "column_name"),
    info=project_rows("linked_by"),
)
"""`column_name` is empty for the whole item. Between two organizations, a link has no effect."""
