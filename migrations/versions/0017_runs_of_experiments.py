"""Runs of experiments, with their parameters, tags, metrics, and inputs"""

import sqlalchemy as sa
from alembic import op

import core.db

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Applies the change."""
    op.create_table(
        "run",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("organization_id", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("experiment_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=500), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.Column("started_at", core.db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("ended_at", core.db.UtcDateTime(timezone=True), nullable=True),
        sa.Column("created_at", core.db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.String(length=128), nullable=False),
        sa.Column("deleted_at", core.db.UtcDateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_run")),
    )
    with op.batch_alter_table("run", schema=None) as batch_op:
        batch_op.create_index("ix_run_project_id", ["project_id"], unique=False)
        batch_op.create_index("ix_run_experiment", ["experiment_id", "started_at", "id"], unique=False)
    for name in ("run_param", "run_tag"):
        _create(name, ["key"], sa.Column("value", sa.Text(), nullable=False))
    _create(
        "run_metric",
        ["key"],
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("step", sa.BigInteger(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
    )
    numbers = ("step", "at_ms", "bits")
    _create(
        "metric_point",
        ["key", *numbers],
        *(sa.Column(name, sa.BigInteger(), autoincrement=False, nullable=False) for name in numbers),
    )
    _create(
        "run_input",
        ["name", "digest"],
        sa.Column("name", sa.String(length=500), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("source_type", sa.String(length=64), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("schema", sa.Text(), nullable=True),
        sa.Column("profile", sa.Text(), nullable=True),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("asset", sa.String(length=200), nullable=True),
        sa.Column("version", sa.String(length=128), nullable=True),
    )
    with op.batch_alter_table("run_input", schema=None) as batch_op:
        batch_op.create_index("ix_run_input_asset", ["asset"], unique=False)


def _create(name: str, key: list[str], *columns: "sa.Column[object]") -> None:
    named = [sa.Column("key", sa.String(length=250), nullable=False)] if "key" in key else []
    op.create_table(
        name,
        sa.Column("run_id", sa.String(length=64), nullable=False),
        *named,
        *columns,
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f(f"fk_{name}_run_id_run"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", *key, name=op.f(f"pk_{name}")),
    )


def downgrade() -> None:
    """Reverts the change."""
    for name in ("run_input", "metric_point", "run_metric", "run_tag", "run_param", "run"):
        op.drop_table(name)
