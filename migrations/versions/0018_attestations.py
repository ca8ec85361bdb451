"""Attestations of versions"""

import sqlalchemy as sa
from alembic import op

import core.db

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Applies the change."""
    op.create_table(
        "attestation",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("organization_id", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=True),
        sa.Column("asset", sa.String(length=200), nullable=False),
        sa.Column("version", sa.String(length=128), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("statement", sa.Text(), nullable=False),
        sa.Column("key_id", sa.String(length=64), nullable=False),
        sa.Column("signature", sa.Text(), nullable=False),
        sa.Column("created_at", core.db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.String(length=128), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attestation")),
    )
    for column in ("organization_id", "project_id", "asset"):
        op.create_index(f"ix_attestation_{column}", "attestation", [column])
    op.create_table(
        "attested_asset",
        sa.Column("attestation_id", sa.String(length=64), nullable=False),
        sa.Column("asset", sa.String(length=200), nullable=False),
        sa.ForeignKeyConstraint(
            ["attestation_id"],
            ["attestation.id"],
            name=op.f("fk_attested_asset_attestation_id_attestation"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("attestation_id", "asset", name=op.f("pk_attested_asset")),
    )
    op.create_index("ix_attested_asset_asset", "attested_asset", ["asset"])


def downgrade() -> None:
    """Reverts the change."""
    op.drop_table("attested_asset")
    op.drop_table("attestation")
