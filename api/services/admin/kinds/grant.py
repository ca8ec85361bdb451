"""Grants: which principal has which role or permission on which resource."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import sqlalchemy as sa
from pydantic import Field

from api.kernel import lookup, references
from api.kernel.kinds import escalation
from api.kernel.kinds.context import Context
from api.kernel.kinds.holders import holder
from api.kernel.kinds.kind import Kind
from api.kernel.kinds.refusals import denied
from api.kernel.kinds.slots import filter_references
from api.kernel.kinds.unit import Unit
from api.kernel.models import KindName, ListQuery, Model, Page, Request, Timestamp
from api.kernel.permissions import grants
from api.kernel.permissions.conditions import CONDITION_FIELDS, condition
from api.kernel.permissions.grants import Effect, GrantRow
from api.kernel.permissions.power import Power
from api.kernel.roles import Role
from api.kernel.storage.listing import SqlListing
from api.kernel.tables import GRANT as TABLE
from api.services.admin.logic import granting
from core.errors import InvalidPayload, NotFound
from core.ids import new_id

_LISTING = SqlListing(
    id=TABLE.c.id,
    fields={
        name: TABLE.c[name]
        for name in ("principal_id", "role_id", "permission", "effect", "securable_id", "securable_kind")
    },
    newest_first=True,
)


GRANT = Kind(
    "grant",
    plural="grants",
    title="Grant",
    description="A role or permission for a principal, on a resource and everything below it in the hierarchy.",
    example="gra_06e1xq0000example000000000",
    scoped=True,
    filter_by=tuple(_LISTING.fields),
    powers={
        "create": Power.GRANTS,
        "delete": Power.REMOVES_LIMIT,
        "apply": Power.GRANTS | Power.REMOVES_LIMIT,
    },
)


class Grant(Model):
    """A role or permission that is granted or denied."""

    id: str
    """Id of the grant."""

    principal_id: str
    """Id of the user, service account, or group."""

    role_id: str | None
    """Id of the role. Null if the grant is of a permission."""

    permission: str | None
    """Permission, or pattern of permissions. Null if the grant is of a role."""

    effect: Effect
    """ALLOW, or DENY, which overrides every ALLOW."""

    securable_id: str
    """Id of the organization, project, resource, or asset, or `platform`. The grant also holds for everything below."""

    securable_kind: str
    """Kind of that resource."""

    organization_id: str | None
    """Id of that resource's organization. Null for the platform."""

    project_id: str | None
    """Id of that resource's project, if it belongs to one."""

    condition: str
    """Condition that a resource must meet for the grant to hold. Empty if there is none."""

    expires_at: datetime | None
    """Time at which the grant expires. Null if it doesn't."""

    created_at: datetime
    """Time at which the grant was created."""

    created_by: str
    """Name of the principal that created the grant."""


class NewGrant(Request):
    """A role or permission to grant or deny."""

    principal_id: references.PrincipalReference
    """Id of the user, service account, or group."""

    role_id: references.Role | None = None
    """Id of the role. Send either this or a permission."""

    permission: (
        Annotated[
            str,
            Field(max_length=128, pattern=r"^(\*|[a-z_]+)(\.(\*|[a-z_]+)){0,2}$", examples=["ai_catalog.asset.get"]),
        ]
        | None
    ) = None
    """Permission, or pattern of permissions."""

    effect: Annotated[Effect, Field(strict=False)] = Effect.ALLOW
    """ALLOW or DENY."""

    securable_id: references.Securable
    """Id of an organization, project, resource, or asset, or `platform`."""

    securable_kind: Annotated[KindName, Field(examples=["ai_catalog.asset"])] = ""
    """Kind of that resource. Required only for resources that are identified by name, such as assets."""

    condition: Annotated[str, Field(max_length=2000, examples=['labels["stage"] == "test"'])] = ""
    """Condition that a resource must meet, as a filter in CEL."""

    expires_at: Timestamp | None = None
    """Time at which the grant expires."""


class GrantChanges(Request):
    """Grants to create and revoke together."""

    grant: Annotated[list[NewGrant], Field(max_length=200)] = []
    """Grants to create."""

    revoke: Annotated[list[references.GrantId], Field(max_length=200)] = []
    """Ids of grants to revoke."""


class GrantsChanged(Model):
    """Grants that were created and revoked."""

    granted: list[Grant]
    """The new grants."""

    revoked: list[str]
    """Ids of the revoked grants."""


@GRANT.list(query=ListQuery, item=Grant, role=Role.ADMIN)
async def list_grants(ctx: Context, query: ListQuery) -> Page[Grant]:
    """Lists the grants that the caller can see, newest first."""

    def read(unit: Unit) -> Page[Grant]:
        rows, token = _LISTING.rows(unit.connection, sa.select(TABLE).where(_visible(unit)), query)
        return Page[Grant](items=[grant_of_row(row) for row in rows], next_page_token=token)

    return await ctx.read(read)


@GRANT.get(result=Grant, role=Role.ADMIN)
async def get_grant(ctx: Context, grant: str) -> Grant:
    """Returns a grant by its id."""
    return await ctx.read(lambda unit: grant_of_row(require_grant(unit, grant, "get")))


@GRANT.create(request=NewGrant, result=Grant, role=Role.ADMIN, past="given")
async def create_grant(ctx: Context, request: NewGrant) -> Grant:
    """Grants or denies a role or a permission. It takes effect within a second.

    No caller can grant a right that they don't hold.
    """

    def change(unit: Unit) -> Grant:
        row = give(unit, request)
        ctx.subject, ctx.securable = row.id, granting.place_of_row(row)
        ctx.note(**grants.facts(row))
        return grant_of_row(row)

    return await ctx.write(change)


@GRANT.delete(role=Role.ADMIN, past="revoked")
async def delete_grant(ctx: Context, grant: str) -> None:
    """Revokes a grant. It ends everywhere within a second.

    The grant that makes the last admin an admin can't be revoked.
    """

    def change(unit: Unit) -> None:
        row = revoke(unit, grant)
        ctx.securable = granting.place_of_row(row)
        ctx.note(**grants.facts(row))

    await ctx.write(change)


@GRANT.collection_action("apply", request=GrantChanges, result=GrantsChanged, role=Role.ADMIN, past="applied")
async def apply_grants(ctx: Context, request: GrantChanges) -> GrantsChanged:
    """Creates and revokes up to 200 grants each in one transaction: all of them, or none."""

    def change(unit: Unit) -> GrantsChanged:
        revoked = [revoke(unit, id) for id in request.revoke]
        granted = [give(unit, item) for item in request.grant]
        for past, rows in (("revoked", revoked), ("given", granted)):
            for row in rows:
                unit.emit(f"admin.grant.{past}", row.id, granting.place_of_row(row), **grants.facts(row))
        return GrantsChanged(granted=[grant_of_row(row) for row in granted], revoked=list(request.revoke))

    return await ctx.write(change)


def plan_grant(unit: Unit, request: NewGrant) -> GrantRow:
    """Returns the grant of a request, checked but not stored."""
    if (request.role_id is None) is (request.permission is None):
        raise InvalidPayload(
            "Send either a role_id or a permission.",
            errors=[{"pointer": "/role_id", "detail": "one of the two"}],
        )
    holder(unit, request.principal_id, "/principal_id")
    place = granting.place_of(unit, request.securable_kind, request.securable_id)
    unit.require("admin.grant.create", place)
    if request.permission is not None:
        lookup.require_match(request.permission, unit.platform.permissions, "permission", "/permission")
    if request.condition:
        request.condition = unit.names.in_filter(request.condition, filter_references(CONDITION_FIELDS))
        condition(request.condition)
    if request.expires_at is not None and request.expires_at <= unit.now:
        fault = {"pointer": "/expires_at", "detail": "is in the past"}
        raise InvalidPayload("The grant would have expired already.", errors=[fault])
    row = GrantRow(
        id=new_id("gra"),
        principal_id=request.principal_id,
        role_id=request.role_id,
        permission=request.permission,
        effect=request.effect.value,
        securable_id=place.id,
        securable_kind=place.kind,
        organization_id=place.organization_id,
        project_id=place.project_id,
        condition=request.condition,
        expires_at=request.expires_at,
        created_at=unit.now,
        created_by=unit.principal.name,
    )
    rules = granting.rules_of(unit, row)
    if request.effect is Effect.ALLOW:
        escalation.require_rights(unit, rules)
    return row


def give(unit: Unit, request: NewGrant) -> GrantRow:
    """Stores a grant. The caller writes its event."""
    row = plan_grant(unit, request)
    escalation.store_grant(unit, row)
    return row


def revoke(unit: Unit, id: str) -> Any:
    """Revokes a grant and returns its row. The caller writes its event."""
    row = require_revocable(unit, id)
    unit.connection.execute(TABLE.delete().where(TABLE.c.id == id))
    unit.rights_changed()
    return row


def require_revocable(unit: Unit, id: str) -> Any:
    """Returns the row of a grant that the caller can revoke. They must hold what it denies."""
    row = require_grant(unit, id, "delete")
    escalation.require_removal(unit, grants.rules(unit.connection, TABLE.c.id == row.id))
    return row


def require_grant(unit: Unit, id: str, verb: str) -> Any:
    """Returns the row of a grant if the caller has the permission with this verb on it."""
    row = unit.connection.execute(sa.select(TABLE).where(TABLE.c.id == id)).first()
    place = granting.place_of_row(row) if row else None
    if place is None or not unit.allows("admin.grant.get", place):
        raise NotFound(f"There is no grant {id!r}.")
    if not unit.allows(f"admin.grant.{verb}", place):
        raise denied(f"admin.grant.{verb}")
    return row


def _visible(unit: Unit) -> sa.ColumnElement[bool]:
    return unit.principal.access.where("admin.grant.get", TABLE, id=TABLE.c.securable_id)


def grant_of_row(row: Any) -> Grant:
    """Returns the grant of a row in its response form."""
    return Grant(**{name: getattr(row, name) for name in Grant.model_fields})
