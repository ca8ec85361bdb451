"""The shape of stored documents"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Applies the change. Existing documents have no shape, so reading them completes missing fields."""
    with op.batch_alter_table("resource", schema=None) as batch_op:
        batch_op.add_column(sa.Column("shape", sa.String(length=16), nullable=False, server_default=""))


def downgrade() -> None:
    """Reverts the change."""
    with op.batch_alter_table("resource", schema=None) as batch_op:
        batch_op.drop_column("shape")
