"""Tables of requests to move versions of models to stages, and of the decisions on them."""

from __future__ import annotations

import sqlalchemy as sa

from api.kernel.tables import project_rows
from core.db import METADATA, UtcDateTime

STAGE_REQUEST = sa.Table(
    "stage_request",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("organization_id", sa.String(64), nullable=False),
    sa.Column("project_id", sa.String(64), nullable=False, index=True),
    sa.Column("registered_model_id", sa.String(64), nullable=False, index=True),
    sa.Column("model_version_id", sa.String(64), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("from_stage", sa.String(16), nullable=False),
    sa.Column("stage", sa.String(16), nullable=False),
    sa.Column("archive_existing", sa.Boolean, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("approvals", sa.Integer, nullable=False),
    sa.Column("comment", sa.Text, nullable=False),
    sa.Column("requested_by", sa.String(128), nullable=False),
    sa.Column("requested_by_id", sa.String(64), nullable=False),
    sa.Column("requested_at", UtcDateTime, nullable=False),
    sa.Column("ended_at", UtcDateTime),
    sa.Index("ix_stage_request_version", "model_version_id", "state"),
    info=project_rows("requested_by"),
)
"""Requests. `approvals` is the number of approvals that the policy required at the time of the request."""

STAGE_DECISION = sa.Table(
    "stage_decision",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("organization_id", sa.String(64), nullable=False),
    sa.Column("project_id", sa.String(64), nullable=False),
    sa.Column("request_id", sa.String(64), nullable=False),
    sa.Column("decision", sa.String(16), nullable=False),
    sa.Column("comment", sa.Text, nullable=False),
    sa.Column("decided_by", sa.String(128), nullable=False),
    sa.Column("decided_by_id", sa.String(64), nullable=False),
    sa.Column("decided_at", UtcDateTime, nullable=False),
    sa.UniqueConstraint("request_id", "decided_by_id", "decision"),
    info=project_rows("decided_by"),
)
"""Decisions. Each principal approves a request at most once."""
