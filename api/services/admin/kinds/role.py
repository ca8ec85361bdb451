"""Roles: named sets of permissions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import sqlalchemy as sa
from pydantic import Field

from api.kernel import lookup, references
from api.kernel.kinds import escalation
from api.kernel.kinds.resource import Level, Resource, Spec, Status, Text, Title
from api.kernel.kinds.resource_kind import ResourceKind
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Name, Query, Request
from api.kernel.permissions.grants import BUILT_IN
from api.kernel.permissions.power import Power
from api.kernel.roles import Role as BuiltIn
from api.kernel.securable import ROOT, Securable
from api.kernel.tables import GRANT
from api.services.admin.logic import granting
from core.errors import Conflict

Pattern = Annotated[
    str, Field(pattern=r"^(\*|[a-z_]+)(\.(\*|[a-z_]+)){0,2}$", max_length=128, examples=["ai_catalog.asset.*"])
]


class RoleSpec(Spec):
    """A role."""

    title: Title
    """Display name."""

    description: Text = ""
    """Who should have the role."""

    permissions: Annotated[list[Pattern], Field(max_length=2000)] = []
    """Permissions that the role allows. `*` matches any part: `ai_catalog.*`, `*.*.get`."""

    denied: Annotated[list[Pattern], Field(max_length=2000)] = []
    """Permissions that the role denies. They override every grant that allows."""


class RoleStatus(Status):
    """Origin of a role."""

    built_in: bool = False
    """Whether the role is built in. A built-in role can be cloned, but not changed."""


class Role(Resource[RoleSpec, RoleStatus]):
    """A named set of permissions, which is granted to principals on a scope or a resource."""


class Clone(Request):
    """A copy of a role."""

    name: Name
    """Name of the copy."""

    organization_id: references.Organization | None = None
    """Id of the copy's organization. By default the caller's."""


class Assignee(Model):
    """A grant of the role."""

    grant_id: str
    """Id of the grant."""

    principal_id: str
    """Id of the principal that has the role."""

    securable_id: str
    """Id of the resource that it has the role on."""


class Assignees(Model):
    """Grants of a role."""

    items: list[Assignee]
    """Grants of the role that the caller can see, at most 1,000."""


ROLE = ResourceKind(
    Role,
    plural="roles",
    prefix="rol",
    level=Level.ORGANIZATION,
    filter_by=("status.built_in", "spec.permissions"),
    writers=BuiltIn.ADMIN,
    powers={
        "create": Power.GRANTS,
        "update": Power.GRANTS | Power.REMOVES_LIMIT,
        "delete": Power.NOTHING,
        "restore": Power.GRANTS,
        "clone": Power.GRANTS,
    },
)


@ROLE.validate
def check_permissions(unit: Unit, role: Role, before: Role | None) -> None:
    """Refuses patterns that match no permission, and permissions that the author does not hold."""
    if before is not None and before.status.built_in:
        raise Conflict(f"{role.name} is built in and can't be changed. Clone it and change the clone.")
    names = unit.platform.permissions
    for field in ("permissions", "denied"):
        for n, pattern in enumerate(getattr(role.spec, field)):
            lookup.require_match(pattern, names, "permission", f"/spec/{field}/{n}")
    escalation.require_rights(
        unit, escalation.rules_on(_gained(names, role.spec, before.spec if before else None), _place(role))
    )


def _gained(names: Iterable[str], now: RoleSpec, before: RoleSpec | None) -> list[str]:
    """Returns the permissions that holders of the role gain by a change: added ones, and ones no longer denied."""
    allowed, denied = granting.covered_by_patterns(now.permissions), granting.covered_by_patterns(now.denied)
    allowed_before = granting.covered_by_patterns(before.permissions if before else [])
    denied_before = granting.covered_by_patterns(before.denied if before else [])
    return [
        name
        for name in names
        if not denied(name) and (denied_before(name) or (allowed(name) and not allowed_before(name)))
    ]


def _place(role: Role) -> Securable:
    """Returns the widest place that the role can be granted on."""
    return Securable("admin.organization", role.organization_id, role.organization_id) if role.organization_id else ROOT


@ROLE.before("delete")
def refuse_while_granted(unit: Unit, role: Role) -> None:
    """Refuses to delete built-in roles and roles that are granted."""
    if role.status.built_in:
        raise Conflict(f"{role.name} is built in and can't be deleted.")
    if unit.connection.execute(sa.select(GRANT.c.id).where(GRANT.c.role_id == role.id).limit(1)).first():
        raise Conflict(f"{role.name} is still granted. See its assignees, and revoke their grants first.")


@ROLE.before("restore")
def require_its_permissions(unit: Unit, role: Role) -> None:
    """Requires all permissions of the role, because its holders have them again."""
    escalation.require_rights(
        unit, escalation.rules_on(_gained(unit.platform.permissions, role.spec, None), _place(role))
    )


@ROLE.after("update", "restore")
def reload_rights(unit: Unit, role: Role) -> None:
    """Reloads the rights of the role's holders, who must not read more than a caller whom a policy restricts."""
    escalation.require_holders_restricted_alike(unit, role.id)
    unit.rights_changed()


@ROLE.command("clone", request=Clone, result=Role, past="cloned")
def clone_role(unit: Unit, role: Role, request: Clone) -> Role:
    """Creates a copy of a role. The copy of a built-in role lists its permissions explicitly."""
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
    """Lists the grants of a role that the caller can see."""
    rows = unit.connection.execute(sa.select(GRANT).where(GRANT.c.role_id == role.id).order_by(GRANT.c.id).limit(1000))
    return Assignees(
        items=[
            Assignee(grant_id=row.id, principal_id=row.principal_id, securable_id=row.securable_id)
            for row in rows
            if unit.allows("admin.grant.get", granting.place_of_row(row))
        ]
    )
