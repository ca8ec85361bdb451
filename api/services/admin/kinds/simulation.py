"""Simulations: what creating and revoking grants would change."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from api.kernel.decisions import reach
from api.kernel.decisions.decider import Decider, Question, matching_rules
from api.kernel.decisions.rights import Rights
from api.kernel.kinds.context import Context
from api.kernel.kinds.unit import Unit
from api.kernel.models import KindName, Model, Request
from api.kernel.permissions.grants import rules
from api.kernel.permissions.rule import Rule
from api.kernel.references import GrantId, Securable
from api.kernel.roles import Role
from api.kernel.tables import GRANT as TABLE
from api.services.admin.kinds import grant
from api.services.admin.kinds.access import DECISION, decider, decision, question_of, require_place
from api.services.admin.kinds.grant import NewGrant
from api.services.admin.kinds.questions import Check, Decision
from api.services.admin.logic import granting

VERB = "simulate"


class Affected(Request):
    """A place to compare."""

    securable_id: Securable
    """Id of an organization, project, resource, or asset, or `platform`."""

    securable_kind: KindName = ""
    """Kind of that resource. Required only for resources that are identified by name, such as assets."""


class Simulate(Request):
    """Changes to simulate, and what to compare."""

    grant: Annotated[list[NewGrant], Field(max_length=200)] = []
    """Grants to create."""

    revoke: Annotated[list[GrantId], Field(max_length=200)] = []
    """Ids of grants to revoke."""

    questions: Annotated[list[Check], Field(max_length=200)] = []
    """Questions to decide before and after the changes."""

    securables: Annotated[list[Affected], Field(max_length=20)] = []
    """Places to compare: which principals gain or lose which permission there."""


class ChangedAnswer(Model):
    """A question whose decision the changes affect."""

    question: int
    """Index of the question in the request, counted from 0."""

    before: Decision
    """The present decision."""

    after: Decision
    """The decision after the changes."""


class Pair(Model):
    """A principal and a permission on a place."""

    securable_id: str
    """Id of the place."""

    principal_id: str
    """Id of the user or service account."""

    permission: str
    """Name of the permission."""


class Simulation(Model):
    """Effect of the changes."""

    changed: list[ChangedAnswer]
    """Questions that get another decision."""

    gained: list[Pair]
    """Permissions that principals would gain on the places."""

    lost: list[Pair]
    """Permissions that principals would lose on the places."""


@DECISION.collection_action(
    VERB, request=Simulate, result=Simulation, reads=True, role=Role.ADMIN, name="simulate_access"
)
async def simulate(ctx: Context, request: Simulate) -> Simulation:
    """Returns what creating and revoking grants would change. Nothing is stored.

    The caller needs the permissions to create and revoke them.
    """
    questions = [question_of(ctx, item, f"/questions/{n}") for n, item in enumerate(request.questions)]

    def read(unit: Unit) -> Simulation:
        revoked = [grant.require_revocable(unit, id).id for id in request.revoke]
        added = [rule for item in request.grant for rule in granting.rules_of(unit, grant.plan_grant(unit, item))]
        removed = rules(unit.connection, TABLE.c.id.in_(revoked))
        now = decider(unit)
        then = Decider(
            unit.platform, unit.connection, unit.principal, Rights(unit.connection, without=revoked, added=added)
        )
        changed = []
        for n, question in enumerate(questions):
            before, after = now.decide(question, VERB), then.decide(question, VERB)
            if before.allowed != after.allowed:
                changed.append(ChangedAnswer(question=n, before=decision(before), after=decision(after)))
        gained: list[Pair] = []
        lost: list[Pair] = []
        for place in request.securables:
            _compare(now, then, place, [*removed, *added], gained, lost)
        return Simulation(changed=changed, gained=gained, lost=lost)

    return await ctx.read(read)


def _compare(
    now: Decider, then: Decider, affected: Affected, changes: list[Rule], gained: list[Pair], lost: list[Pair]
) -> None:
    """Appends what principals gain and lose on one place."""
    place = require_place(now, Question("", "", affected.securable_id, affected.securable_kind), VERB)
    applicable = [rule for rule in changes if rule.securable_id in place.securable.chain]
    permissions = now.platform.permissions
    for permission in sorted(permissions):
        if not matching_rules(applicable, permission, permissions):
            continue
        before, after = (set(reach.subjects(one, permission, place)) for one in (now, then))
        for ids, into in ((after - before, gained), (before - after, lost)):
            into += [
                Pair(securable_id=affected.securable_id, principal_id=id, permission=permission) for id in sorted(ids)
            ]
