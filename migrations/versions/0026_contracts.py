"""Contracts of data sets, and versions that break them"""

import sqlalchemy as sa
from alembic import op

import core.db

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Applies the change."""
    op.create_table(
        "contract",
        *_placed("id", "organization_id", "project_id"),
        sa.Column("asset", sa.String(length=200), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("contact", sa.String(length=128), nullable=False),
        sa.Column("terms", sa.JSON(), nullable=False),
        sa.Column("consumers", sa.JSON(), nullable=False),
        sa.Column("consents", sa.JSON(), nullable=False),
        sa.Column("created_at", core.db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.String(length=128), nullable=False),
        sa.Column("activated_at", core.db.UtcDateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contract")),
    )
    op.create_index("ix_contract_project_id", "contract", ["project_id"])
    op.create_index("uq_contract_version", "contract", ["asset", "version"], unique=True)
    op.create_table(
        "contract_violation",
        *_placed("contract_id"),
        sa.Column("data_version", sa.String(length=128), nullable=False),
        *_placed("organization_id", "project_id"),
        sa.Column("faults", sa.JSON(), nullable=False),
        *_placed("run_id"),
        sa.Column("at", core.db.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("contract_id", "data_version", name=op.f("pk_contract_violation")),
    )
    op.create_index("ix_contract_violation_project_id", "contract_violation", ["project_id"])


def downgrade() -> None:
    """Reverts the change."""
    op.drop_table("contract_violation")
    op.drop_table("contract")


def _placed(*names: str) -> list["sa.Column[object]"]:
    return [sa.Column(name, sa.String(length=64), nullable=False) for name in names]
