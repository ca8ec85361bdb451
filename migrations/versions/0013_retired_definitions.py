"""Retired definitions"""

import sqlalchemy as sa
from alembic import op

import core.db

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Applies the change."""
    with op.batch_alter_table("definition", schema=None) as batch_op:
        batch_op.add_column(sa.Column("retired_at", core.db.UtcDateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("retired_by", sa.String(length=128), nullable=True))


def downgrade() -> None:
    """Reverts the change. Retired definitions are live again, because the former version has no retired state."""
    with op.batch_alter_table("definition", schema=None) as batch_op:
        for name in ("retired_by", "retired_at"):
            batch_op.drop_column(name)
