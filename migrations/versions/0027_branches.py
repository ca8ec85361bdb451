"""Branches of projects"""

import sqlalchemy as sa
from alembic import op

import core.db

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Applies the change."""
    op.create_table(
        "branch",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("organization_id", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("description", sa.String(length=1000), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("versions", sa.JSON(), nullable=False),
        sa.Column("code_versions", sa.JSON(), nullable=False),
        sa.Column("produced", sa.JSON(), nullable=False),
        sa.Column("operation_id", sa.String(length=64), nullable=True),
        sa.Column("expires_at", core.db.UtcDateTime(timezone=True), nullable=True),
        sa.Column("created_at", core.db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.String(length=128), nullable=False),
        sa.Column("merged_at", core.db.UtcDateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_branch")),
        sa.UniqueConstraint("project_id", "name", name=op.f("uq_branch_name")),
    )
    op.create_index("ix_branch_organization_id", "branch", ["organization_id"])


def downgrade() -> None:
    """Reverts the change."""
    op.drop_table("branch")
