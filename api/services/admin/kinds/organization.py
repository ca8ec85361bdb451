"""Organizations: tenants. Nothing of one is ever seen from another."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import sqlalchemy as sa
from pydantic import Field

from api.kernel.models import Request
from api.kernel.resource import Level, Resource, Spec, Status, Text, Title
from api.kernel.resource_kind import ResourceKind
from api.kernel.roles import Role
from api.kernel.tables import RESOURCE
from api.kernel.unit import Unit
from api.services.admin.logic.lockout import refuse_lockout
from core.errors import Conflict


class OrganizationState(StrEnum):
    """In a SUSPENDED organization no login and no key works, and nothing can be created."""

    ACTIVE = "ACTIVE"
    SUSPENDED = "SUSPENDED"


class OrganizationSpec(Spec):
    """What an organization is."""

    title: Title
    """Name for people."""

    description: Text = ""
    """What it is for."""

    region: Annotated[str, Field(max_length=64, examples=["eu-central"])] = ""
    """Where its data shall stay; empty if that does not matter."""


class OrganizationStatus(Status):
    """How it is."""

    state: OrganizationState = OrganizationState.ACTIVE
    """Whether it can be used."""


class Organization(Resource[OrganizationSpec, OrganizationStatus]):
    """A tenant: people, projects and everything in them, closed to all other organizations."""


ORGANIZATION = ResourceKind(
    Organization,
    plural="organizations",
    prefix="org",
    level=Level.PLATFORM,
    opens=Level.ORGANIZATION,
    named=True,
    filter_by=("spec.region",),
    writers=Role.ADMIN,
)


@ORGANIZATION.transition(
    "suspend", request=Request, sources=(OrganizationState.ACTIVE,), to=OrganizationState.SUSPENDED, past="suspended"
)
def suspend_organization(unit: Unit, organization: Organization, request: Request) -> None:
    """Suspends an organization: at once, no login and no key of its members works, anywhere."""
    unit.rights_changed()


@ORGANIZATION.transition(
    "resume", request=Request, sources=(OrganizationState.SUSPENDED,), to=OrganizationState.ACTIVE, past="resumed"
)
def resume_organization(unit: Unit, organization: Organization, request: Request) -> None:
    """Lets the members of a suspended organization in again."""
    unit.rights_changed()


@ORGANIZATION.after("suspend", "delete")
def keep_an_admin(unit: Unit, organization: Organization) -> None:
    """Whoever administers the platform must still be able to."""
    unit.rights_changed()
    refuse_lockout(unit)


@ORGANIZATION.before("delete")
def refuse_while_in_use(unit: Unit, organization: Organization) -> None:
    """Deleting an organization never deletes what is in it."""
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
        what = ", ".join(f"{count} {kind.partition('.')[2]}" for kind, count in counts.items())
        raise Conflict(f"{organization.name} still holds {what}. Move or delete them first.", metadata=counts)
