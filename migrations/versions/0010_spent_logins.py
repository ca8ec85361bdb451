"""Spent logins, and redirect paths of identity providers"""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from alembic import op

import core.db

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_RESOURCE = sa.table("resource", sa.column("id"), sa.column("kind"), sa.column("status", sa.JSON))


def upgrade() -> None:
    """Applies the change."""
    op.create_table(
        "spent_login",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("expires_at", core.db.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_spent_login")),
    )
    op.create_index("ix_spent_login_expires_at", "spent_login", ["expires_at"])
    _change_status(lambda id, status: status | {"redirect_path": f"/login/oidc/{id}/callback"})


def downgrade() -> None:
    """Reverts the change."""
    _change_status(lambda _, status: {name: value for name, value in status.items() if name != "redirect_path"})
    op.drop_index("ix_spent_login_expires_at", table_name="spent_login")
    op.drop_table("spent_login")


def _change_status(change: Callable[[str, dict[str, Any]], dict[str, Any]]) -> None:
    connection = op.get_bind()
    providers = sa.select(_RESOURCE.c.id, _RESOURCE.c.status).where(_RESOURCE.c.kind == "admin.identity_provider")
    for id, status in connection.execute(providers).all():
        values = {"status": change(id, status)}
        connection.execute(_RESOURCE.update().where(_RESOURCE.c.id == id).values(**values))
