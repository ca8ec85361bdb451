"""Projects: parts of an organization. A project's name is the first part of the names of its tables and assets."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa

from api.kernel.kinds.refusals import unusable_name
from api.kernel.kinds.resource import Level, Resource, Spec, Status, Text, Title
from api.kernel.kinds.resource_kind import ResourceKind
from api.kernel.kinds.unit import Unit
from api.kernel.models import Request
from api.kernel.permissions.power import Power
from api.kernel.roles import Role
from api.kernel.securable import PLATFORM
from api.kernel.tables import RESOURCE
from api.services.admin.logic import project_names
from core.definitions import DEFINITION
from core.errors import Conflict


class ProjectState(StrEnum):
    """State of a project. Nothing can be created in an ARCHIVED or MOVING one. An ARCHIVED one stays readable."""

    ACTIVE = "ACTIVE"
    ARCHIVED = "ARCHIVED"
    MOVING = "MOVING"


class ProjectSpec(Spec):
    """A project."""

    title: Title
    """Display name."""

    description: Text = ""
    """Purpose of the project."""


class ProjectStatus(Status):
    """State of a project."""

    state: ProjectState = ProjectState.ACTIVE
    """Whether resources can be created in the project."""

    moved_at: datetime | None = None
    """Time at which it moved from another organization, or null. Earlier history is not shown."""


class Project(Resource[ProjectSpec, ProjectStatus]):
    """A part of an organization. Its name is the first part of the names of its tables and assets."""


PROJECT = ResourceKind(
    Project,
    plural="projects",
    prefix="prj",
    level=Level.ORGANIZATION,
    opens=Level.PROJECT,
    named=Level.PLATFORM,
    name=r"[a-z][a-z0-9_]{0,62}",
    writers=Role.ADMIN,
    powers={
        "create": Power.NOTHING,
        "update": Power.NOTHING,
        "delete": Power.NOTHING,
        "restore": Power.NOTHING,
        "archive": Power.NOTHING,
        "unarchive": Power.NOTHING,
        "move": Power.GRANTS | Power.REMOVES_LIMIT,
    },
)


@PROJECT.validate
def require_free_name(unit: Unit, project: Project, before: Project | None) -> None:
    """Refuses a name that a project ever had, because names of assets and tables start with the project's name."""
    if project.name == PLATFORM:
        raise unusable_name(PLATFORM)
    if before is None:
        project_names.require_free(unit, project.name, str(project.organization_id))


@PROJECT.transition("archive", request=Request, sources=(ProjectState.ACTIVE,), to=ProjectState.ARCHIVED)
def archive_project(unit: Unit, project: Project, request: Request) -> None:
    """Archives a project. Everything in it stays readable, and nothing can be created in it."""


@PROJECT.transition("unarchive", request=Request, sources=(ProjectState.ARCHIVED,), to=ProjectState.ACTIVE)
def unarchive_project(unit: Unit, project: Project, request: Request) -> None:
    """Makes an archived project active again."""


@PROJECT.validate
def refuse_new_name(unit: Unit, project: Project, before: Project | None) -> None:
    """Refuses to rename a project, because its tables and their lineage contain its name."""
    if before is not None and project.name != before.name:
        raise Conflict("A project can't be renamed: its tables and their lineage contain its name. Change its title.")


@PROJECT.before("delete")
def refuse_while_in_use(unit: Unit, project: Project) -> None:
    """Refuses to delete a project that contains resources or live definitions, which would continue to run."""
    inside = sa.select(RESOURCE.c.kind, RESOURCE.c.name).where(
        RESOURCE.c.project_id == project.id, RESOURCE.c.id != project.id, RESOURCE.c.deleted_at.is_(None)
    )
    first = unit.connection.execute(inside.limit(1)).first()
    if first:
        noun = first.kind.partition(".")[2].replace("_", " ")
        raise Conflict(f"{project.name} still contains the {noun} {first.name}. Delete or move its contents first.")
    live = sa.select(sa.func.count()).where(
        DEFINITION.c.project == project.name,
        DEFINITION.c.published_attributes.is_not(None),
        DEFINITION.c.retired_at.is_(None),
    )
    if count := unit.connection.execute(live).scalar_one():
        raise Conflict(f"{project.name} still has live definitions: {count}. Retire them first.")


@PROJECT.after("create", "delete", "restore")
def reload_projects(unit: Unit, project: Project) -> None:
    """Makes every process reload its map of projects."""
    unit.forget()
