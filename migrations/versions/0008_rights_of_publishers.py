"""Rights of publishers"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Applies the change. The inputs of live definitions are unknown, so they are checked from their next publication."""
    with op.batch_alter_table("definition", schema=None) as batch_op:
        batch_op.add_column(sa.Column("published_by_id", sa.String(length=64), nullable=True))
        batch_op.add_column(sa.Column("published_reads", sa.JSON(none_as_null=True), nullable=True))
        batch_op.add_column(sa.Column("blocked", sa.String(length=500), nullable=True))


def downgrade() -> None:
    """Reverts the change."""
    with op.batch_alter_table("definition", schema=None) as batch_op:
        for name in ("blocked", "published_reads", "published_by_id"):
            batch_op.drop_column(name)
