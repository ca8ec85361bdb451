"""Table of subscriptions to assets, registered models, and pipelines."""

from __future__ import annotations

import sqlalchemy as sa

from api.kernel.tables import project_rows
from core.db import METADATA, UtcDateTime

SUBSCRIPTION = sa.Table(
    "subscription",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("organization_id", sa.String(64), nullable=False),
    sa.Column("project_id", sa.String(64), nullable=False, index=True),
    sa.Column("principal_id", sa.String(64), nullable=False),
    sa.Column("asset", sa.String(200)),
    sa.Column("registered_model_id", sa.String(64)),
    sa.Column("pipeline_id", sa.String(64)),
    sa.Column("notices", sa.JSON, nullable=False),
    # What the subscriber was told last. A change of it and its event are stored in one transaction.
    sa.Column("seen", sa.JSON, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("created_by", sa.String(128), nullable=False),
    sa.Column("mailed_at", UtcDateTime),
    sa.Column("mail_problem", sa.String(500)),
    sa.Index("ix_subscription_principal_id", "principal_id"),
    info=project_rows("created_by"),
)
