"""${message}"""

import sqlalchemy as sa
from alembic import op
import core.db

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Applies the change."""
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    """Reverts the change."""
    ${downgrades if downgrades else "pass"}
