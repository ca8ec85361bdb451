"""Artifacts, logged models, and versions of registered models"""

import sqlalchemy as sa
from alembic import op

import core.db

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Applies the change."""
    op.create_table(
        "artifact",
        *_placed(),
        sa.Column("parent_id", sa.String(length=64), nullable=False),
        sa.Column("path", sa.String(length=1000), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        *_created(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_artifact")),
    )
    op.create_index("uq_artifact_path", "artifact", ["parent_id", "path"], unique=True)
    op.create_index("ix_artifact_digest", "artifact", ["project_id", "digest"])
    op.create_table(
        "logged_model",
        *_placed(),
        sa.Column("experiment_id", sa.String(length=64), nullable=False),
        sa.Column("run_id", sa.String(length=64), nullable=True),
        sa.Column("name", sa.String(length=500), nullable=False),
        sa.Column("model_type", sa.String(length=250), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("params", sa.JSON(), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        *_created(),
        *_changed(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_logged_model")),
    )
    for column in ("project_id", "experiment_id", "run_id"):
        op.create_index(f"ix_logged_model_{column}", "logged_model", [column])
    op.create_table(
        "run_output",
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("model_id", sa.String(length=64), nullable=False),
        sa.Column("step", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_run_output_run_id_run"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["model_id"], ["logged_model.id"], name=op.f("fk_run_output_model_id_logged_model"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("run_id", "model_id", name=op.f("pk_run_output")),
    )
    op.create_table(
        "model_version",
        *_placed(),
        sa.Column("registered_model_id", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("source", sa.String(length=2000), nullable=False),
        sa.Column("parent_id", sa.String(length=64), nullable=False),
        sa.Column("path", sa.String(length=1000), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("run_id", sa.String(length=64), nullable=True),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        *_created(),
        *_changed(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_model_version")),
    )
    for column in ("project_id", "run_id"):
        op.create_index(f"ix_model_version_{column}", "model_version", [column])
    op.create_index("uq_model_version", "model_version", ["registered_model_id", "version"], unique=True)


def downgrade() -> None:
    """Reverts the change."""
    for name in ("model_version", "run_output", "logged_model", "artifact"):
        op.drop_table(name)


def _placed() -> list["sa.Column[object]"]:
    names = ("id", "organization_id", "project_id")
    return [sa.Column(name, sa.String(length=64), nullable=False) for name in names]


def _created() -> list["sa.Column[object]"]:
    return [
        sa.Column("created_at", core.db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.String(length=128), nullable=False),
    ]


def _changed() -> list["sa.Column[object]"]:
    return [
        sa.Column("updated_at", core.db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("deleted_at", core.db.UtcDateTime(timezone=True), nullable=True),
    ]
