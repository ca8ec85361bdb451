"""Names of users are unique in their organization"""

import sqlalchemy as sa
from alembic import op

import core.db

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_PRINCIPAL = sa.table(
    "principal",
    *(sa.column(name, sa.String) for name in ("id", "name", "kind")),
    *(sa.column(name, core.db.UtcDateTime) for name in ("created_at", "named_at")),
)
_RESOURCE = sa.table(
    "resource",
    *(sa.column(name, sa.String) for name in ("id", "kind", "organization_id", "scope_id", "name")),
)
_USERS = _RESOURCE.c.kind == "admin.user"
_TOKEN = sa.table(
    "token",
    *(sa.column(name, sa.String) for name in ("id", "principal_id", "kind", "label", "digest", "prefix", "family")),
    *(sa.column(name, sa.String) for name in ("replaced_by", "last_used_from")),
    sa.column("scopes", sa.JSON),
    *(sa.column(name, core.db.UtcDateTime) for name in ("created_at", "expires_at", "revoked_at", "last_used_at")),
)


def upgrade() -> None:
    """Applies the change. All users keep their names."""
    connection = op.get_bind()
    connection.execute(_RESOURCE.update().where(_USERS).values(scope_id=_RESOURCE.c.organization_id))
    with op.batch_alter_table("principal", schema=None) as batch_op:
        batch_op.add_column(sa.Column("named_at", core.db.UtcDateTime(timezone=True), nullable=True))
    connection.execute(_PRINCIPAL.update().values(named_at=_PRINCIPAL.c.created_at))
    tokens = _without_tokens()
    with op.batch_alter_table("principal", schema=None) as batch_op:
        batch_op.alter_column("named_at", nullable=False)
        batch_op.drop_constraint("uq_principal_name", type_="unique")
    with op.batch_alter_table("principal", schema=None) as batch_op:
        batch_op.create_index("uq_principal_name", ["name", "organization_id"], unique=True)
    _with_tokens(tokens)


def downgrade() -> None:
    """Reverts the change. Of users with the same name, all except the first get a name that ends in their id."""
    connection = op.get_bind()
    taken: set[str] = set()
    principals = sa.select(_PRINCIPAL.c.id, _PRINCIPAL.c.name).order_by(_PRINCIPAL.c.named_at, _PRINCIPAL.c.id)
    for id, name in connection.execute(principals).all():
        if name in taken:
            other = f"{name[:60]}-{id}"
            for table in (_PRINCIPAL, _RESOURCE):
                connection.execute(table.update().where(table.c.id == id).values(name=other))
        taken.add(name)
    connection.execute(_RESOURCE.update().where(_USERS).values(scope_id="platform"))
    tokens = _without_tokens()
    with op.batch_alter_table("principal", schema=None) as batch_op:
        batch_op.drop_index("uq_principal_name")
    with op.batch_alter_table("principal", schema=None) as batch_op:
        batch_op.drop_column("named_at")
        batch_op.create_unique_constraint("uq_principal_name", ["name"])
    _with_tokens(tokens)


def _without_tokens() -> list[dict[str, object]]:
    """Removes and returns the tokens on SQLite, which recreates the table of principals that they refer to."""
    connection = op.get_bind()
    if connection.dialect.name != "sqlite":
        return []
    rows = [dict(row) for row in connection.execute(sa.select(_TOKEN)).mappings()]
    connection.execute(_TOKEN.delete())
    return rows


def _with_tokens(rows: list[dict[str, object]]) -> None:
    if rows:
        op.get_bind().execute(_TOKEN.insert(), rows)
