"""Assignments of tags"""

import sqlalchemy as sa
from alembic import op

import core.db

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Applies the change."""
    op.create_table(
        "tag_assignment",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("organization_id", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("target", sa.String(length=200), nullable=False),
        sa.Column("column_name", sa.String(length=256), nullable=False),
        sa.Column("tag_id", sa.String(length=64), nullable=False),
        sa.Column("tag", sa.String(length=64), nullable=False),
        sa.Column("value", sa.String(length=64), nullable=False),
        sa.Column("origin", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=2000), nullable=False),
        sa.Column("assigned_at", core.db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("assigned_by", sa.String(length=128), nullable=False),
        sa.Column("ended_at", core.db.UtcDateTime(timezone=True), nullable=True),
        sa.Column("ended_by", sa.String(length=128), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tag_assignment")),
    )
    op.create_index("ix_tag_assignment_project_id", "tag_assignment", ["project_id"])
    op.create_index("ix_tag_assignment_tag", "tag_assignment", ["tag_id", "ended_at"])
    op.create_index("ix_tag_assignment_target", "tag_assignment", ["organization_id", "target"])
    live = sa.text("ended_at IS NULL")
    op.create_index(
        "uq_tag_assignment",
        "tag_assignment",
        ["target", "column_name", "tag_id", "value", "origin"],
        unique=True,
        sqlite_where=live,
        postgresql_where=live,
    )


def downgrade() -> None:
    """Reverts the change."""
    op.drop_table("tag_assignment")
