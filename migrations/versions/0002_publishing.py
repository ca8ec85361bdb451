"""Leases, claims of assets and publications."""

import sqlalchemy as sa
from alembic import op

import core.db

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Applies the change."""
    op.create_table(
        "lease",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("holder", sa.String(length=128), nullable=False),
        sa.Column("expires_at", core.db.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_lease")),
    )
    op.create_table(
        "asset_claim",
        sa.Column("asset_id", sa.String(length=200), nullable=False),
        sa.Column("location", sa.String(length=64), nullable=False),
        sa.Column("definition", sa.String(length=200), nullable=True),
        sa.PrimaryKeyConstraint("asset_id", name=op.f("pk_asset_claim")),
    )
    op.create_index(op.f("ix_asset_claim_definition"), "asset_claim", ["definition"])
    op.create_table(
        "publication",
        sa.Column("state_key", sa.String(length=100), nullable=False),
        sa.Column("version", sa.String(length=64), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("verified_at", core.db.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("state_key", name=op.f("pk_publication")),
    )


def downgrade() -> None:
    """Takes the change back."""
    op.drop_table("publication")
    op.drop_index(op.f("ix_asset_claim_definition"), table_name="asset_claim")
    op.drop_table("asset_claim")
    op.drop_table("lease")
