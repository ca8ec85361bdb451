"""Effective grants: all grants of a user, and all grants that apply to a resource, each with its origin."""

from __future__ import annotations

from typing import Annotated

import sqlalchemy as sa
from pydantic import Field

from api.kernel.decisions.decider import Decider, Question
from api.kernel.kinds.context import Context
from api.kernel.kinds.refusals import denied
from api.kernel.kinds.unit import Unit
from api.kernel.models import KindName, Model, Query, Request
from api.kernel.permissions.grants import groups_of
from api.kernel.references import Securable
from api.kernel.roles import Role
from api.kernel.tables import GRANT as TABLE
from api.kernel.tables import RESOURCE
from api.services.admin.kinds.access import chain_of
from api.services.admin.kinds.grant import GRANT, Grant, grant_of_row
from api.services.admin.kinds.questions import ChainPlace
from api.services.admin.kinds.user import USER, User
from api.services.admin.logic import visible_names
from core.errors import NotFound


class HeldGrant(Model):
    """A grant of a user, direct or through a group."""

    grant: Grant
    """The grant."""

    role_name: str | None
    """Name of the role. Null if the grant is of a single permission."""

    path: list[str]
    """Ids from the user through their groups to the principal of the grant."""


class EffectiveAccess(Model):
    """All grants of a user."""

    items: list[HeldGrant]
    """The grants, oldest first."""

    names: dict[str, str]
    """Names of the groups and places of the grants by id, as far as the caller can see them."""


class EffectiveQuery(Request):
    """A question: which grants apply to a resource?"""

    securable_id: Securable
    """Id of an organization, project, resource, or asset, or `platform`."""

    securable_kind: KindName = ""
    """Kind of that resource. Required only for resources that are identified by name, such as assets."""

    page_size: Annotated[int, Field(ge=1, le=1000)] = 100
    """Maximum number of grants on a page."""

    page_token: Annotated[str, Field(max_length=64)] = ""
    """`next_page_token` of the previous page. Empty for the first page."""


class ReachingGrant(Model):
    """A grant that applies to a resource."""

    grant: Grant
    """The grant."""

    role_name: str | None
    """Name of the role. Null if the grant is of a single permission."""

    principal_name: str | None
    """Name of the grant's principal. Null if the caller can't see it."""

    inherited: bool
    """Whether the grant is on a place above the resource."""


class ReachingGrants(Model):
    """All grants that apply to a resource."""

    chain: list[ChainPlace]
    """Places that the grants can be on, from the resource up to the platform."""

    items: list[ReachingGrant]
    """Grants that the caller can see, ordered by id."""

    hidden: bool
    """Whether there can be grants on places whose grants the caller can't see."""

    next_page_token: str | None
    """Token of the next page. Null on the last page."""


_ROLE = RESOURCE.alias("role")
_SELECT = sa.select(TABLE, _ROLE.c.name.label("role_name")).outerjoin(_ROLE, _ROLE.c.id == TABLE.c.role_id)


@USER.view("effective-access", query=Query, result=EffectiveAccess, role=Role.ADMIN)
def get_effective_access(unit: Unit, user: User, query: Query) -> EffectiveAccess:
    """Lists every grant of a user, direct or through groups, as far as the caller can see grants on those places."""
    groups = groups_of(unit.connection, user.id)
    visible = unit.principal.access.where("admin.grant.get", TABLE, id=TABLE.c.securable_id)
    select = _SELECT.where(TABLE.c.principal_id.in_((user.id, *groups)), visible).order_by(TABLE.c.id)
    items = []
    for row in unit.connection.execute(select):
        path = [row.principal_id]
        while path[-1] in groups:
            path.append(groups[path[-1]])
        items.append(HeldGrant(grant=grant_of_row(row), role_name=row.role_name, path=path[::-1]))
    ids = [id for item in items for id in (*item.path, item.grant.securable_id)]
    return EffectiveAccess(items=items, names=visible_names.names_of(unit, ids))


@GRANT.collection_action("effective", request=EffectiveQuery, result=ReachingGrants, reads=True, role=Role.ADMIN)
async def effective_grants(ctx: Context, request: EffectiveQuery) -> ReachingGrants:
    """Lists every grant that applies to a resource: on it, its project, its organization, or the platform."""

    def read(unit: Unit) -> ReachingGrants:
        deciding = Decider(unit.platform, unit.connection, unit.principal)
        # A question about the caller, because it only establishes that they can see the resource.
        question = Question(unit.principal.id, "admin.grant.effective", request.securable_id, request.securable_kind)
        place = deciding.target(question, "check")
        if place is None:
            raise NotFound(f"There is no resource {request.securable_id!r} on which rights can be granted.")
        if not unit.allows("admin.grant.effective", place.securable):
            raise denied("admin.grant.effective")
        chain = place.securable.chain
        visible = unit.principal.access.where("admin.grant.get", TABLE, id=TABLE.c.securable_id)
        on = TABLE.c.securable_id.in_(chain)
        select = _SELECT.where(on, visible, TABLE.c.id > request.page_token).order_by(TABLE.c.id)
        rows = unit.connection.execute(select.limit(request.page_size + 1)).all()
        items = []
        for row in rows[: request.page_size]:
            holder = deciding.subject(row.principal_id)
            items.append(
                ReachingGrant(
                    grant=grant_of_row(row),
                    role_name=row.role_name,
                    principal_name=holder.name if holder else None,
                    inherited=row.securable_id != place.securable.id,
                )
            )
        has_next = len(rows) > request.page_size
        return ReachingGrants(
            chain=chain_of(place),
            items=items,
            hidden=not unit.allows("admin.grant.get"),
            next_page_token=items[-1].grant.id if has_next else None,
        )

    return await ctx.read(read)
