"""Decisions: whether a principal may call an operation on a resource, why, who else may, and on which resources."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from api.kernel import lookup
from api.kernel.decisions import reach
from api.kernel.decisions.decider import Decider, EvaluatedRule, Question, Reason, Target, Verdict
from api.kernel.decisions.past import Past
from api.kernel.kinds.context import Context
from api.kernel.kinds.endpoint import Endpoints
from api.kernel.kinds.kind import Kind
from api.kernel.kinds.noun import Kinds
from api.kernel.kinds.refusals import denied
from api.kernel.kinds.unit import Unit
from api.kernel.models import Query
from api.kernel.permissions.access import READ_AUDIT_LOG
from api.kernel.permissions.rule import Rule
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
from api.services.admin.logic import visible_names
from core.errors import NotFound

DECISION = Kind(
    "decision",
    plural="decisions",
    title="Decision",
    description="Whether a principal has a permission, why, who else does, and on what. All can ask about themselves.",
    example="check",
    scoped=True,
)


@DECISION.collection_action(
    "check", request=CheckAt, result=Decision, reads=True, role=Role.ADMIN, own=True, name="check_access"
)
async def check(ctx: Context, request: CheckAt) -> Decision:
    """Returns whether a principal has a permission on a resource, by the rules that apply to every request."""
    question = question_of(ctx, request, "")
    return await ctx.read(lambda unit: decision(decider(unit, request.as_of).decide(question)))


@DECISION.collection_action(
    "check-batch", request=Checks, result=Decisions, reads=True, role=Role.ADMIN, own=True, name="check_access_batch"
)
async def check_batch(ctx: Context, request: Checks) -> Decisions:
    """Answers up to 1,000 questions over one snapshot of all rights."""
    questions = [question_of(ctx, item, f"/items/{n}") for n, item in enumerate(request.items)]

    def read(unit: Unit) -> Decisions:
        deciding = decider(unit)
        return Decisions(items=[decision(deciding.decide(question, "check_batch")) for question in questions])

    return await ctx.read(read)


@DECISION.collection_action(
    "explain", request=CheckAt, result=Explanation, reads=True, role=Role.ADMIN, own=True, name="explain_access"
)
async def explain(ctx: Context, request: CheckAt) -> Explanation:
    """Returns a decision with every grant that contains the permission: its path, its place, and whether it holds.

    Grants that the caller can't read are left out, and `hidden` says so.
    With `as_of`, it returns the decision of that time, by the grants, groups, roles, and labels of that time.
    """
    question = question_of(ctx, request, "")

    def read(unit: Unit) -> Explanation:
        deciding = decider(unit, request.as_of)
        place = require_place(deciding, question, "explain")
        subject = deciding.subject(question.principal_id)
        if subject is None:
            raise NotFound(f"There is no user, service account, or group {question.principal_id!r}.")
        verdict = deciding.decide(question, "explain")
        considered = deciding.evaluated_rules(question, place)
        visible = [one for one in considered if deciding.discloses(one.rule, question.principal_id, place)]
        grants = [_considered(one, verdict) for one in visible]
        chain = chain_of(place)
        detail = _sentence(
            subject.name,
            question,
            verdict,
            grants,
            past=request.as_of is not None,
            on_audit=place.securable.cross_tenant,
        )
        answer = decision(verdict)
        hidden = len(visible) < len(considered)
        ids = [question.principal_id, *place.securable.chain, *(id for grant in grants for id in grant.path)]
        names = visible_names.names_of(unit, ids)
        return Explanation(decision=answer, detail=detail, chain=chain, grants=grants, hidden=hidden, names=names)

    return await ctx.read(read)


@DECISION.collection_action(
    "list-objects", request=ListObjects, result=FoundObjects, reads=True, role=Role.ADMIN, own=True
)
async def list_objects(ctx: Context, request: ListObjects) -> FoundObjects:
    """Lists the resources of a kind on which a principal has a permission, as far as the caller can see them."""
    principal_id = request.principal_id or ctx.principal.id
    require_known_permission(ctx, request.permission, "")
    permission = DECISION.permission("list-objects")

    def read(unit: Unit) -> FoundObjects:
        deciding = decider(unit)
        if principal_id != ctx.principal.id and not ctx.principal.access.anywhere(permission):
            raise denied(permission)
        if deciding.subject(principal_id) is None:
            raise NotFound(f"There is no user, service account, or group {principal_id!r}.")
        objects = reach.objects(
            deciding,
            principal_id,
            request.permission,
            request.kind,
            after=request.page_token,
            limit=request.page_size + 1,
        )
        page = [FoundObject(id=one.id, kind=one.kind, name=one.name) for one in objects[: request.page_size]]
        return FoundObjects(items=page, next_page_token=page[-1].id if len(objects) > request.page_size else None)

    return await ctx.read(read)


@DECISION.collection_action("list-subjects", request=ListSubjects, result=FoundSubjects, reads=True, role=Role.ADMIN)
async def list_subjects(ctx: Context, request: ListSubjects) -> FoundSubjects:
    """Lists the users and service accounts that have a permission on a resource, directly or through groups.

    A deny overrides every grant. Principals that the caller can't see are left out. With `as_of`, it lists the
    principals that had the permission at that time.
    """
    require_known_permission(ctx, request.permission, "")
    require_known_kind(ctx, request.securable_kind, "")
    question = Question("", request.permission, request.securable_id, request.securable_kind)

    def read(unit: Unit) -> FoundSubjects:
        deciding = decider(unit, request.as_of)
        place = require_place(deciding, question, "list_subjects")
        ids = reach.subjects(deciding, request.permission, place)
        remaining = [id for id in ids if id > request.page_token]
        page = _subjects(deciding, remaining[: request.page_size])
        return FoundSubjects(items=page, next_page_token=page[-1].id if len(remaining) > request.page_size else None)

    return await ctx.read(read)


@DECISION.collection_read("permissions", query=Query, result=PermissionCatalogue, own=True)
async def list_permissions(ctx: Context, query: Query) -> PermissionCatalogue:
    """Lists all permissions, each with the lowest built-in role that includes it."""
    summaries: dict[str, str] = {}
    for endpoint in ctx.platform.part(Endpoints):
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
    """Returns the decider of this transaction, with present rights or those of a past time.

    Raises:
        InvalidPayload: The time is in the future, or before the first event.
    """
    rights = Past(unit.connection, as_of) if as_of else None
    return Decider(unit.platform, unit.connection, unit.principal, rights)


def require_known_permission(ctx: Context, permission: str, pointer: str) -> None:
    """Raises `InvalidPayload` if the permission does not exist, so that a typing error is no refusal."""
    lookup.require_known(permission, ctx.platform.permissions, "permission", f"{pointer}/permission")


def require_known_kind(ctx: Context, kind: str, pointer: str) -> None:
    """Raises `InvalidPayload` if the kind does not exist. An empty kind is none."""
    if kind and kind != PLATFORM:
        lookup.require_known(kind, ctx.platform.part(Kinds), "kind", f"{pointer}/securable_kind")


def question_of(ctx: Context, check: Check, pointer: str) -> Question:
    """Returns the question of a request."""
    require_known_permission(ctx, check.permission, pointer)
    require_known_kind(ctx, check.securable_kind, pointer)
    return Question(check.principal_id or ctx.principal.id, check.permission, check.securable_id, check.securable_kind)


def require_place(deciding: Decider, question: Question, verb: str) -> Target:
    """Returns the place that a question is about.

    Raises:
        NotFound: The caller can see no such resource.
    """
    place = deciding.target(question, verb)
    if place is None:
        raise NotFound(f"There is no resource {question.securable_id!r} on which rights can be granted.")
    return place


def decision(verdict: Verdict) -> Decision:
    """Returns a decision in its response form."""
    rule = verdict.rule if verdict.disclosed else None
    return Decision(
        allowed=verdict.allowed,
        reason=verdict.reason,
        grant_id=rule.grant_id if rule else None,
        subject_id=rule.subject_id if rule else None,
        role=(rule.role or None) if rule else None,
        securable_id=rule.securable_id if rule else None,
    )


def chain_of(place: Target) -> list[ChainPlace]:
    """Returns the places whose grants apply, from the resource up to the platform."""
    return [ChainPlace(id=id, kind=_kind(place, id)) for id in place.securable.chain]


def _considered(one: EvaluatedRule, verdict: Verdict) -> ConsideredGrant:
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


def _kind(place: Target, id: str) -> str:
    if id == place.securable.id:
        return place.securable.kind
    kinds = {place.securable.project_id: "admin.project", place.securable.organization_id: "admin.organization"}
    return kinds.get(id, PLATFORM)


def _sentence(
    name: str, question: Question, verdict: Verdict, grants: list[ConsideredGrant], *, past: bool, on_audit: bool
) -> str:
    request = f"{question.permission} on {question.securable_id}"
    may = "could then" if past else "may"
    if verdict.reason is Reason.INACTIVE_PRINCIPAL:
        was = "was" if past else "is"
        return f"{name} {may} not {request}: the account, or its organization, {was} suspended."
    if verdict.rule is None:
        if on_audit:
            required = f"{READ_AUDIT_LOG} on the platform"
            return f"{name} {may} not {request}: it contains data of all organizations, and also requires {required}."
        idle = f": {len(grants)} grants contain it, but none holds" if grants else ": no grant contains it"
        return f"{name} {may} not {request}{idle}."
    if not verdict.disclosed:
        return f"{name} {may if verdict.allowed else f'{may} not'} {request}: by a grant that you can't see."
    rule = verdict.rule
    by = f"role {rule.role}" if rule.role else "the permission"
    via = "" if rule.subject_id == question.principal_id else f" through {rule.subject_id}"
    may = may if verdict.allowed else f"{may} not"
    return f"{name} {may} {request}: grant {rule.grant_id} of {by} on {rule.securable_id}{via}."


def _subjects(deciding: Decider, ids: Sequence[str]) -> list[FoundSubject]:
    rows = (deciding.subject(id) for id in ids)
    return [FoundSubject(id=row.id, kind=row.kind, name=row.name) for row in rows if row is not None]
