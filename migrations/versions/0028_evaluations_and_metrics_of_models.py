"""Evaluation runs, and metrics of logged models"""

import sqlalchemy as sa
from alembic import op

import core.db

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Applies the change."""
    op.create_table(
        "evaluation_run",
        *(
            sa.Column(name, sa.String(length=64), nullable=False)
            for name in ("id", "organization_id", "project_id", "evaluation_id")
        ),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("model_version_id", sa.String(length=64), nullable=False),
        sa.Column("dataset", sa.String(length=200), nullable=False),
        sa.Column("dataset_version", sa.String(length=128), nullable=False),
        sa.Column("results", sa.String(length=200), nullable=False),
        sa.Column("results_version", sa.String(length=128), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.Column("thresholds", sa.JSON(), nullable=False),
        sa.Column("passed", sa.Boolean(), nullable=False),
        sa.Column("created_at", core.db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.String(length=128), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evaluation_run")),
    )
    op.create_index(op.f("ix_evaluation_run_project_id"), "evaluation_run", ["project_id"])
    op.create_index("ix_evaluation_run_version", "evaluation_run", ["model_version_id", "evaluation_id", "id"])
    key = ("model_id", "key", "dataset_name", "dataset_digest", "step", "at_ms", "bits")
    op.create_table(
        "model_metric",
        sa.Column("model_id", sa.String(length=64), nullable=False),
        sa.Column("key", sa.String(length=250), nullable=False),
        sa.Column("dataset_name", sa.String(length=500), nullable=False),
        sa.Column("dataset_digest", sa.String(length=64), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("step", "at_ms", "bits")),
        sa.Column("run_id", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(
            ["model_id"], ["logged_model.id"], name=op.f("fk_model_metric_model_id_logged_model"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint(*key, name=op.f("pk_model_metric")),
    )


def downgrade() -> None:
    """Reverts the change."""
    op.drop_table("model_metric")
    op.drop_table("evaluation_run")
