"""Preferences of users"""

import sqlalchemy as sa
from alembic import op

import core.db

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Applies the change."""
    op.create_table('preferences',
    sa.Column('principal_id', sa.String(length=64), nullable=False),
    sa.Column('organization_id', sa.String(length=64), nullable=False),
    sa.Column('value', sa.JSON(), nullable=False),
    sa.Column('updated_at', core.db.UtcDateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('principal_id', name=op.f('pk_preferences')),
    )
    op.create_index(op.f('ix_preferences_organization_id'), 'preferences', ['organization_id'])


def downgrade() -> None:
    """Reverts the change."""
    op.drop_table("preferences")
