"""Permanent erasure of deleted organizations."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.outbox.tables import WEBHOOK_ENDPOINT
from api.kernel.permissions.projects import PROJECT
from api.kernel.storage import store
from api.kernel.tables import GRANT, MEMBER, PRINCIPAL, RESOURCE, TOKEN, tables_of_organizations, tables_of_projects
from api.services.admin.logic import project_names
from api.services.admin.login_tables import PASSWORD_RESET
from core import publications


def erase_organization(connection: Connection, id: str) -> dict[str, int]:
    """Removes every row of an organization except its events, and returns the number of rows of each kind."""
    project_names.reserve_names(connection, id)
    rows = connection.execute(
        sa.select(RESOURCE.c.id, RESOURCE.c.kind, RESOURCE.c.name).where(RESOURCE.c.organization_id == id)
    ).all()
    ids = [row.id for row in rows]
    members = sa.select(PRINCIPAL.c.id).where(PRINCIPAL.c.organization_id == id)
    projects = [row.name for row in rows if row.kind == PROJECT]
    erased = {kind: sum(row.kind == kind for row in rows) for kind in sorted({row.kind for row in rows})}
    connection.execute(PASSWORD_RESET.delete().where(PASSWORD_RESET.c.id.in_(members)))
    erased["keys"] = connection.execute(TOKEN.delete().where(TOKEN.c.principal_id.in_(members))).rowcount
    affected = sa.or_(GRANT.c.principal_id.in_(ids), GRANT.c.securable_id.in_(ids), GRANT.c.organization_id == id)
    erased["grants"] = connection.execute(GRANT.delete().where(affected)).rowcount
    connection.execute(MEMBER.delete().where(sa.or_(MEMBER.c.group_id.in_(ids), MEMBER.c.member_id.in_(ids))))
    connection.execute(PRINCIPAL.delete().where(PRINCIPAL.c.organization_id == id))
    connection.execute(WEBHOOK_ENDPOINT.delete().where(WEBHOOK_ENDPOINT.c.organization_id == id))
    if definitions := publications.erase(connection, projects):
        erased["definitions"] = definitions
    for table in (*tables_of_organizations(), *(table for table, _ in tables_of_projects())):
        erased[table.name] = connection.execute(table.delete().where(table.c.organization_id == id)).rowcount
    store.erase(connection, ids)
    return {kind: count for kind, count in erased.items() if count or kind in ("keys", "grants")}
