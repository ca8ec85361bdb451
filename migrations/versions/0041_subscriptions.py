"""Subscriptions to assets, registered models, and pipelines"""

import sqlalchemy as sa
from alembic import op

import core.db

revision = "0041"
down_revision = "0040"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Applies the change."""
    op.create_table(
        "subscription",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("organization_id", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("principal_id", sa.String(length=64), nullable=False),
        sa.Column("asset", sa.String(length=200), nullable=True),
        sa.Column("registered_model_id", sa.String(length=64), nullable=True),
        sa.Column("pipeline_id", sa.String(length=64), nullable=True),
        sa.Column("notices", sa.JSON(), nullable=False),
        sa.Column("seen", sa.JSON(), nullable=False),
        sa.Column("created_at", core.db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.String(length=128), nullable=False),
        sa.Column("mailed_at", core.db.UtcDateTime(timezone=True), nullable=True),
        sa.Column("mail_problem", sa.String(length=500), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subscription")),
    )
    op.create_index("ix_subscription_project_id", "subscription", ["project_id"])
    op.create_index("ix_subscription_principal_id", "subscription", ["principal_id"])


def downgrade() -> None:
    """Reverts the change."""
    op.drop_table("subscription")
