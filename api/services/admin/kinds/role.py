"""Roles: named sets of permissions."""

from __future__ import annotations

from typing import Annotated

import sqlalchemy as sa
from pydantic import Field

from api.kernel.kinds.resource import Level, Resource, Spec, Status, Text, Title
from api.kernel.kinds.resource_kind import ResourceKind
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Query, Request
from api.kernel.permissions.access import pattern_matches
from api.kernel.permissions.grants import BUILT_IN
from api.kernel.roles import Role as BuiltIn
from api.kernel.securable import ROOT, Securable
from api.kernel.tables import GRANT
from api.services.admin.logic import granting
from core.errors import Conflict, InvalidPayload

Pattern = Annotated[
    str, Field(pattern=r"^(\*|[a-z_]+)(\.(\*|[a-z_]+)){0,2}$", max_length=128, examples=["ai_catalog.asset.*"])
]


class RoleSpec(Spec):
    """What a role allows."""

    title: Title
    """Name for people."""

    description: Text = ""
    """Who should have it."""

    permissions: Annotated[list[Pattern], Field(max_length=2000)] = []
    """Permissions it allows; `*` stands for any part: `ai_catalog.*`, `*.*.get`."""

    denied: Annotated[list[Pattern], Field(max_length=2000)] = []
    """Permissions it denies, whatever else allows them."""


class RoleStatus(Status):
    """Where a role comes from."""

    built_in: bool = False
    """Whether the platform brought it; such a role cannot be changed, but cloned."""


class Role(Resource[RoleSpec, RoleStatus]):
    """A named set of permissions, granted to principals and groups on a place in the tree of scopes."""


class Clone(Request):
    """A copy to make."""

    name: Annotated[str, Field(max_length=128)]
    """Name of the copy."""

    organization_id: Annotated[str, Field(max_length=64)] | None = None
    """Organization of the copy; by default the caller's."""


class Assignee(Model):
    """One grant of a role."""

    grant_id: str
    """The grant."""

    principal_id: str
    """Principal or group that has the role by it."""

    securable_id: str
    """What it has the role on."""


class Assignees(Model):
    """Who has a role."""

    items: list[Assignee]
    """The grants of the role that the caller may see, at most 1,000."""


ROLE = ResourceKind(
    Role,
    plural="roles",
    prefix="rol",
    level=Level.ORGANIZATION,
    filter_by=("status.built_in", "spec.permissions"),
    writers=BuiltIn.ADMIN,
)


@ROLE.validate
def know_the_permissions(unit: Unit, role: Role, before: Role | None) -> None:
    """A pattern that matches nothing is a typing error, and one that the author does not hold would raise him."""
    if before is not None and before.status.built_in:
        raise Conflict(f"{role.name} is built in and stays as it is. Clone it and change the clone.")
    known = unit.platform.permissions
    for field in ("permissions", "denied"):
        for n, pattern in enumerate(getattr(role.spec, field)):
            if not any(pattern_matches(pattern, permission) for permission in known):
                fault = {"pointer": f"/spec/{field}/{n}", "detail": "matches no permission"}
                raise InvalidPayload(f"{pattern!r} matches no permission there is.", errors=[fault])
    added = [pattern for pattern in role.spec.permissions if before is None or pattern not in before.spec.permissions]
    place = (
        Securable("admin.organization", role.organization_id, role.organization_id) if role.organization_id else ROOT
    )
    granting.require_all(unit, granting.covered_by_patterns(added), place)


@ROLE.before("delete")
def keep_built_in(unit: Unit, role: Role) -> None:
    """Built-in roles stay, and so do roles that somebody has."""
    if role.status.built_in:
        raise Conflict(f"{role.name} is built in and stays.")
    if unit.connection.execute(sa.select(GRANT.c.id).where(GRANT.c.role_id == role.id).limit(1)).first():
        raise Conflict(f"{role.name} is still granted. See its assignees, and revoke their grants first.")


@ROLE.after("update", "restore")
def tell_everybody(unit: Unit, role: Role) -> None:
    """Who has the role may now do other things."""
    unit.rights_changed()


@ROLE.command("clone", request=Clone, result=Role, past="cloned")
def clone_role(unit: Unit, role: Role, request: Clone) -> Role:
    """Makes a role of one's own from this one; the permissions of a built-in role are written out in it."""
    from api.kernel.kinds import standard
    from api.kernel.kinds.resource import Draft

    spec = role.spec
    if role.id in BUILT_IN:
        included = sorted(
            name for name, least in unit.platform.permissions.items() if BUILT_IN[role.id].includes(least)
        )
        spec = spec.model_copy(update={"permissions": included})
    draft = Draft[RoleSpec](name=request.name, organization_id=request.organization_id, spec=spec, labels=role.labels)
    return standard.create(unit, ROLE, draft)


@ROLE.view("assignees", query=Query, result=Assignees, role=BuiltIn.ADMIN)
def get_role_assignees(unit: Unit, role: Role, query: Query) -> Assignees:
    """Lists who has a role, and on what."""
    rows = unit.connection.execute(sa.select(GRANT).where(GRANT.c.role_id == role.id).order_by(GRANT.c.id).limit(1000))
    return Assignees(
        items=[
            Assignee(grant_id=row.id, principal_id=row.principal_id, securable_id=row.securable_id)
            for row in rows
            if unit.allows("admin.grant.get", granting.place_of_row(row))
        ]
    )
