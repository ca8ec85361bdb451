"""Requests for stages of versions of models, decisions on them, and cards"""

import sqlalchemy as sa
from alembic import op

import core.db

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Applies the change."""
    op.create_table(
        "stage_request",
        *_placed(),
        sa.Column("registered_model_id", sa.String(length=64), nullable=False),
        sa.Column("model_version_id", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("from_stage", sa.String(length=16), nullable=False),
        sa.Column("stage", sa.String(length=16), nullable=False),
        sa.Column("archive_existing", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("approvals", sa.Integer(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("requested_by", sa.String(length=128), nullable=False),
        sa.Column("requested_by_id", sa.String(length=64), nullable=False),
        sa.Column("requested_at", core.db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("ended_at", core.db.UtcDateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stage_request")),
    )
    for column in ("project_id", "registered_model_id"):
        op.create_index(op.f(f"ix_stage_request_{column}"), "stage_request", [column])
    op.create_index("ix_stage_request_version", "stage_request", ["model_version_id", "state"])
    op.create_table(
        "stage_decision",
        *_placed(),
        sa.Column("request_id", sa.String(length=64), nullable=False),
        sa.Column("decision", sa.String(length=16), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("decided_by", sa.String(length=128), nullable=False),
        sa.Column("decided_by_id", sa.String(length=64), nullable=False),
        sa.Column("decided_at", core.db.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stage_decision")),
        sa.UniqueConstraint(
            "request_id", "decided_by_id", "decision", name=op.f("uq_stage_decision_request_id_decided_by_id_decision")
        ),
    )
    op.create_table(
        "model_card",
        *_placed(),
        sa.Column("model_version_id", sa.String(length=64), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("written_by", sa.String(length=128), nullable=False),
        sa.Column("written_at", core.db.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_model_card")),
        sa.UniqueConstraint("model_version_id", "revision", name=op.f("uq_model_card_model_version_id_revision")),
    )


def downgrade() -> None:
    """Reverts the change."""
    for name in ("model_card", "stage_decision", "stage_request"):
        op.drop_table(name)


def _placed() -> list["sa.Column[object]"]:
    names = ("id", "organization_id", "project_id")
    return [sa.Column(name, sa.String(length=64), nullable=False) for name in names]
