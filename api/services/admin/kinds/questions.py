"""Questions about rights and their answers, as they cross the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from api.kernel.decisions.decider import Reason
from api.kernel.models import Model, Request, Timestamp
from api.kernel.roles import Role
from api.kernel.securable import PLATFORM

PrincipalId = Annotated[str, Field(max_length=64, examples=["usr_06e1xq0000example000000000"])]
Permission = Annotated[str, Field(min_length=1, max_length=128, examples=["admin.project.get"])]
SecurableId = Annotated[str, Field(min_length=1, max_length=256, examples=["prj_06e1xq0000example000000000"])]


class Check(Request):
    """May somebody do this there?"""

    principal_id: PrincipalId | None = None
    """User, service account or group; the caller by default."""

    permission: Permission
    """What it is about."""

    securable_id: SecurableId = PLATFORM
    """Where: `platform`, or the id of an organization, project, resource or asset."""

    securable_kind: Annotated[str, Field(max_length=64, examples=["ai_catalog.asset"])] = ""
    """Kind of that; needed only for what is found by name, such as assets."""


class CheckAt(Check):
    """May somebody do this there, or could he at a moment of the past?"""

    as_of: Timestamp | None = None
    """Decide by what was at this moment; now by default."""


class Checks(Request):
    """Several questions."""

    items: Annotated[list[Check], Field(min_length=1, max_length=1000)]
    """The questions."""


class Decision(Model):
    """The answer to a question."""

    allowed: bool
    """Whether it is allowed."""

    reason: Reason
    """GRANTED or DENIED by a grant, NO_GRANT, INACTIVE_PRINCIPAL, or UNKNOWN: nothing there that the caller may see."""

    grant_id: str | None
    """The grant that decided; null if none did."""

    subject_id: str | None
    """Principal or group that this grant is given to."""

    role: str | None
    """Name of the role it gives; null if it gives a single permission."""

    securable_id: str | None
    """What it is given on."""


class Decisions(Model):
    """Answers, in the order of the questions."""

    items: list[Decision]
    """One for each question."""


class ChainPlace(Model):
    """One place of the chain from a thing up to the platform."""

    id: str
    """Its id."""

    kind: str
    """Its kind."""


class ConsideredGrant(Model):
    """A grant that speaks of the permission, and what came of it."""

    grant_id: str
    """The grant."""

    effect: str
    """ALLOW or DENY."""

    path: list[str]
    """Ids from the principal over its groups to whom the grant is given to."""

    role: str | None
    """Name of the role; null if it gives a single permission."""

    pattern: str
    """The pattern, or the built-in role, that includes the permission."""

    securable_id: str
    """What it is given on."""

    securable_kind: str
    """Kind of that."""

    condition: str | None
    """What must be true for it to hold; null if nothing."""

    condition_met: bool | None
    """Whether that is true; null if there is no condition."""

    expires_at: datetime | None
    """When it ends."""

    expired: bool
    """Whether it has ended."""

    holds: bool
    """Whether it counts."""

    decides: bool
    """Whether it gave the answer."""


class Explanation(Model):
    """An answer with the whole way to it."""

    decision: Decision
    """The answer."""

    detail: str
    """The answer for people."""

    chain: list[ChainPlace]
    """Places whose grants count, from the thing itself up to the platform."""

    grants: list[ConsideredGrant]
    """Every grant that speaks of the permission there, the nearest first."""


class ListObjects(Request):
    """On what may somebody do this?"""

    principal_id: PrincipalId | None = None
    """User, service account or group; the caller by default."""

    permission: Permission
    """What it is about."""

    kind: Annotated[str, Field(max_length=64, examples=["admin.project"])]
    """Kind of the things to list."""

    page_size: Annotated[int, Field(ge=1, le=1000)] = 50
    """Most items on one page."""

    page_token: Annotated[str, Field(max_length=256)] = ""
    """Where to go on: `next_page_token` of the page before."""


class FoundObject(Model):
    """Something on which it is allowed."""

    id: str
    """Its id."""

    kind: str
    """Its kind."""

    name: str
    """Its name."""


class FoundObjects(Model):
    """One page of them."""

    items: list[FoundObject]
    """By id."""

    next_page_token: str | None
    """Token of the next page; null on the last one."""


class ListSubjects(Request):
    """Who may do this there?"""

    permission: Permission
    """What it is about."""

    securable_id: SecurableId = PLATFORM
    """Where."""

    securable_kind: Annotated[str, Field(max_length=64)] = ""
    """Kind of that; needed only for what is found by name, such as assets."""

    as_of: Timestamp | None = None
    """List who could at this moment; now by default."""

    page_size: Annotated[int, Field(ge=1, le=1000)] = 50
    """Most items on one page."""

    page_token: Annotated[str, Field(max_length=64)] = ""
    """Where to go on: `next_page_token` of the page before."""


class FoundSubject(Model):
    """A user or service account that may."""

    id: str
    """Its id."""

    kind: str | None
    """Which of these it is; null if the caller may not see it."""

    name: str | None
    """Its name; null if the caller may not see it."""


class FoundSubjects(Model):
    """One page of them."""

    items: list[FoundSubject]
    """By id."""

    next_page_token: str | None
    """Token of the next page; null on the last one."""


class PermissionEntry(Model):
    """A permission there is."""

    name: str
    """`<service>.<kind>.<verb>`."""

    role: Role
    """The least built-in role that includes it."""

    summary: str
    """What it allows."""

    kind: str
    """Kind it is about."""

    service: str
    """Service it belongs to."""


class PermissionCatalogue(Model):
    """Every permission there is."""

    items: list[PermissionEntry]
    """By name."""
