"""Simulations: what giving and revoking grants would change, without doing it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Annotated

import sqlalchemy as sa
from pydantic import Field

from api.kernel.decisions import reach
from api.kernel.decisions.decider import Decider, Question, speaking
from api.kernel.decisions.rights import Rights
from api.kernel.kinds.context import Context
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Request
from api.kernel.permissions.access import Rule
from api.kernel.permissions.grants import GrantRow, rules, rules_of
from api.kernel.roles import Role
from api.kernel.tables import GRANT as TABLE
from api.kernel.tables import RESOURCE
from api.services.admin.kinds import grant
from api.services.admin.kinds.access import DECISION, asked, decider, decision, place_of
from api.services.admin.kinds.grant import NewGrant
from api.services.admin.kinds.questions import Check, Decision, SecurableId

VERB = "simulate"


class Affected(Request):
    """A place to compare before and after."""

    securable_id: SecurableId
    """Where: `platform`, or the id of an organization, project, resource or asset."""

    securable_kind: Annotated[str, Field(max_length=64)] = ""
    """Kind of that; needed only for what is found by name, such as assets."""


class Simulate(Request):
    """Changes to try, and what to compare."""

    grant: Annotated[list[NewGrant], Field(max_length=200)] = []
    """Grants to give."""

    revoke: Annotated[list[Annotated[str, Field(max_length=64)]], Field(max_length=200)] = []
    """Ids of grants to revoke."""

    questions: Annotated[list[Check], Field(max_length=200)] = []
    """Questions to ask before and after."""

    securables: Annotated[list[Affected], Field(max_length=20)] = []
    """Places whose whole rights to compare: who gains and who loses which permission there."""


class ChangedAnswer(Model):
    """A question whose answer the changes change."""

    question: int
    """Its number in the request, from 0."""

    before: Decision
    """The answer now."""

    after: Decision
    """The answer with the changes."""


class Pair(Model):
    """A principal and a permission on a place."""

    securable_id: str
    """The place."""

    principal_id: str
    """The user or service account."""

    permission: str
    """The permission."""


class Simulation(Model):
    """What the changes would change."""

    changed: list[ChangedAnswer]
    """Questions that are answered otherwise."""

    gained: list[Pair]
    """Who could do more on the places."""

    lost: list[Pair]
    """Who could do less on them."""


@DECISION.collection_action(
    VERB, request=Simulate, result=Simulation, reads=True, role=Role.ADMIN, name="simulate_access"
)
async def simulate(ctx: Context, request: Simulate) -> Simulation:
    """Answers what giving and revoking these grants would change. Nothing is written.

    The caller needs the rights to give and revoke them: what he could not do he cannot try either.
    """
    questions = [asked(ctx, item, f"/questions/{n}") for n, item in enumerate(request.questions)]

    def work(unit: Unit) -> Simulation:
        revoked = [grant.found(unit, id, "delete").id for id in request.revoke]
        added = [rule for item in request.grant for rule in _rules(unit, grant.planned(unit, item))]
        gone = rules(unit.connection, TABLE.c.id.in_(revoked))
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
            _compare(now, then, place, [*gone, *added], gained, lost)
        return Simulation(changed=changed, gained=gained, lost=lost)

    return await ctx.read(work)


def _compare(
    now: Decider, then: Decider, affected: Affected, moved: list[Rule], gained: list[Pair], lost: list[Pair]
) -> None:
    """Adds who gains and who loses what on one place."""
    place = place_of(now, Question("", "", affected.securable_id, affected.securable_kind), VERB)
    here = [rule for rule in moved if rule.securable_id in place.securable.chain]
    permissions = now.platform.permissions
    for permission in sorted(permissions):
        if not speaking(here, permission, permissions):
            continue
        before, after = (set(reach.subjects(one.platform, one.rights, permission, place)) for one in (now, then))
        for ids, into in ((after - before, gained), (before - after, lost)):
            into += [
                Pair(securable_id=affected.securable_id, principal_id=id, permission=permission) for id in sorted(ids)
            ]


def _rules(unit: Unit, row: GrantRow) -> list[Rule]:
    """The rules that a grant would stand for."""
    role = unit.connection.execute(
        sa.select(RESOURCE.c.name, sa.cast(RESOURCE.c.spec, sa.Text).label("spec")).where(RESOURCE.c.id == row.role_id)
    ).first()
    values = {name: getattr(row, name) for name in GrantRow.__slots__}
    known = {"role_name": role.name if role else None, "role_spec": role.spec if role else None}
    return list(rules_of(SimpleNamespace(**values, **known)))
