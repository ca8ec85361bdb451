"""Organizations: tenants. No organization can see another one's resources."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import timedelta
from enum import StrEnum
from typing import Annotated

import sqlalchemy as sa
from pydantic import Field

from api.kernel.kinds import escalation
from api.kernel.kinds.context import Context
from api.kernel.kinds.resource import Level, Resource, Spec, Status, Text, Title
from api.kernel.kinds.resource_kind import ResourceKind
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Name, Query, Request
from api.kernel.permissions.power import Power
from api.kernel.roles import Role
from api.kernel.tables import PRINCIPAL, RESOURCE
from api.services.admin.logic import erasing, exporting
from core.errors import Conflict, InvalidPayload


class OrganizationState(StrEnum):
    """State of an organization. In a SUSPENDED one, no login or key works, and nothing can be created."""

    ACTIVE = "ACTIVE"
    SUSPENDED = "SUSPENDED"


class OrganizationSpec(Spec):
    """An organization."""

    title: Title
    """Display name."""

    description: Text = ""
    """Purpose of the organization."""

    region: Annotated[str, Field(max_length=64, examples=["eu-central"])] = ""
    """Region in which its data must stay. Empty if it does not matter."""


class OrganizationStatus(Status):
    """State of an organization."""

    state: OrganizationState = OrganizationState.ACTIVE
    """Whether the organization can be used."""


class Organization(Resource[OrganizationSpec, OrganizationStatus]):
    """A tenant. Its projects, users, groups, and roles are invisible to other organizations."""


ORGANIZATION = ResourceKind(
    Organization,
    plural="organizations",
    prefix="org",
    level=Level.PLATFORM,
    opens=Level.ORGANIZATION,
    named=Level.PLATFORM,
    filter_by=("spec.region",),
    writers=Role.ADMIN,
    powers={
        "create": Power.NOTHING,
        "update": Power.NOTHING,
        "delete": Power.NOTHING,
        "restore": Power.ACTS_AS,
        "suspend": Power.NOTHING,
        "resume": Power.ACTS_AS,
        "purge": Power.NOTHING,
    },
)


CONTENTS = "admin.organization.contents"


@ORGANIZATION.validate
def require_permission_to_name(unit: Unit, organization: Organization, was: Organization | None) -> None:
    """Requires the permission to create organizations for a new name: names are unique and part of logins."""
    if was is not None and organization.name != was.name:
        unit.require(ORGANIZATION.permission("create"))


@ORGANIZATION.transition(
    "suspend", request=Request, sources=(OrganizationState.ACTIVE,), to=OrganizationState.SUSPENDED, past="suspended"
)
def suspend_organization(unit: Unit, organization: Organization, request: Request) -> None:
    """Suspends an organization. Logins and keys of its members stop working immediately, everywhere."""
    unit.rights_changed()


@ORGANIZATION.transition(
    "resume", request=Request, sources=(OrganizationState.SUSPENDED,), to=OrganizationState.ACTIVE, past="resumed"
)
def resume_organization(unit: Unit, organization: Organization, request: Request) -> None:
    """Lets the members of a suspended organization log in again."""
    unit.rights_changed()


@ORGANIZATION.before("resume", "restore")
def require_rights_of_members(unit: Unit, organization: Organization) -> None:
    """Requires the rights of its members, because they hold them again."""
    members = sa.select(PRINCIPAL.c.id).where(PRINCIPAL.c.organization_id == organization.id)
    escalation.require_control_of_all(unit, unit.connection.execute(members).scalars().all())


@ORGANIZATION.after("suspend", "delete", "restore")
def require_an_admin(unit: Unit, organization: Organization) -> None:
    """Refuses the change if no admin can log in after it."""
    unit.rights_changed()


@ORGANIZATION.before("delete")
def refuse_while_in_use(unit: Unit, organization: Organization) -> None:
    """Refuses to delete an organization that still contains resources."""
    inside = (
        sa.select(RESOURCE.c.kind, sa.func.count())
        .where(
            RESOURCE.c.organization_id == organization.id,
            RESOURCE.c.id != organization.id,
            RESOURCE.c.deleted_at.is_(None),
        )
        .group_by(RESOURCE.c.kind)
        .order_by(RESOURCE.c.kind)
    )
    counts: dict[str, int] = {row[0]: row[1] for row in unit.connection.execute(inside)}
    if counts:
        contents = ", ".join(f"{count} {kind.partition('.')[2]}" for kind, count in counts.items())
        raise Conflict(f"{organization.name} still contains {contents}. Move or delete them first.", metadata=counts)


class PurgeOrganization(Request):
    """Confirmation of a purge."""

    name: Name
    """Name of the organization."""


class Purged(Model):
    """Result of a purge."""

    id: str
    """Id of the organization."""

    erased: dict[str, int]
    """Number of erased rows by kind."""


@ORGANIZATION.on_deleted("purge", request=PurgeOrganization, result=Purged, past="purged", role=Role.ADMIN)
def purge_organization(unit: Unit, organization: Organization, request: PurgeOrganization) -> Purged:
    """Erases a deleted organization permanently: its resources, users, keys, grants, definitions, and their history.

    It can be purged `purge_after_days` days after its deletion. Its events stay, because they record who erased what.
    Delta tables stay, too. They are erased with the assets of their projects.
    """
    days = unit.platform.settings.purge_after_days
    assert organization.deleted_at is not None
    due = organization.deleted_at + timedelta(days=days)
    if due > unit.now:
        raise Conflict(
            f"{organization.name} can be purged from {due:%Y-%m-%d %H:%M} UTC, {days} days after its deletion."
        )
    if request.name != organization.name:
        fault = {"pointer": "/name", "detail": "is not the name of this organization"}
        raise InvalidPayload("Send the name of the organization to purge.", errors=[fault])
    unit.rights_changed()
    return Purged(id=organization.id, erased=erasing.erase_organization(unit.connection, organization.id))


@ORGANIZATION.lines("contents", query=Query, role=Role.ADMIN)
async def get_organization_contents(ctx: Context, organization: str, query: Query) -> AsyncGenerator[bytes, None]:
    """Streams everything in an organization that the caller can see, as NDJSON: resources, grants, and memberships.

    Each line is `{"resource": ...}`, `{"grant": ...}`, or `{"member": ...}`. No line contains a secret.
    """
    place = (await ctx.read(lambda unit: unit.row(ORGANIZATION, organization, permission=CONTENTS))).id
    return exporting.contents(ctx, place)
