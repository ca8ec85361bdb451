"""Keys that sign tokens for other systems, and invitations by mail"""

import sqlalchemy as sa
from alembic import op

import core.db

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Applies the change."""
    op.create_table(
        "signing_key",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("public", sa.JSON(), nullable=False),
        sa.Column("sealed", sa.Text(), nullable=True),
        sa.Column("created_at", core.db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("signs_from", core.db.UtcDateTime(timezone=True), nullable=True),
        sa.Column("retired_at", core.db.UtcDateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", core.db.UtcDateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_signing_key")),
    )
    one = sa.text("state IN ('CURRENT', 'NEXT')")
    with op.batch_alter_table("signing_key", schema=None) as batch_op:
        batch_op.create_index(
            "uq_signing_key_state", ["state"], unique=True, sqlite_where=one, postgresql_where=one
        )
    with op.batch_alter_table("invitation", schema=None) as batch_op:
        batch_op.add_column(sa.Column("sealed", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("mailed_at", core.db.UtcDateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("mail_problem", sa.String(length=500), nullable=True))


def downgrade() -> None:
    """Reverts the change."""
    with op.batch_alter_table("invitation", schema=None) as batch_op:
        for name in ("mail_problem", "mailed_at", "sealed"):
            batch_op.drop_column(name)
    op.drop_table("signing_key")
