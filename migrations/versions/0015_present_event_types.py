"""Webhook endpoints subscribe to the present names of event types"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

RENAMED = {
    "admin.grant.created": "admin.grant.given",
    "admin.grant.deleted": "admin.grant.revoked",
    "admin.signing_key.rotated": "admin.signing_key.activated",
}
"""Present event types by the former ones, which no event has anymore."""

_ENDPOINT = sa.table("webhook_endpoint", sa.column("id", sa.String), sa.column("types", sa.JSON))
_RESOURCE = sa.table("resource", sa.column("id", sa.String), sa.column("kind", sa.String), sa.column("spec", sa.JSON))
_ENDPOINTS = _RESOURCE.c.kind == "admin.webhook_endpoint"


def present(types: list[str]) -> list[str]:
    """Returns event types with the present names, each once."""
    return list(dict.fromkeys(RENAMED.get(type, type) for type in types))


def upgrade() -> None:
    """Applies the change. An endpoint that names only former types would never receive an event."""
    connection = op.get_bind()
    for id, types in connection.execute(sa.select(_ENDPOINT.c.id, _ENDPOINT.c.types)).all():
        if present(types) != types:
            connection.execute(_ENDPOINT.update().where(_ENDPOINT.c.id == id).values(types=present(types)))
    for id, spec in connection.execute(sa.select(_RESOURCE.c.id, _RESOURCE.c.spec).where(_ENDPOINTS)).all():
        if (types := present(spec["types"])) != spec["types"]:
            changed: dict[str, Any] = spec | {"types": types}
            connection.execute(_RESOURCE.update().where(_RESOURCE.c.id == id).values(spec=changed))


def downgrade() -> None:
    """Reverts nothing: no event has the former types in the previous release either."""
