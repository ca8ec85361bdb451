"""Requests and responses of questions about permissions."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from api.kernel.decisions.decider import Reason
from api.kernel.models import KindName, Model, Request, Timestamp
from api.kernel.references import PrincipalReference, Securable
from api.kernel.roles import Role
from api.kernel.securable import PLATFORM

Permission = Annotated[str, Field(min_length=1, max_length=128, examples=["admin.project.get"])]


class Check(Request):
    """A question: does a principal have a permission on a resource?"""

    principal_id: PrincipalReference | None = None
    """Id of a user, service account, or group. By default the caller."""

    permission: Permission
    """Permission in question."""

    securable_id: Securable = PLATFORM
    """Id of an organization, project, resource, or asset, or `platform`."""

    securable_kind: Annotated[KindName, Field(examples=["ai_catalog.asset"])] = ""
    """Kind of that resource. Required only for resources that are identified by name, such as assets."""


class CheckAt(Check):
    """A question about the present or a past time."""

    as_of: Timestamp | None = None
    """Time whose rights decide. By default now."""


class Checks(Request):
    """Several questions."""

    items: Annotated[list[Check], Field(min_length=1, max_length=1000)]
    """The questions."""


class Decision(Model):
    """The answer to a question."""

    allowed: bool
    """Whether the principal has the permission."""

    reason: Reason
    """GRANTED or DENIED by a grant, NO_GRANT, INACTIVE_PRINCIPAL, or UNKNOWN if the caller can see no such resource."""

    grant_id: str | None
    """Id of the grant that decided. Null if no grant did, or if the caller can't see it."""

    subject_id: str | None
    """Id of the principal or group of this grant."""

    role: str | None
    """Name of the granted role. Null if the grant is of a single permission."""

    securable_id: str | None
    """Id of the resource that the grant is on."""


class Decisions(Model):
    """The answers, in the order of the questions."""

    items: list[Decision]
    """One decision for each question."""


class ChainPlace(Model):
    """One place in the chain from a resource up to the platform."""

    id: str
    """Id of the place."""

    kind: str
    """Kind of the place."""


class ConsideredGrant(Model):
    """A grant that contains the permission, and its part in the decision."""

    grant_id: str
    """Id of the grant."""

    effect: str
    """ALLOW or DENY."""

    path: list[str]
    """Ids from the principal through its groups to the principal of the grant."""

    role: str | None
    """Name of the role. Null if the grant is of a single permission."""

    pattern: str
    """Pattern or built-in role that includes the permission."""

    securable_id: str
    """Id of the resource that the grant is on."""

    securable_kind: str
    """Kind of that resource."""

    condition: str | None
    """Condition under which the grant holds. Null if it always holds."""

    condition_met: bool | None
    """Whether the condition is met. Null if there is none."""

    expires_at: datetime | None
    """Time at which the grant expires. Null if it doesn't."""

    expired: bool
    """Whether the grant has expired."""

    holds: bool
    """Whether the grant holds: it has not expired, and its condition is met."""

    decides: bool
    """Whether this grant decided."""


class Explanation(Model):
    """A decision with the grants that led to it."""

    decision: Decision
    """The decision."""

    detail: str
    """The decision as a sentence."""

    chain: list[ChainPlace]
    """Places whose grants apply, from the resource up to the platform."""

    grants: list[ConsideredGrant]
    """Grants that contain the permission and that the caller can see, nearest place first."""

    hidden: bool
    """Whether there are other such grants that the caller can't see."""

    names: dict[str, str]
    """Names of the principals and places of this answer by id, as far as the caller can see them."""


class ListObjects(Request):
    """A question: on which resources does a principal have a permission?"""

    principal_id: PrincipalReference | None = None
    """Id of a user, service account, or group. By default the caller."""

    permission: Permission
    """Permission in question."""

    kind: Annotated[KindName, Field(examples=["admin.project"])]
    """Kind of the resources to list."""

    page_size: Annotated[int, Field(ge=1, le=1000)] = 50
    """Maximum number of items on a page."""

    page_token: Annotated[str, Field(max_length=256)] = ""
    """`next_page_token` of the previous page. Empty for the first page."""


class FoundObject(Model):
    """A resource on which the principal has the permission."""

    id: str
    """Id of the resource."""

    kind: str
    """Kind of the resource."""

    name: str
    """Name of the resource."""


class FoundObjects(Model):
    """One page of resources."""

    items: list[FoundObject]
    """The resources, ordered by id."""

    next_page_token: str | None
    """Token of the next page. Null on the last page."""


class ListSubjects(Request):
    """A question: which principals have a permission on a resource?"""

    permission: Permission
    """Permission in question."""

    securable_id: Securable = PLATFORM
    """Id of an organization, project, resource, or asset, or `platform`."""

    securable_kind: KindName = ""
    """Kind of that resource. Required only for resources that are identified by name, such as assets."""

    as_of: Timestamp | None = None
    """Time whose rights decide. By default now."""

    page_size: Annotated[int, Field(ge=1, le=1000)] = 50
    """Maximum number of items on a page."""

    page_token: Annotated[str, Field(max_length=64)] = ""
    """`next_page_token` of the previous page. Empty for the first page."""


class FoundSubject(Model):
    """A user or service account that has the permission."""

    id: str
    """Id of the principal."""

    kind: str
    """Kind of the principal."""

    name: str
    """Name of the principal."""


class FoundSubjects(Model):
    """One page of principals."""

    items: list[FoundSubject]
    """The principals, ordered by id."""

    next_page_token: str | None
    """Token of the next page. Null on the last page."""


class PermissionEntry(Model):
    """A permission."""

    name: str
    """Name of the permission: `<service>.<kind>.<verb>`."""

    role: Role
    """Lowest built-in role that includes the permission."""

    summary: str
    """Summary of the operation that it allows."""

    kind: str
    """Kind that the permission belongs to."""

    service: str
    """Service that the permission belongs to."""


class PermissionCatalogue(Model):
    """All permissions."""

    items: list[PermissionEntry]
    """The permissions, ordered by name."""
