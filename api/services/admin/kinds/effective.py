"""Grants as they reach: all that one user has, and all that reach one thing, each with where it comes from."""

from __future__ import annotations

from typing import Annotated

import sqlalchemy as sa
from pydantic import Field

from api.kernel.decisions.decider import Decider, Question
from api.kernel.kinds.context import Context
from api.kernel.kinds.unit import Unit, denied
from api.kernel.models import Model, Query, Request
from api.kernel.permissions.grants import groups_of
from api.kernel.roles import Role
from api.kernel.tables import GRANT as TABLE
from api.kernel.tables import RESOURCE
from api.services.admin.kinds.access import chain_of
from api.services.admin.kinds.grant import GRANT, Grant, grant_of_row
from api.services.admin.kinds.questions import ChainPlace, SecurableId
from api.services.admin.kinds.user import USER, User
from core.errors import NotFound


class HeldGrant(Model):
    """A grant that a user has, himself or by a group."""

    grant: Grant
    """The grant."""

    role_name: str | None
    """Name of its role; null if it gives a single permission."""

    path: list[str]
    """Ids from the user over his groups to whom it is given to."""


class EffectiveAccess(Model):
    """All grants that a user has."""

    items: list[HeldGrant]
    """Oldest first."""


class EffectiveQuery(Request):
    """Whose grants reach what?"""

    securable_id: SecurableId
    """The thing: `platform`, or the id of an organization, project, resource or asset."""

    securable_kind: Annotated[str, Field(max_length=64)] = ""
    """Kind of that; needed only for what is found by name, such as assets."""

    page_size: Annotated[int, Field(ge=1, le=1000)] = 100
    """Most grants on one page."""

    page_token: Annotated[str, Field(max_length=64)] = ""
    """Where to go on: `next_page_token` of the page before."""


class ReachingGrant(Model):
    """A grant that reaches a thing."""

    grant: Grant
    """The grant."""

    role_name: str | None
    """Name of its role; null if it gives a single permission."""

    principal_name: str | None
    """Name of whom it is given to; null if the caller may not see him."""

    inherited: bool
    """Whether it is given on something above."""


class ReachingGrants(Model):
    """All grants that reach a thing."""

    chain: list[ChainPlace]
    """Places they may be given on, from the thing itself up to the platform."""

    items: list[ReachingGrant]
    """By id: those that the caller may see."""

    hidden: bool
    """Whether there may be more on places whose grants the caller may not see."""

    next_page_token: str | None
    """Token of the next page; null on the last one."""


_ROLE = RESOURCE.alias("role")
_SELECT = sa.select(TABLE, _ROLE.c.name.label("role_name")).outerjoin(_ROLE, _ROLE.c.id == TABLE.c.role_id)


@USER.view("effective-access", query=Query, result=EffectiveAccess, role=Role.ADMIN)
def get_effective_access(unit: Unit, user: User, query: Query) -> EffectiveAccess:
    """Lists every grant that a user has, himself or by a group, as far as the caller may see grants there."""
    groups = groups_of(unit.connection, user.id)
    visible = unit.principal.access.where("admin.grant.get", TABLE, id=TABLE.c.securable_id)
    ours = _SELECT.where(TABLE.c.principal_id.in_((user.id, *groups)), visible).order_by(TABLE.c.id)
    items = []
    for row in unit.connection.execute(ours):
        path = [row.principal_id]
        while path[-1] in groups:
            path.append(groups[path[-1]])
        items.append(HeldGrant(grant=grant_of_row(row), role_name=row.role_name, path=path[::-1]))
    return EffectiveAccess(items=items)


@GRANT.collection_action("effective", request=EffectiveQuery, result=ReachingGrants, reads=True, role=Role.ADMIN)
async def effective_grants(ctx: Context, request: EffectiveQuery) -> ReachingGrants:
    """Lists every grant that reaches a thing: given on it, on its project, its organization or the platform."""

    def work(unit: Unit) -> ReachingGrants:
        deciding = Decider(unit.platform, unit.connection, unit.principal)
        # Asked as about oneself: whether the thing is known to the caller.
        question = Question(unit.principal.id, "admin.grant.effective", request.securable_id, request.securable_kind)
        place = deciding.place(question, "check")
        if place is None:
            raise NotFound(f"There is nothing {request.securable_id!r} that rights are granted on.")
        if not unit.allows("admin.grant.effective", place.securable, place.item):
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
        more = len(rows) > request.page_size
        return ReachingGrants(
            chain=chain_of(place),
            items=items,
            hidden=not unit.allows("admin.grant.get"),
            next_page_token=items[-1].grant.id if more else None,
        )

    return await ctx.read(work)
