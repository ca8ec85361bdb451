"""The rules for the addresses of a connection: those of the operator, and the policies of its organization."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from connectors.egress import Egress, Policy
from core.settings import Settings

KIND = "connections.egress_policy"
"""The kind of the policies."""

_RESOURCE = sa.table(
    "resource",
    *(sa.column(name) for name in ("id", "kind", "organization_id", "deleted_at")),
    sa.column("spec", sa.JSON),
)
"""The columns of resources that say what applies. The API owns the table."""


def egress_of(connection: Connection, settings: Settings, organization_id: str, project_id: str) -> Egress:
    """Returns the rules for the connections of a project as they are now.

    Args:
        connection: a connection to the metadata database.
        settings: what the operator allows. A policy can only refuse more.
        organization_id: organization of the project.
        project_id: the project.
    """
    columns = _RESOURCE.c
    select = sa.select(columns.id, columns.spec).where(
        columns.kind == KIND, columns.organization_id == organization_id, columns.deleted_at.is_(None)
    )
    policies = [
        Policy(row.id, *(tuple(row.spec.get(name, ())) for name in ("denied", "allowed", "ports")))
        for row in connection.execute(select.order_by(columns.id))
        if not row.spec.get("projects") or project_id in row.spec["projects"]
    ]
    return Egress(private=settings.private_sources, policies=tuple(policies))
