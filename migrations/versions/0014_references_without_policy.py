"""References have no policy: the target of a reference cannot be deleted"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Applies the change. Every reference had the policy `RESTRICT`."""
    with op.batch_alter_table("reference", schema=None) as batch_op:
        batch_op.drop_column("policy")


def downgrade() -> None:
    """Reverts the change."""
    with op.batch_alter_table("reference", schema=None) as batch_op:
        batch_op.add_column(sa.Column("policy", sa.String(16), nullable=False, server_default="RESTRICT"))
