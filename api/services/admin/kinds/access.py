"""Decisions: may somebody do something, why, who may, and on what."""

from __future__ import annotations

from datetime import datetime

from api.kernel.decisions import reach
from api.kernel.decisions.decider import Considered, Decider, Place, Question, Reason, Verdict
from api.kernel.decisions.past import Past
from api.kernel.kinds.context import Context
from api.kernel.kinds.kind import Kind
from api.kernel.kinds.unit import Unit, denied
from api.kernel.models import Query
from api.kernel.permissions.access import OVERSEE, Rule
from api.kernel.roles import Role
from api.kernel.securable import PLATFORM
from api.services.admin.kinds.questions import (
    ChainPlace,
    Check,
    CheckAt,
    Checks,
    ConsideredGrant,
    Decision,
    Decisions,
    Explanation,
    FoundObject,
    FoundObjects,
    FoundSubject,
    FoundSubjects,
    ListObjects,
    ListSubjects,
    PermissionCatalogue,
    PermissionEntry,
)
from core.errors import InvalidPayload, NotFound

DECISION = Kind(
    "decision",
    plural="decisions",
    title="Decision",
    description="Whether somebody may do something, why, who may, and on what. Asking about oneself needs no right.",
    example="check",
    scoped=True,
)


@DECISION.collection_action(
    "check", request=CheckAt, result=Decision, reads=True, role=Role.ADMIN, own=True, name="check_access"
)
async def check(ctx: Context, request: CheckAt) -> Decision:
    """Answers whether somebody may do something, or could, by the rules that every request is checked by."""
    question = asked(ctx, request, "")
    return await ctx.read(lambda unit: decision(decider(unit, request.as_of).decide(question)))


@DECISION.collection_action(
    "check-batch", request=Checks, result=Decisions, reads=True, role=Role.ADMIN, own=True, name="check_access_batch"
)
async def check_batch(ctx: Context, request: Checks) -> Decisions:
    """Answers up to 1,000 questions over one snapshot of all rights."""
    questions = [asked(ctx, item, f"/items/{n}") for n, item in enumerate(request.items)]

    def work(unit: Unit) -> Decisions:
        deciding = decider(unit)
        return Decisions(items=[decision(deciding.decide(question, "check_batch")) for question in questions])

    return await ctx.read(work)


@DECISION.collection_action(
    "explain", request=CheckAt, result=Explanation, reads=True, role=Role.ADMIN, own=True, name="explain_access"
)
async def explain(ctx: Context, request: CheckAt) -> Explanation:
    """Answers whether somebody may do something with every grant that speaks of it: by whom, where, and if it holds.

    With `as_of` it tells what was decided at that moment, by the grants, groups, roles and labels as they were.
    """
    question = asked(ctx, request, "")

    def work(unit: Unit) -> Explanation:
        deciding = decider(unit, request.as_of)
        place = place_of(deciding, question, "explain")
        subject = deciding.subject(question.principal_id)
        if subject is None:
            raise NotFound(f"There is no user, service account or group {question.principal_id!r}.")
        verdict = deciding.decide(question, "explain")
        grants = [_considered(one, verdict) for one in deciding.considered(question, place)]
        chain = chain_of(place)
        detail = _sentence(
            subject.name, question, verdict, grants, past=request.as_of is not None, on_audit=place.securable.of_all
        )
        return Explanation(decision=decision(verdict), detail=detail, chain=chain, grants=grants)

    return await ctx.read(work)


@DECISION.collection_action(
    "list-objects", request=ListObjects, result=FoundObjects, reads=True, role=Role.ADMIN, own=True
)
async def list_objects(ctx: Context, request: ListObjects) -> FoundObjects:
    """Lists the things of a kind on which somebody may do something, as far as the caller may see them."""
    principal_id = request.principal_id or ctx.principal.id
    known(ctx, request.permission, "")
    asking = DECISION.permission("list-objects")

    def work(unit: Unit) -> FoundObjects:
        deciding = decider(unit)
        if principal_id != ctx.principal.id and not ctx.principal.access.anywhere(asking):
            raise denied(asking)
        if deciding.subject(principal_id) is None:
            raise NotFound(f"There is no user, service account or group {principal_id!r}.")
        what = (principal_id, request.permission, request.kind)
        found = reach.objects(deciding, *what, after=request.page_token, limit=request.page_size + 1)
        page = [FoundObject(id=one.id, kind=one.kind, name=one.name) for one in found[: request.page_size]]
        return FoundObjects(items=page, next_page_token=page[-1].id if len(found) > request.page_size else None)

    return await ctx.read(work)


@DECISION.collection_action("list-subjects", request=ListSubjects, result=FoundSubjects, reads=True, role=Role.ADMIN)
async def list_subjects(ctx: Context, request: ListSubjects) -> FoundSubjects:
    """Lists the users and service accounts that may do something there, also through groups; denials win.

    With `as_of` it lists those that could at that moment.
    """
    known(ctx, request.permission, "")
    question = Question("", request.permission, request.securable_id, request.securable_kind)

    def work(unit: Unit) -> FoundSubjects:
        deciding = decider(unit, request.as_of)
        place = place_of(deciding, question, "list_subjects")
        found = reach.subjects(unit.platform, deciding.rights, request.permission, place)
        left = [id for id in found if id > request.page_token]
        page = [_subject(deciding, id) for id in left[: request.page_size]]
        return FoundSubjects(items=page, next_page_token=page[-1].id if len(left) > request.page_size else None)

    return await ctx.read(work)


@DECISION.collection_read("permissions", query=Query, result=PermissionCatalogue, own=True)
async def list_permissions(ctx: Context, query: Query) -> PermissionCatalogue:
    """Lists every permission there is, with the least built-in role that includes it."""
    summaries: dict[str, str] = {}
    for kind in ctx.platform.kinds.values():
        for endpoint in kind.endpoints(kind.service):
            summaries.setdefault(endpoint.permission, endpoint.summary)
    return PermissionCatalogue(
        items=[
            PermissionEntry(
                name=name,
                role=role,
                summary=summaries.get(name, ""),
                kind=".".join(name.split(".")[:2]),
                service=name.partition(".")[0],
            )
            for name, role in sorted(ctx.platform.permissions.items())
        ]
    )


def decider(unit: Unit, as_of: datetime | None = None) -> Decider:
    """Who decides in this transaction, by what is or by what was at a moment.

    Raises:
        InvalidPayload: the moment lies in the future, or before anything happened.
    """
    rights = Past(unit.connection, as_of) if as_of else None
    return Decider(unit.platform, unit.connection, unit.principal, rights)


def known(ctx: Context, permission: str, pointer: str) -> None:
    """Raises `InvalidPayload` for a permission that does not exist: it is a typing error, not a refusal."""
    if permission not in ctx.platform.permissions:
        fault = {"pointer": f"{pointer}/permission", "detail": "is no permission there is"}
        raise InvalidPayload(f"There is no permission {permission!r}. See decisions:permissions.", errors=[fault])


def asked(ctx: Context, check: Check, pointer: str) -> Question:
    """The question of a request."""
    known(ctx, check.permission, pointer)
    return Question(check.principal_id or ctx.principal.id, check.permission, check.securable_id, check.securable_kind)


def place_of(deciding: Decider, question: Question, verb: str) -> Place:
    """Where a question is about.

    Raises:
        NotFound: there is nothing that the caller may see.
    """
    place = deciding.place(question, verb)
    if place is None:
        raise NotFound(f"There is nothing {question.securable_id!r} that rights are granted on.")
    return place


def decision(verdict: Verdict) -> Decision:
    """The answer as it crosses the wire."""
    rule = verdict.rule
    return Decision(
        allowed=verdict.allowed,
        reason=verdict.reason,
        grant_id=rule.grant_id if rule else None,
        subject_id=rule.subject_id if rule else None,
        role=(rule.role or None) if rule else None,
        securable_id=rule.securable_id if rule else None,
    )


def chain_of(place: Place) -> list[ChainPlace]:
    """The places whose grants count there, from the thing itself up to the platform."""
    return [ChainPlace(id=id, kind=_kind(place, id)) for id in place.securable.chain]


def _considered(one: Considered, verdict: Verdict) -> ConsideredGrant:
    rule: Rule = one.rule
    return ConsideredGrant(
        grant_id=rule.grant_id,
        effect="DENY" if rule.denies else "ALLOW",
        path=list(one.path),
        role=rule.role or None,
        pattern=one.pattern,
        securable_id=rule.securable_id,
        securable_kind=rule.securable_kind,
        condition=rule.condition or None,
        condition_met=one.condition_met,
        expires_at=rule.expires_at,
        expired=one.expired,
        holds=one.holds,
        decides=rule is verdict.rule,
    )


def _kind(place: Place, id: str) -> str:
    if id == place.securable.id:
        return place.securable.kind
    kinds = {place.securable.project_id: "admin.project", place.securable.organization_id: "admin.organization"}
    return kinds.get(id, PLATFORM)


def _sentence(
    name: str, question: Question, verdict: Verdict, grants: list[ConsideredGrant], *, past: bool, on_audit: bool
) -> str:
    what = f"{question.permission} on {question.securable_id}"
    may = "could then" if past else "may"
    if verdict.reason is Reason.INACTIVE_PRINCIPAL:
        was = "was" if past else "is"
        return f"{name} {may} not {what}: the account, or its organization, {was} suspended."
    if verdict.rule is None:
        if on_audit:
            return f"{name} {may} not {what}: it tells of all organizations, and needs {OVERSEE} on the platform, too."
        idle = f"; {len(grants)} speak of it, but none holds" if grants else ": no grant speaks of it"
        return f"{name} {may} not {what}{idle}."
    rule = verdict.rule
    by = f"role {rule.role}" if rule.role else "the permission"
    via = "" if rule.subject_id == question.principal_id else f" through {rule.subject_id}"
    may = may if verdict.allowed else f"{may} not"
    return f"{name} {may} {what}: grant {rule.grant_id} of {by} on {rule.securable_id}{via}."


def _subject(deciding: Decider, id: str) -> FoundSubject:
    row = deciding.subject(id)
    return FoundSubject(id=id, kind=row.kind if row else None, name=row.name if row else None)
