"""Trainings of the platform, and stages and checks of versions of models"""

import sqlalchemy as sa
from alembic import op

import core.db

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Applies the change."""
    with op.batch_alter_table("model_version") as table:
        table.add_column(sa.Column("stage", sa.String(length=16), nullable=True))
        table.add_column(sa.Column("checks", sa.JSON(), nullable=True))
    op.execute("UPDATE model_version SET stage = 'NONE', checks = '{}'")
    with op.batch_alter_table("model_version") as table:
        table.alter_column("stage", existing_type=sa.String(length=16), nullable=False)
        table.alter_column("checks", existing_type=sa.JSON(), nullable=False)
    ids = ("experiment_id", "registered_model_id", "run_id", "logged_model_id", "model_version_id")
    op.create_table(
        "training",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("organization_id", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("asset", sa.String(length=200), nullable=False),
        sa.Column("data_version", sa.String(length=128), nullable=False),
        sa.Column("orchestrator_run", sa.String(length=64), nullable=False),
        *(sa.Column(name, sa.String(length=64), nullable=True) for name in ids),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.Column("recorded_at", core.db.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_training")),
        sa.UniqueConstraint("asset", "data_version", name=op.f("uq_training_asset_data_version")),
    )
    for column in ("project_id", "run_id", "model_version_id"):
        op.create_index(op.f(f"ix_training_{column}"), "training", [column])


def downgrade() -> None:
    """Reverts the change."""
    op.drop_table("training")
    with op.batch_alter_table("model_version") as table:
        table.drop_column("checks")
        table.drop_column("stage")
