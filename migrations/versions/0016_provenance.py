"""Column sources of versions, and indexes for searches of the lineage record"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_INDEXES = {
    "ix_lineage_edge_readers": ["in_asset", "out_asset"],
    "ix_lineage_edge_out_at": ["out_asset", "at"],
    "ix_lineage_edge_code_version": ["code_version", "sequence"],
    "ix_lineage_edge_git_sha": ["git_sha", "sequence"],
    "ix_lineage_edge_env_digest": ["env_digest", "sequence"],
    "ix_lineage_edge_engine": ["engine", "sequence"],
    "ix_lineage_edge_principal": ["principal", "sequence"],
    "ix_lineage_edge_at": ["at"],
}


def upgrade() -> None:
    """Applies the change."""
    op.create_table(
        "lineage_column_sources",
        sa.Column("out_asset", sa.String(length=200), nullable=False),
        sa.Column("out_version", sa.String(length=128), nullable=False),
        sa.Column("run", sa.String(length=64), nullable=False),
        sa.Column("step", sa.String(length=200), nullable=False),
        sa.Column("sources", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint(
            "out_asset", "out_version", "run", "step", name=op.f("pk_lineage_column_sources")
        ),
    )
    for name, columns in _INDEXES.items():
        op.create_index(name, "lineage_edge", columns)


def downgrade() -> None:
    """Reverts the change."""
    for name in _INDEXES:
        op.drop_index(name, table_name="lineage_edge")
    op.drop_table("lineage_column_sources")
