"""Cross-tenant access after a move of a project: found for the preview, ended by the move.

Both use `find`, so that a move ends exactly what its preview lists.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.outbox import webhooks
from api.kernel.outbox.tables import WEBHOOK_ENDPOINT
from api.kernel.permissions.grants import Effect
from api.kernel.permissions.projects import FORMER
from api.kernel.storage import store
from api.kernel.tables import GRANT, MEMBER, OPERATION, PRINCIPAL, REFERENCE, RESOURCE, TOKEN
from core import clock
from core.definition_revisions import DEFINITION_REVISION
from core.definitions import DEFINITION
from core.pipelines import PUBLISHED_PIPELINE

_FROM = RESOURCE.alias("source")
_TO = RESOURCE.alias("target")


@dataclass(frozen=True, slots=True)
class CrossTenantAccess:
    """Everything that a move ends. The rows of grants also have the name of their `holder`."""

    grants: Sequence[Any]
    memberships: Sequence[Any]
    """Memberships of the project's service accounts in groups of another organization, with both names."""

    webhooks: Sequence[Any]
    """Endpoints of another organization that receive events of the project."""

    definitions: Sequence[Any]
    """Definitions of the project that a user of another organization published."""

    keys: Sequence[Any]
    """Keys of the project's service accounts, whose secrets the former organization has, with the accounts' names."""

    @property
    def blocked_definitions(self) -> list[str]:
        """Definitions that run now and will not run after the move."""
        return [row.asset_id for row in self.definitions if row.retired_at is None]


def find(connection: Connection, project_id: str, project: str, organization_id: str) -> CrossTenantAccess:
    """Returns the cross-tenant access after a move of the project with this id and name to an organization."""
    inside = sa.select(RESOURCE.c.id).where(RESOURCE.c.project_id == project_id)
    return CrossTenantAccess(
        _grants(connection, project_id, organization_id, inside),
        _memberships(connection, organization_id, inside),
        _webhooks(connection, project_id, organization_id),
        _definitions(connection, project, organization_id, inside),
        _keys(connection, inside),
    )


def end(connection: Connection, access: CrossTenantAccess, project: str, *, action: str, request_id: str) -> None:
    """Ends cross-tenant access."""
    connection.execute(GRANT.delete().where(GRANT.c.id.in_([row.id for row in access.grants])))
    for row in access.memberships:
        same = MEMBER.c.group_id == row.group_id, MEMBER.c.member_id == row.member_id
        connection.execute(MEMBER.delete().where(*same))
    for row in access.webhooks:
        webhooks.disable(connection, row.id)
        stored = store.find(connection, webhooks.KIND, row.id, within=None, lock=True)
        if stored is not None:
            status = json.dumps(json.loads(stored.status) | {"state": "DISABLED"})
            after = replace(stored, status=status, state="DISABLED", updated_at=clock.now())
            store.replace_row(connection, stored, after, action=action, request_id=request_id)
    keys = TOKEN.update().where(TOKEN.c.id.in_([row.id for row in access.keys]))
    connection.execute(keys.values(revoked_at=clock.now()))
    asset_ids = [row.asset_id for row in access.definitions]
    published = DEFINITION.update().where(DEFINITION.c.asset_id.in_(asset_ids))
    # No principal has this id, so the definition can't run until a user who can read its inputs publishes it.
    connection.execute(published.values(published_by=FORMER, published_by_id=FORMER))
    of_project = sa.select(DEFINITION.c.asset_id).where(DEFINITION.c.project == project)
    revisions = DEFINITION_REVISION.update().where(DEFINITION_REVISION.c.asset_id.in_(of_project))
    connection.execute(revisions.values(published_by=FORMER))
    pipelines = PUBLISHED_PIPELINE.update().where(PUBLISHED_PIPELINE.c.project == project)
    connection.execute(pipelines.values(published_by=FORMER, published_by_id=FORMER))
    definitions = DEFINITION.update().where(DEFINITION.c.project == project)
    connection.execute(definitions.values(created_by=FORMER))
    connection.execute(definitions.where(DEFINITION.c.retired_at.is_not(None)).values(retired_by=FORMER))


def leave_behind(connection: Connection, project_id: str) -> None:
    """Detaches the former organization's operations from the project, and removes its names from what moves.

    Operations stay with the organization that started them. No operation runs when a project moves.
    """
    connection.execute(OPERATION.update().where(OPERATION.c.project_id == project_id).values(project_id=None))
    connection.execute(GRANT.update().where(GRANT.c.project_id == project_id).values(created_by=FORMER))
    # Labels of keys, and the addresses of their last use.
    inside = sa.select(RESOURCE.c.id).where(RESOURCE.c.project_id == project_id)
    keys = TOKEN.update().where(TOKEN.c.principal_id.in_(inside))
    connection.execute(keys.values(label=FORMER, last_used_from=None))


def references(connection: Connection, project_id: str, organization_id: str) -> list[Any]:
    """Returns references between the project and resources outside of it that the new organization does not have.

    They prevent a move, because they would lead into another tenant.
    """
    inward = _FROM.c.project_id == project_id
    outward = _TO.c.project_id == project_id
    select = (
        sa.select(REFERENCE.c.field, _FROM.c.name.label("source"), _TO.c.name.label("target"))
        .add_columns(_FROM.c.id.label("source_id"), _TO.c.id.label("target_id"))
        .join(_FROM, _FROM.c.id == REFERENCE.c.from_id)
        .join(_TO, _TO.c.id == REFERENCE.c.to_id)
        .where(
            _FROM.c.deleted_at.is_(None),
            sa.or_(
                sa.and_(
                    inward, _TO.c.project_id.is_distinct_from(project_id), _TO.c.organization_id != organization_id
                ),
                sa.and_(
                    outward, _FROM.c.project_id.is_distinct_from(project_id), _FROM.c.organization_id != organization_id
                ),
            ),
        )
        .order_by(_FROM.c.name)
    )
    return list(connection.execute(select))


def _grants(connection: Connection, project_id: str, organization_id: str, inside: sa.Select[Any]) -> list[Any]:
    """Returns grants in the project of foreign roles or holders, and grants elsewhere of holders that move.

    Denies on the whole platform stay, because their end would grant a right.
    """
    role, holder = RESOURCE.alias("role"), RESOURCE.alias("holder")
    foreign_role = sa.and_(role.c.organization_id.is_not(None), role.c.organization_id != organization_id)
    foreign_holder = sa.and_(
        holder.c.organization_id != organization_id, holder.c.project_id.is_distinct_from(project_id)
    )
    in_project = sa.and_(GRANT.c.project_id == project_id, sa.or_(foreign_role, foreign_holder))
    on_platform = sa.and_(GRANT.c.organization_id.is_(None), GRANT.c.effect == Effect.ALLOW.value)
    elsewhere = sa.and_(
        GRANT.c.principal_id.in_(inside),
        GRANT.c.project_id.is_distinct_from(project_id),
        sa.or_(GRANT.c.organization_id != organization_id, on_platform),
    )
    select = (
        sa.select(GRANT, holder.c.name.label("holder"))
        .outerjoin(role, role.c.id == GRANT.c.role_id)
        .outerjoin(holder, holder.c.id == GRANT.c.principal_id)
        .where(sa.or_(in_project, elsewhere))
        .order_by(GRANT.c.id)
    )
    return list(connection.execute(select))


def _memberships(connection: Connection, organization_id: str, inside: sa.Select[Any]) -> list[Any]:
    group, member = RESOURCE.alias("in_group"), RESOURCE.alias("in_member")
    select = (
        sa.select(MEMBER.c.group_id, MEMBER.c.member_id, group.c.name.label("group"), member.c.name.label("member"))
        .add_columns(group.c.organization_id)
        .join(group, group.c.id == MEMBER.c.group_id)
        .join(member, member.c.id == MEMBER.c.member_id)
        .where(MEMBER.c.member_id.in_(inside), group.c.organization_id.is_distinct_from(organization_id))
        .order_by(MEMBER.c.group_id, MEMBER.c.member_id)
    )
    return list(connection.execute(select))


def _webhooks(connection: Connection, project_id: str, organization_id: str) -> list[Any]:
    select = (
        sa.select(WEBHOOK_ENDPOINT.c.id, RESOURCE.c.name, RESOURCE.c.organization_id)
        .join(RESOURCE, RESOURCE.c.id == WEBHOOK_ENDPOINT.c.id)
        .where(WEBHOOK_ENDPOINT.c.project_id == project_id, WEBHOOK_ENDPOINT.c.organization_id != organization_id)
        .where(RESOURCE.c.deleted_at.is_(None), RESOURCE.c.state == "ACTIVE")
        .order_by(WEBHOOK_ENDPOINT.c.id)
    )
    return list(connection.execute(select))


def _keys(connection: Connection, inside: sa.Select[Any]) -> list[Any]:
    select = (
        sa.select(TOKEN.c.id, TOKEN.c.label, TOKEN.c.principal_id, RESOURCE.c.name)
        .join(RESOURCE, RESOURCE.c.id == TOKEN.c.principal_id)
        .where(TOKEN.c.principal_id.in_(inside), TOKEN.c.revoked_at.is_(None), TOKEN.c.expires_at > clock.now())
    )
    return list(connection.execute(select.order_by(TOKEN.c.id)))


def _definitions(connection: Connection, project: str, organization_id: str, inside: sa.Select[Any]) -> list[Any]:
    local = sa.select(PRINCIPAL.c.id).where(
        sa.or_(PRINCIPAL.c.organization_id == organization_id, PRINCIPAL.c.id.in_(inside))
    )
    select = sa.select(DEFINITION.c.asset_id, DEFINITION.c.retired_at).where(
        DEFINITION.c.project == project,
        DEFINITION.c.published_at.is_not(None),
        sa.or_(DEFINITION.c.published_by_id.is_(None), DEFINITION.c.published_by_id.not_in(local)),
    )
    return list(connection.execute(select.order_by(DEFINITION.c.asset_id)))
