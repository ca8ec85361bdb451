"""Partitions in lineage"""

import sqlalchemy as sa
from alembic import op

revision = "0042"
down_revision = "0041"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Applies the change."""
    # In place: a table of lineage has millions of rows.
    op.add_column("lineage_edge", sa.Column("partition", sa.String(length=200), server_default="", nullable=False))


def downgrade() -> None:
    """Reverts the change."""
    op.drop_column("lineage_edge", "partition")
