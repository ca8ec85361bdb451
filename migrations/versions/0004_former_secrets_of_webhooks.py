"""Former secrets of webhooks"""

import sqlalchemy as sa
from alembic import op

import core.db

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Applies the change."""
    with op.batch_alter_table("webhook_endpoint", schema=None) as batch_op:
        batch_op.add_column(sa.Column("former_secret", sa.String(length=400), nullable=True))
        batch_op.add_column(sa.Column("former_until", core.db.UtcDateTime(timezone=True), nullable=True))


def downgrade() -> None:
    """Reverts the change."""
    with op.batch_alter_table("webhook_endpoint", schema=None) as batch_op:
        batch_op.drop_column("former_until")
        batch_op.drop_column("former_secret")
