"""Published pipelines, and the versions that their runs read"""

import sqlalchemy as sa
from alembic import op

import core.db

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Applies the change."""
    op.create_table(
        "published_pipeline",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("project", sa.String(length=64), nullable=False),
        sa.Column("job", sa.String(length=128), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("spec", sa.JSON(), nullable=False),
        sa.Column("config", sa.JSON(), nullable=False),
        sa.Column("published_at", core.db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("published_by", sa.String(length=128), nullable=False),
        sa.Column("published_by_id", sa.String(length=64), nullable=False),
        sa.Column("blocked", sa.String(length=500), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_published_pipeline")),
        sa.UniqueConstraint("job", name=op.f("uq_published_pipeline_job")),
    )
    op.create_index("ix_published_pipeline_project", "published_pipeline", ["project"])
    op.create_table(
        "pipeline_input",
        sa.Column("run", sa.String(length=64), nullable=False),
        sa.Column("table_name", sa.String(length=200), nullable=False),
        sa.Column("version", sa.String(length=128), nullable=False),
        sa.Column("at", core.db.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("run", "table_name", name=op.f("pk_pipeline_input")),
    )
    op.create_index("ix_pipeline_input_at", "pipeline_input", ["at"])


def downgrade() -> None:
    """Reverts the change."""
    op.drop_table("pipeline_input")
    op.drop_table("published_pipeline")
