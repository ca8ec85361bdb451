"""Organizations: tenants. Nothing of one is ever seen from another."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import timedelta
from enum import StrEnum
from typing import Annotated

import sqlalchemy as sa
from pydantic import Field

from api.kernel.kinds.context import Context
from api.kernel.kinds.resource import Level, Resource, Spec, Status, Text, Title
from api.kernel.kinds.resource_kind import ResourceKind
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Query, Request
from api.kernel.roles import Role
from api.kernel.tables import RESOURCE
from api.services.admin.logic import erasing, exporting
from api.services.admin.logic.lockout import refuse_lockout
from core.errors import Conflict, InvalidPayload


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


CONTENTS = "admin.organization.contents"


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


class PurgeOrganization(Request):
    """What to purge, to be sure."""

    name: Annotated[str, Field(max_length=128)]
    """Name of the organization."""


class Purged(Model):
    """What is gone for good."""

    id: str
    """Id of the organization."""

    erased: dict[str, int]
    """What was erased, counted by kind of row."""


@ORGANIZATION.on_deleted("purge", request=PurgeOrganization, result=Purged, past="purged", role=Role.ADMIN)
def purge_organization(unit: Unit, organization: Organization, request: PurgeOrganization) -> Purged:
    """Erases a deleted organization for good: its things, people, keys, grants and their history.

    It must have been deleted for as many days as the setting `purge_after_days` says. The trail of events stays, since
    it tells who erased what; so do Delta tables, which are erased with their projects' assets.
    """
    days = unit.platform.settings.purge_after_days
    assert organization.deleted_at is not None
    due = organization.deleted_at + timedelta(days=days)
    if due > unit.now:
        raise Conflict(
            f"{organization.name} can be purged from {due:%Y-%m-%d %H:%M} UTC on, {days} days after its deletion."
        )
    if request.name != organization.name:
        fault = {"pointer": "/name", "detail": "is not the name of this organization"}
        raise InvalidPayload("Send the name of the organization to purge.", errors=[fault])
    return Purged(id=organization.id, erased=erasing.erase_organization(unit.connection, organization.id))


@ORGANIZATION.lines("contents", query=Query, role=Role.ADMIN)
async def get_organization_contents(ctx: Context, organization: str, query: Query) -> AsyncGenerator[bytes, None]:
    """Streams everything in an organization that the caller may see, as NDJSON: things, grants and memberships.

    Each line is `{"resource": ...}`, `{"grant": ...}` or `{"member": ...}`. No secret is in it.
    """
    place = (await ctx.read(lambda unit: unit.row(ORGANIZATION, organization, permission=CONTENTS))).id
    return exporting.contents(ctx, place)
