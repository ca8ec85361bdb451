"""Teams that rely on a contract"""

import sqlalchemy as sa
from alembic import op

revision = "0040"
down_revision = "0039"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Applies the change."""
    with op.batch_alter_table("contract") as batch:
        batch.add_column(sa.Column("teams", sa.JSON(), server_default="[]", nullable=False))


def downgrade() -> None:
    """Reverts the change."""
    with op.batch_alter_table("contract") as batch:
        batch.drop_column("teams")
