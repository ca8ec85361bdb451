"""Names of purged projects"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_EVENT = sa.table("event", sa.column("type"), sa.column("data", sa.JSON))
_RESOURCE = sa.table("resource", sa.column("kind"), sa.column("name"))
_PROJECT = "admin.project"


def upgrade() -> None:
    """Applies the change. The names of projects that are already purged come from the audit log."""
    table = op.create_table(
        "purged_project",
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_purged_project")),
    )
    connection = op.get_bind()
    created = sa.select(_EVENT.c.data["name"].as_string()).where(_EVENT.c.type == f"{_PROJECT}.created")
    existing = sa.select(_RESOURCE.c.name).where(_RESOURCE.c.kind == _PROJECT)
    names = set(connection.scalars(created)) - set(connection.scalars(existing)) - {None}
    if names:
        connection.execute(table.insert(), [{"name": name} for name in sorted(names)])


def downgrade() -> None:
    """Reverts the change."""
    op.drop_table("purged_project")
