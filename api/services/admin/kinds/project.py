"""Projects: the parts of an organization, and the first part of the name of every table and asset in them."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from typing import Annotated

import sqlalchemy as sa
from pydantic import Field

from api.kernel.kinds.context import Context
from api.kernel.kinds.resource import Level, Resource, Spec, Status, Text, Title
from api.kernel.kinds.resource_kind import ResourceKind
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Request
from api.kernel.roles import Role
from api.kernel.sagas.saga import SagaCall
from api.kernel.securable import PLATFORM, Securable
from api.kernel.tables import RESOURCE
from api.services.admin.logic import moving
from core.errors import Conflict, InvalidPayload


class ProjectState(StrEnum):
    """In an ARCHIVED project everything can be read and nothing can be created; neither while one is MOVING."""

    ACTIVE = "ACTIVE"
    ARCHIVED = "ARCHIVED"
    MOVING = "MOVING"


class ProjectSpec(Spec):
    """What a project is."""

    title: Title
    """Name for people."""

    description: Text = ""
    """What it is for."""


class ProjectStatus(Status):
    """How it is."""

    state: ProjectState = ProjectState.ACTIVE
    """Whether things can be created in it."""


class Project(Resource[ProjectSpec, ProjectStatus]):
    """A part of an organization. Its name is the first part of the names of its tables and assets."""


class MoveProject(Request):
    """Where to move a project."""

    organization_id: Annotated[str, Field(min_length=1, max_length=128)]
    """Id or name of the organization it shall belong to."""


class LostGrant(Model):
    """A grant that a move ends."""

    grant_id: str
    """The grant."""

    principal_id: str
    """Who loses it."""

    name: str
    """Name of that."""

    securable_id: str
    """What it holds on."""


class MovePreview(Model):
    """What a move would do."""

    organization_id: str
    """Where the project would go."""

    movable: bool
    """Whether nothing stands in the way."""

    blockers: list[str]
    """What does."""

    resources: dict[str, int]
    """What would move, counted by kind."""

    lost_grants: list[LostGrant]
    """Grants that would end, since they would reach from one organization into another."""


PROJECT = ResourceKind(
    Project,
    plural="projects",
    prefix="prj",
    level=Level.ORGANIZATION,
    opens=Level.PROJECT,
    named=True,
    name=r"[a-z][a-z0-9_]{0,62}",
    writers=Role.ADMIN,
)


@PROJECT.validate
def keep_the_name_of_the_platform(unit: Unit, project: Project, before: Project | None) -> None:
    """Assets stand in the project that is the first part of their names, and the platform has assets of its own."""
    if project.name == PLATFORM:
        fault = {"pointer": "/name", "detail": "is the name of the platform itself"}
        raise InvalidPayload("No project can be named platform. Choose another name.", errors=[fault])


@PROJECT.transition("archive", request=Request, sources=(ProjectState.ACTIVE,), to=ProjectState.ARCHIVED)
def archive_project(unit: Unit, project: Project, request: Request) -> None:
    """Archives a project: everything in it stays readable, nothing can be created in it."""


@PROJECT.transition("unarchive", request=Request, sources=(ProjectState.ARCHIVED,), to=ProjectState.ACTIVE)
def unarchive_project(unit: Unit, project: Project, request: Request) -> None:
    """Opens an archived project again."""


@PROJECT.command("preview-move", request=MoveProject, result=MovePreview, reads=True, role=Role.ADMIN)
def preview_move(unit: Unit, project: Project, request: MoveProject) -> MovePreview:
    """Tells what a move to another organization would take along, end, and stumble over. Changes nothing."""
    target = _target(unit, project, request)
    crossing = moving.crossing_references(unit.connection, project.id, target.id)
    blockers = [f"{row.source} uses {row.target} ({row.field}), which does not move along." for row in crossing]
    if project.status.state is ProjectState.MOVING:
        blockers.append("The project is being moved already.")
    lost = [
        LostGrant(grant_id=row.id, principal_id=row.principal_id, name=row.holder or "", securable_id=row.securable_id)
        for row in moving.stranded_grants(unit.connection, project.id, target.id)
    ]
    return MovePreview(
        organization_id=target.id,
        movable=not blockers,
        blockers=blockers,
        resources=dict(sorted(Counter(row.kind for row in moving.inside(unit.connection, project.id)).items())),
        lost_grants=lost,
    )


@PROJECT.action("move", request=MoveProject, long=True, role=Role.ADMIN)
async def move_project(ctx: Context, project: str, request: MoveProject) -> SagaCall[moving.ProjectMove]:
    """Moves a project with everything in it to another organization.

    Nothing can be created in it meanwhile. It waits for what runs in it, then hands everything over in one transaction;
    what fails before that is undone. Needs the right to create projects in the other organization.
    """

    def look(unit: Unit) -> moving.ProjectMove:
        found = unit.get(PROJECT, project, permission=PROJECT.permission("move"))
        target = _target(unit, found, request)
        if found.status.state is ProjectState.MOVING:
            raise Conflict(f"{found.name} is being moved already.")
        if target.id == found.organization_id:
            raise Conflict(f"{found.name} is in that organization already.")
        ctx.subject, ctx.securable = found.id, Securable(found.kind, found.id, found.organization_id, found.id)
        return moving.ProjectMove(project_id=found.id, organization_id=target.id, state=found.status.state.value)

    return moving.SAGA.of(await ctx.read(look))


def _target(unit: Unit, project: Project, request: MoveProject) -> Securable:
    """The organization to move to, where the caller must be allowed to create projects."""
    target = unit.scope(PROJECT, request.organization_id, None)
    unit.require("admin.project.create", target)
    return target


@PROJECT.validate
def keep_its_name(unit: Unit, project: Project, before: Project | None) -> None:
    """Tables and lineage carry the name, so it stays."""
    if before is not None and project.name != before.name:
        raise Conflict("A project keeps its name: its tables and their lineage carry it. Change its title instead.")


@PROJECT.before("delete")
def refuse_while_in_use(unit: Unit, project: Project) -> None:
    """Deleting a project never deletes what is in it."""
    inside = sa.select(RESOURCE.c.kind, RESOURCE.c.name).where(
        RESOURCE.c.project_id == project.id, RESOURCE.c.id != project.id, RESOURCE.c.deleted_at.is_(None)
    )
    first = unit.connection.execute(inside.limit(1)).first()
    if first:
        noun = first.kind.partition(".")[2].replace("_", " ")
        raise Conflict(f"{project.name} still holds the {noun} {first.name}. Delete or move what is in it first.")


@PROJECT.after("create", "delete", "restore")
def tell_where_it_is(unit: Unit, project: Project) -> None:
    """Every process keeps in memory which project is where."""
    unit.rights_changed()
