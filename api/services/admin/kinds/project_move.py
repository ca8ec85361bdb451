"""Moves of projects to another organization: preview and move."""

from __future__ import annotations

from collections import Counter

import sqlalchemy as sa

from api.kernel import references
from api.kernel.kinds import escalation
from api.kernel.kinds.context import Context
from api.kernel.kinds.placement import scope_of_new
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Request
from api.kernel.permissions.grants import BUILT_IN, Effect
from api.kernel.roles import Role
from api.kernel.sagas.saga import SagaCall
from api.kernel.securable import Securable
from api.kernel.storage import store
from api.kernel.tables import GRANT
from api.services.admin.kinds.project import PROJECT, Project, ProjectState
from api.services.admin.logic import cross_tenant_access, granting, moving, visible_names
from core.errors import Conflict, ExceedsRights


class MoveProject(Request):
    """Target of a move."""

    organization_id: references.Organization
    """Id of the organization to move to."""


class LostGrant(Model):
    """A grant that the move ends."""

    grant_id: str
    """Id of the grant."""

    principal_id: str
    """Id of the principal that loses it."""

    name: str
    """Name of that principal. Empty if the caller can't see it."""

    securable_id: str
    """Id of the resource that the grant is on."""


class LostMembership(Model):
    """A membership that the move ends."""

    group_id: str
    """Id of the group."""

    group: str
    """Name of the group."""

    member_id: str
    """Id of the service account that leaves the group."""

    name: str
    """Name of the service account."""


class RevokedKey(Model):
    """A key that the move revokes."""

    key_id: str
    """Id of the key."""

    label: str
    """Purpose of the key."""

    principal_id: str
    """Id of the project's service account that it authenticates."""

    name: str
    """Name of the service account."""


class OrganizationGrant(Model):
    """A grant on an organization, which applies to all of its projects."""

    grant_id: str
    """Id of the grant."""

    principal_id: str
    """Id of the principal."""

    role: str | None
    """Name of the role. Null if the grant is of a single permission, or if the caller can't see the role."""

    permission: str | None
    """Permission, or pattern of permissions. Null if the grant is of a role."""

    effect: Effect
    """ALLOW, or DENY."""


class MovePreview(Model):
    """Effect that a move would have."""

    organization_id: str
    """Id of the organization to move to."""

    movable: bool
    """Whether the project can move."""

    blockers: list[str]
    """Reasons why the project can't move."""

    resources: dict[str, int]
    """Number of resources that would move, by kind."""

    hidden: bool
    """Whether items that the caller can't see are left out of the lists below."""

    ending_grants: list[OrganizationGrant]
    """Grants on the former organization, which would no longer apply to the project."""

    beginning_grants: list[OrganizationGrant]
    """Grants on the other organization, which would apply to the project."""

    lost_grants: list[LostGrant]
    """Grants that would end, because they would hold across organizations."""

    lost_memberships: list[LostMembership]
    """Groups that service accounts of the project would leave."""

    disabled_webhooks: list[str]
    """Ids of webhook endpoints of the former organization that would no longer receive the project's events."""

    blocked_definitions: list[str]
    """Definitions that would not run until a user of the new organization publishes them."""

    revoked_keys: list[RevokedKey]
    """Keys of the project's service accounts that would be revoked, as the former organization has their secrets."""

    names: dict[str, str]
    """Names of the principals, places, and webhook endpoints of this answer by id, as far as the caller can see them.
    """


@PROJECT.command("preview-move", request=MoveProject, result=MovePreview, reads=True, role=Role.ADMIN)
def preview_move(unit: Unit, project: Project, request: MoveProject) -> MovePreview:
    """Returns what a move to another organization would take along and end, and what prevents it. Changes nothing."""
    target = _target(unit, project, request)
    blockers = [
        f"{_name_of(unit, row.source_id)} uses {_name_of(unit, row.target_id)} ({row.field}), which doesn't move."
        for row in cross_tenant_access.references(unit.connection, project.id, target.id)
    ]
    if project.status.state is ProjectState.MOVING:
        blockers.append("The project is being moved already.")
    ended = cross_tenant_access.find(unit.connection, project.id, project.name, target.id)
    grants = [row for row in ended.grants if unit.allows("admin.grant.get", granting.place_of_row(row))]
    memberships = [row for row in ended.memberships if _is_visible(unit, row.group_id)]
    webhooks = [row for row in ended.webhooks if _is_visible(unit, row.id)]
    ending, ending_hidden = _grants_on(unit, project.organization_id)
    beginning, beginning_hidden = _grants_on(unit, target.id)
    visible = (len(grants), len(memberships), len(webhooks))
    all_visible = visible == (len(ended.grants), len(ended.memberships), len(ended.webhooks))
    ids = [
        *(row.principal_id for row in (*ending, *beginning)),
        *(id for row in grants for id in (row.principal_id, row.securable_id)),
        *(row.id for row in webhooks),
    ]
    return MovePreview(
        organization_id=target.id,
        movable=not blockers,
        blockers=blockers,
        resources=dict(sorted(Counter(row.kind for row in moving.inside(unit.connection, project.id)).items())),
        hidden=not all_visible or ending_hidden or beginning_hidden,
        ending_grants=ending,
        beginning_grants=beginning,
        lost_grants=[
            LostGrant(
                grant_id=row.id,
                principal_id=row.principal_id,
                name=row.holder if row.holder and _is_visible(unit, row.principal_id) else "",
                securable_id=row.securable_id,
            )
            for row in grants
        ],
        lost_memberships=[
            LostMembership(group_id=row.group_id, group=row.group, member_id=row.member_id, name=row.member)
            for row in memberships
        ],
        disabled_webhooks=[row.id for row in webhooks],
        blocked_definitions=ended.blocked_definitions,
        revoked_keys=[
            RevokedKey(key_id=row.id, label=row.label, principal_id=row.principal_id, name=row.name)
            for row in ended.keys
        ],
        names=visible_names.names_of(unit, ids),
    )


@PROJECT.action("move", request=MoveProject, long=True, role=Role.ADMIN)
async def move_project(ctx: Context, project: str, request: MoveProject) -> SagaCall[moving.ProjectMove]:
    """Moves a project with everything in it to another organization.

    Nothing can be created in the project while it moves. The move waits for its runs, then changes the owner in one
    transaction. A failure before that is undone. Keys of its service accounts are revoked; issue new ones after the
    move. Requires the permission to create projects in the other organization.
    """

    def plan(unit: Unit) -> moving.ProjectMove:
        moved = unit.get(PROJECT, project, permission=PROJECT.permission("move"))
        target = _target(unit, moved, request)
        if moved.status.state is ProjectState.MOVING:
            raise Conflict(f"{moved.name} is being moved already.")
        if target.id == moved.organization_id:
            raise Conflict(f"{moved.name} is in that organization already.")
        place = Securable(moved.kind, moved.id, moved.organization_id, moved.id)
        escalation.require_rights(unit, moving.gained(unit.connection, place, target.id))
        # The policies of an organization end with the move.
        if escalation.rights_of_caller(unit).reader.in_project(moved.organization_id, moved.name):
            raise ExceedsRights("A policy on rows of the project restricts you. Ask a user whom it exempts.")
        ctx.subject, ctx.securable = moved.id, place
        return moving.ProjectMove(project_id=moved.id, organization_id=target.id, state=moved.status.state.value)

    return moving.SAGA.of(await ctx.read(plan))


def _grants_on(unit: Unit, organization_id: str | None) -> tuple[list[OrganizationGrant], bool]:
    """Returns the grants on an organization that the caller can see, and whether others are hidden."""
    if organization_id is None or not unit.allows(
        "admin.grant.get", Securable("admin.organization", organization_id, organization_id)
    ):
        return [], True
    rows = unit.connection.execute(
        sa.select(GRANT).where(GRANT.c.securable_id == organization_id).order_by(GRANT.c.id)
    ).all()
    roles = visible_names.names_of(unit, (row.role_id for row in rows))
    return [
        OrganizationGrant(
            grant_id=row.id,
            principal_id=row.principal_id,
            role=BUILT_IN[row.role_id].value.lower() if row.role_id in BUILT_IN else roles.get(row.role_id),
            permission=row.permission,
            effect=Effect(row.effect),
        )
        for row in rows
    ], False


def _is_visible(unit: Unit, id: str) -> bool:
    """Returns whether the caller can see a resource of any kind."""
    row = store.find_any(unit.connection, id)
    return row is not None and unit.allows(f"{row.kind}.get", row.securable, row)


def _name_of(unit: Unit, id: str) -> str:
    """Returns the name of a resource if the caller can see it."""
    row = store.find_any(unit.connection, id)
    return row.name if row and _is_visible(unit, id) else "a resource of another organization"


def _target(unit: Unit, project: Project, request: MoveProject) -> Securable:
    """Returns the organization to move to. The caller must be able to create projects in it."""
    target = scope_of_new(unit, PROJECT, request.organization_id, None)
    unit.require("admin.project.create", target)
    return target
