"""Egress policies: where the connections of an organization may lead, within what the operator allows."""

from __future__ import annotations

import asyncio
import socket
from typing import Annotated, Self

from pydantic import Field, model_validator

from api.kernel.kinds.context import Context
from api.kernel.kinds.placement import scope_of_new
from api.kernel.kinds.reference import Reference
from api.kernel.kinds.resource import Level, NoStatus, Resource, Spec, Text, Title
from api.kernel.kinds.resource_kind import ResourceKind
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Request
from api.kernel.references import Project
from api.kernel.roles import Role
from api.services.ai_catalog.kinds.recipient import Network
from api.services.connections.kinds.connection import CONNECTION
from connectors.egress import Egress
from connectors.egress_policies import egress_of

_RESOLVE_SECONDS = 10.0


Port = Annotated[int, Field(ge=1, le=65_535)]
"""A TCP port."""


class EgressPolicySpec(Spec):
    """Where connections may lead."""

    title: Title
    """Display name."""

    description: Text = ""
    """Why the policy exists."""

    projects: Annotated[list[Project], Field(max_length=200)] = []
    """Ids of the projects whose connections it restricts. By default all of the organization."""

    allowed: Annotated[list[Network], Field(max_length=200)] = []
    """Networks that connections may reach. If there are any, they reach no other address."""

    denied: Annotated[list[Network], Field(max_length=200)] = []
    """Networks that connections may not reach, also if they are in `allowed`."""

    ports: Annotated[list[Port], Field(max_length=200)] = []
    """Ports that connections may reach. By default every port."""

    @model_validator(mode="after")
    def _restricts(self) -> Self:
        if not (self.allowed or self.denied or self.ports):
            raise ValueError("needs allowed, denied, or ports")
        return self


class EgressPolicy(Resource[EgressPolicySpec, NoStatus]):
    """A rule for the addresses that connections of an organization reach, also by a redirect. All policies apply."""


EGRESS_POLICY = ResourceKind(
    EgressPolicy,
    plural="egress-policies",
    prefix="egp",
    level=Level.ORGANIZATION,
    filter_by=("spec.title",),
    references=(Reference("projects", "admin.project"),),
    readers=Role.ADMIN,
    writers=Role.ADMIN,
)


class Target(Request):
    """A target to evaluate."""

    project_id: Project
    """Id of the project whose connection would lead there."""

    host: Annotated[
        str, Field(min_length=1, max_length=253, pattern=r"^[A-Za-z0-9._:-]+$", examples=["db.example.org"])
    ]
    """Name or address of a host."""

    port: Port
    """Port."""


class TargetVerdict(Model):
    """Whether connections of a project may lead to a target."""

    allowed: bool
    """Whether they may reach every address of the host."""

    reason: str
    """UNKNOWN_HOST, PLATFORM if the operator's rules refuse an address, or POLICY. Empty if it is allowed."""

    policies: list[str]
    """Ids of the policies that refuse it."""


@EGRESS_POLICY.collection_action("evaluate", request=Target, result=TargetVerdict, reads=True, role=Role.ADMIN)
async def evaluate_egress_policies(ctx: Context, request: Target) -> TargetVerdict:
    """Returns whether connections of a project may lead to a host and port now. Connects to nothing.

    The answer contains no address.
    """

    def read(unit: Unit) -> Egress:
        scope = scope_of_new(unit, CONNECTION, None, request.project_id)
        unit.require(EGRESS_POLICY.permission("evaluate"), scope)
        return egress_of(unit.connection, unit.platform.settings, str(scope.organization_id), str(scope.project_id))

    egress = await ctx.read(read)
    try:
        async with asyncio.timeout(_RESOLVE_SECONDS):
            found = await asyncio.get_running_loop().getaddrinfo(request.host, request.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, TimeoutError):
        return TargetVerdict(allowed=False, reason="UNKNOWN_HOST", policies=[])
    addresses = {str(item[4][0]) for item in found}
    if egress.disguises(request.host) or any(egress.platform_fault(address) for address in addresses):
        return TargetVerdict(allowed=False, reason="PLATFORM", policies=[])
    refusing = [
        policy.id for policy in egress.policies if any(policy.fault(address, request.port) for address in addresses)
    ]
    return TargetVerdict(allowed=not refusing, reason="POLICY" if refusing else "", policies=refusing)
