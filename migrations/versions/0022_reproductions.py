"""Reproductions of versions"""

import sqlalchemy as sa
from alembic import op

import core.db

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Applies the change."""
    op.create_table(
        "reproduction",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("organization_id", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=True),
        sa.Column("asset", sa.String(length=200), nullable=False),
        sa.Column("version", sa.String(length=128), nullable=False),
        sa.Column("operation_id", sa.String(length=64), nullable=False),
        sa.Column("recorded", sa.JSON(), nullable=False),
        sa.Column("verdict", sa.String(length=32), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("result", sa.JSON(), nullable=True),
        sa.Column("created_at", core.db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.String(length=128), nullable=False),
        sa.Column("finished_at", core.db.UtcDateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reproduction")),
    )
    for column in ("organization_id", "project_id", "asset"):
        op.create_index(f"ix_reproduction_{column}", "reproduction", [column])
    op.create_table(
        "reproduced_asset",
        sa.Column("reproduction_id", sa.String(length=64), nullable=False),
        sa.Column("asset", sa.String(length=200), nullable=False),
        sa.ForeignKeyConstraint(
            ["reproduction_id"],
            ["reproduction.id"],
            name=op.f("fk_reproduced_asset_reproduction_id_reproduction"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("reproduction_id", "asset", name=op.f("pk_reproduced_asset")),
    )
    op.create_index("ix_reproduced_asset_asset", "reproduced_asset", ["asset"])


def downgrade() -> None:
    """Reverts the change."""
    op.drop_table("reproduced_asset")
    op.drop_table("reproduction")
