"""Links of terms of a glossary"""

import sqlalchemy as sa
from alembic import op

import core.db

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Applies the change."""
    op.create_table(
        "term_link",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("organization_id", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("term_id", sa.String(length=64), nullable=False),
        sa.Column("target", sa.String(length=200), nullable=False),
        sa.Column("column_name", sa.String(length=256), nullable=False),
        sa.Column("linked_at", core.db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("linked_by", sa.String(length=128), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_term_link")),
        sa.UniqueConstraint("term_id", "target", "column_name", name=op.f("uq_term_link_term_id_target_column_name")),
    )
    op.create_index("ix_term_link_project_id", "term_link", ["project_id"])
    op.create_index("ix_term_link_target", "term_link", ["target"])


def downgrade() -> None:
    """Reverts the change."""
    op.drop_table("term_link")
