"""Requests for access to assets"""

import sqlalchemy as sa
from alembic import op

import core.db

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Applies the change."""
    op.create_table(
        "access_request",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("organization_id", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("asset", sa.String(length=200), nullable=False),
        sa.Column("copies", sa.String(length=200), nullable=True),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("until", core.db.UtcDateTime(timezone=True), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("requested_by", sa.String(length=128), nullable=False),
        sa.Column("requested_by_id", sa.String(length=64), nullable=False),
        sa.Column("requested_at", core.db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("requested_from", sa.String(length=64), nullable=False),
        sa.Column("requested_in", sa.String(length=64), nullable=False),
        sa.Column("open_key", sa.String(length=64), nullable=True),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("ended_by", sa.String(length=128), nullable=True),
        sa.Column("ended_at", core.db.UtcDateTime(timezone=True), nullable=True),
        sa.Column("grant_id", sa.String(length=64), nullable=True),
        sa.Column("release_id", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_request")),
        sa.UniqueConstraint("open_key", name=op.f("uq_access_request_open_key")),
    )
    op.create_index("ix_access_request_project_id", "access_request", ["project_id"])
    op.create_index("ix_access_request_asset", "access_request", ["asset"])
    op.create_index("ix_access_request_requested_by_id", "access_request", ["requested_by_id"])


def downgrade() -> None:
    """Reverts the change."""
    op.drop_table("access_request")
