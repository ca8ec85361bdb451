"""Grants: who may do what on which thing."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import sqlalchemy as sa
from pydantic import Field

from api.kernel.kinds.context import Context
from api.kernel.kinds.kind import Kind
from api.kernel.kinds.unit import Unit, denied
from api.kernel.models import ListQuery, Model, Page, Request, Timestamp
from api.kernel.permissions import grants
from api.kernel.permissions.access import pattern_matches
from api.kernel.permissions.conditions import condition
from api.kernel.permissions.grants import Effect, GrantRow
from api.kernel.roles import Role
from api.kernel.securable import Securable
from api.kernel.storage.listing import SqlListing
from api.kernel.tables import GRANT as TABLE
from api.services.admin.logic import granting
from api.services.admin.logic.lockout import refuse_lockout
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
    description="A role or a single permission, given to a principal or group on a thing and all that is below it.",
    example="gra_06e1xq0000example000000000",
    scoped=True,
    filter_by=tuple(_LISTING.fields),
)


class Grant(Model):
    """A right that was given, or denied."""

    id: str
    """Id of the grant."""

    principal_id: str
    """User, service account or group it is given to."""

    role_id: str | None
    """Role it gives; null if it gives a single permission."""

    permission: str | None
    """Permission, or pattern of permissions, it gives; null if it gives a role."""

    effect: Effect
    """ALLOW, or DENY, which wins over every ALLOW."""

    securable_id: str
    """What it holds on, and on all below: `platform`, an organization, a project, a resource, an asset."""

    securable_kind: str
    """Kind of that."""

    organization_id: str | None
    """Organization of that; null for the platform."""

    project_id: str | None
    """Project of that, if it is in one."""

    condition: str
    """What must be true of a resource for the grant to hold; empty if nothing."""

    expires_at: datetime | None
    """When it ends by itself; null if it does not."""

    created_at: datetime
    """When it was given."""

    created_by: str
    """Name of who gave it."""


class NewGrant(Request):
    """A right to give, or to deny."""

    principal_id: Annotated[str, Field(max_length=64, examples=["usr_06e1xq0000example000000000"])]
    """User, service account or group to give it to."""

    role_id: Annotated[str, Field(max_length=64, examples=["rol_viewer"])] | None = None
    """Role to give. Either this or a permission."""

    permission: (
        Annotated[
            str,
            Field(max_length=128, pattern=r"^(\*|[a-z_]+)(\.(\*|[a-z_]+)){0,2}$", examples=["ai_catalog.asset.get"]),
        ]
        | None
    ) = None
    """Permission, or pattern of permissions, to give."""

    effect: Annotated[Effect, Field(strict=False)] = Effect.ALLOW
    """ALLOW, or DENY."""

    securable_id: Annotated[str, Field(min_length=1, max_length=256, examples=["platform"])]
    """What it shall hold on: `platform`, or the id of an organization, project, resource or asset."""

    securable_kind: Annotated[str, Field(max_length=64, examples=["ai_catalog.asset"])] = ""
    """Kind of that; needed only for what is found by name, such as assets."""

    condition: Annotated[str, Field(max_length=2000, examples=['labels["stage"] == "test"'])] = ""
    """What must be true of a resource, in the language of filters."""

    expires_at: Timestamp | None = None
    """When it shall end by itself."""


class GrantChanges(Request):
    """Grants to give and to revoke together."""

    grant: Annotated[list[NewGrant], Field(max_length=200)] = []
    """Grants to give."""

    revoke: Annotated[list[Annotated[str, Field(max_length=64)]], Field(max_length=200)] = []
    """Ids of grants to revoke."""


class GrantsChanged(Model):
    """What was given and revoked."""

    granted: list[Grant]
    """The new grants."""

    revoked: list[str]
    """Ids of those that are gone."""


@GRANT.list(query=ListQuery, item=Grant, role=Role.ADMIN)
async def list_grants(ctx: Context, query: ListQuery) -> Page[Grant]:
    """Lists the grants on things whose grants the caller may see, newest first."""

    def work(unit: Unit) -> Page[Grant]:
        rows, token = _LISTING.rows(unit.connection, sa.select(TABLE).where(_visible(unit)), query)
        return Page[Grant](items=[grant_of_row(row) for row in rows], next_page_token=token)

    return await ctx.read(work)


@GRANT.get(result=Grant, role=Role.ADMIN)
async def get_grant(ctx: Context, grant: str) -> Grant:
    """Returns a grant by its id."""
    return await ctx.read(lambda unit: grant_of_row(found(unit, grant, "get")))


@GRANT.create(request=NewGrant, result=Grant, role=Role.ADMIN)
async def create_grant(ctx: Context, request: NewGrant) -> Grant:
    """Gives a role or a permission. Nobody can give what he does not hold himself; it works within a second."""

    def work(unit: Unit) -> Grant:
        made = give(unit, request)
        ctx.subject, ctx.securable = made.id, _place(made)
        return made

    return await ctx.write(work)


@GRANT.delete(role=Role.ADMIN)
async def delete_grant(ctx: Context, grant: str) -> None:
    """Revokes a grant: it stops working within a second, everywhere. The last admin cannot revoke his own."""

    def work(unit: Unit) -> None:
        row = revoke(unit, grant)
        ctx.securable = granting.place_of_row(row)
        refuse_lockout(unit)

    await ctx.write(work)


@GRANT.collection_action("apply", request=GrantChanges, result=GrantsChanged, role=Role.ADMIN, past="applied")
async def apply_grants(ctx: Context, request: GrantChanges) -> GrantsChanged:
    """Gives and revokes many grants at once: all of them, or none."""

    def work(unit: Unit) -> GrantsChanged:
        for id in request.revoke:
            revoke(unit, id)
        made = [give(unit, item) for item in request.grant]
        refuse_lockout(unit)
        return GrantsChanged(granted=made, revoked=list(request.revoke))

    return await ctx.write(work)


def planned(unit: Unit, request: NewGrant) -> GrantRow:
    """The grant that the caller asks to give, checked but not stored."""
    if (request.role_id is None) is (request.permission is None):
        raise InvalidPayload(
            "Give either a role_id or a permission.", errors=[{"pointer": "/role_id", "detail": "one of both"}]
        )
    unit.holder(request.principal_id, "/principal_id")
    place = granting.place_of(unit, request.securable_kind, request.securable_id)
    unit.require("admin.grant.create", place)
    if request.permission is not None:
        covers = granting.covered_by_patterns([request.permission])
        if not any(pattern_matches(request.permission, name) for name in unit.platform.permissions):
            fault = {"pointer": "/permission", "detail": "matches no permission"}
            raise InvalidPayload(f"{request.permission!r} matches no permission there is.", errors=[fault])
    else:
        covers = granting.role_covers(unit, str(request.role_id), place)
    if request.effect is Effect.ALLOW:
        granting.require_all(unit, covers, place)
    if request.condition:
        condition(request.condition)
    if request.expires_at is not None and request.expires_at <= unit.now:
        fault = {"pointer": "/expires_at", "detail": "lies in the past"}
        raise InvalidPayload("The grant would have ended already.", errors=[fault])
    return GrantRow(
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


def give(unit: Unit, request: NewGrant) -> Grant:
    """Gives one grant, with an event of its own if it is one of many."""
    row = planned(unit, request)
    grants.insert(unit.connection, row)
    unit.rights_changed()
    unit.emit("admin.grant.given", row.id, granting.place_of_row(row), **grants.facts(row))
    return grant_of_row(row)


def revoke(unit: Unit, id: str) -> Any:
    """Revokes one grant and returns what it was."""
    row = found(unit, id, "delete")
    unit.connection.execute(TABLE.delete().where(TABLE.c.id == id))
    unit.rights_changed()
    unit.emit("admin.grant.revoked", id, granting.place_of_row(row), **grants.facts(row))
    return row


def found(unit: Unit, id: str, verb: str) -> Any:
    """The row of a grant, if the caller may do this with it."""
    row = unit.connection.execute(sa.select(TABLE).where(TABLE.c.id == id)).first()
    place = granting.place_of_row(row) if row else None
    if place is None or not unit.allows("admin.grant.get", place):
        raise NotFound(f"There is no grant {id!r}.")
    if not unit.allows(f"admin.grant.{verb}", place):
        raise denied(f"admin.grant.{verb}")
    return row


def _visible(unit: Unit) -> sa.ColumnElement[bool]:
    return unit.principal.access.where("admin.grant.get", TABLE, id=TABLE.c.securable_id)


def _place(grant: Grant) -> Securable:
    return Securable(grant.securable_kind, grant.securable_id, grant.organization_id, grant.project_id)


def grant_of_row(row: Any) -> Grant:
    """A grant as it crosses the wire."""
    return Grant(**{name: getattr(row, name) for name in Grant.model_fields})
