"""The OpenID AuthZEN Authorization API 1.0: access decisions for programs that use it.

    POST /access/v1/evaluation           may this subject do this action on this resource?
    POST /access/v1/evaluations          several such questions
    POST /access/v1/search/subject       who may?        /resource: on what?        /action: do what?
    GET  /.well-known/authzen-configuration

A subject is a `user`, `service_account`, or `group`. A resource is anything that rights can be granted on. Both are
identified by id or name. A resource type is a kind (`admin.project`). An action is a verb of the kind (`get`) or the
complete permission. Properties and context of a request are ignored: the platform decides by what it stores. Questions
about other principals need the permissions of the admin service's decisions. For a subject or resource that the caller
can't see, the decision is false.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from api.kernel.decisions import reach
from api.kernel.decisions.decider import UNKNOWN, Decider, Question, Verdict
from api.kernel.http.inputs import body_of
from api.kernel.http.state import state_of
from api.kernel.kinds.names import Names
from api.kernel.kinds.noun import Kinds
from api.kernel.kinds.registry import Mount
from api.kernel.kinds.stored_kind import StoredKind
from api.kernel.models import Request
from api.kernel.permissions.principal import Principal
from api.kernel.platform import Platform
from api.kernel.roles import Role
from api.kernel.storage import store
from api.kernel.tables import PRINCIPAL
from api.protocols.authzen_requests import (
    Action,
    Evaluations,
    Resource,
    Search,
    Semantic,
    Subject,
    Tuple,
)
from core.errors import AmbiguousName, InvalidArgument, InvalidPayload, MethodNotAllowed, NotFound, PermissionDenied

PATH = "/access/v1"
CONFIGURATION = "/.well-known/authzen-configuration"
_PREFIX = "admin."
_HOLDERS = ("user", "service_account", "group")

B = TypeVar("B", bound=Request)


class AuthZen:
    """The ASGI app at `/access/v1`."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._handlers: dict[str, tuple[type[Any], Callable[[Decider, Any], Any]]] = {
            f"{PATH}/evaluation": (Tuple, _evaluation),
            f"{PATH}/evaluations": (Evaluations, _evaluations),
            f"{PATH}/search/subject": (Search, _search_subject),
            f"{PATH}/search/resource": (Search, _search_resource),
            f"{PATH}/search/action": (Search, _search_action),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one request. Errors are problem documents."""
        request = HttpRequest(scope, receive)
        handler = self._handlers.get(scope["path"])
        if handler is None:
            raise NotFound(f"There is no endpoint {scope['path']!r}. See {CONFIGURATION}.")
        if request.method != "POST":
            raise MethodNotAllowed("This path only accepts POST.", metadata={"allow": ["POST"]})
        model, answer = handler
        body = await _body(request, model)
        principal = state_of(scope).principal
        assert principal is not None  # The mount requires authentication.
        result = await self._platform.workers.read.run(self._decide, answer, body, principal)
        await JSONResponse(result, headers={"cache-control": "no-store"})(scope, receive, send)

    def _decide(self, answer: Callable[[Decider, Any], Any], body: Any, principal: Principal) -> Any:
        with self._platform.database.read() as connection:
            return answer(Decider(self._platform, connection, principal), body)


def mounts(platform: Platform) -> list[Mount]:
    """Returns the API for authenticated callers, and its public configuration document."""
    return [
        Mount(path=PATH, app=AuthZen(platform), role=Role.VIEWER, speaks_for="admin"),
        Mount(path=CONFIGURATION, app=configuration, role=None, exact=True, speaks_for="admin"),
    ]


async def configuration(scope: Scope, receive: Receive, send: Send) -> None:
    """Serves the configuration document with the addresses of the endpoints."""
    base = str(HttpRequest(scope).base_url).rstrip("/")
    document = {
        "policy_decision_point": base,
        "access_evaluation_endpoint": f"{base}{PATH}/evaluation",
        "access_evaluations_endpoint": f"{base}{PATH}/evaluations",
        "search_subject_endpoint": f"{base}{PATH}/search/subject",
        "search_resource_endpoint": f"{base}{PATH}/search/resource",
        "search_action_endpoint": f"{base}{PATH}/search/action",
    }
    await JSONResponse(document)(scope, receive, send)


async def _body(request: HttpRequest, model: type[B]) -> B:
    try:
        return (await body_of(request, model))[0]
    except InvalidPayload as error:
        raise InvalidArgument(error.detail, errors=error.errors) from None  # The specification requires 400.


def _evaluation(decider: Decider, body: Tuple) -> dict[str, Any]:
    return _answer(_decide(decider, *_require_complete(body, "")))


def _evaluations(decider: Decider, body: Evaluations) -> dict[str, Any]:
    if not body.evaluations:
        return _evaluation(decider, body)
    semantic = body.options.evaluations_semantic
    answers = []
    for n, one in enumerate(body.evaluations):
        merged = Tuple(
            subject=one.subject or body.subject,
            action=one.action or body.action,
            resource=one.resource or body.resource,
        )
        answers.append(_evaluate_one(decider, merged, n))
        allowed = answers[-1]["decision"]
        if semantic is Semantic.DENY_ON_FIRST_DENY and not allowed:
            break
        if semantic is Semantic.PERMIT_ON_FIRST_PERMIT and allowed:
            break
    return {"evaluations": answers}


def _evaluate_one(decider: Decider, body: Tuple, n: int) -> dict[str, Any]:
    """Returns one of several answers. It contains the error of its question, so that the others are answered."""
    try:
        return _answer(_decide(decider, *_require_complete(body, f"/evaluations/{n}")))
    except (InvalidArgument, PermissionDenied) as error:
        return {"decision": False, "context": {"error": {"status": error.status, "message": error.detail}}}


def _decide(decider: Decider, subject: Subject, action: Action, resource: Resource) -> Verdict:
    permission = _permission(action.name, resource.type)
    question = Question(_subject_id(decider, subject), permission, _resource_id(decider, resource), resource.type)
    # Also for an unknown permission, so that callers without the right to ask are always refused.
    verdict = decider.decide(question)
    return verdict if permission in decider.platform.permissions else UNKNOWN


def _search_subject(decider: Decider, body: Search) -> dict[str, Any]:
    subject, action, resource = _parts(body, "subject", "action", "resource")
    permission = _permission(action.name, resource.type)
    place = decider.target(Question("", permission, _resource_id(decider, resource), resource.type), "list_subjects")
    if place is None or permission not in decider.platform.permissions:
        return _page([], body)
    ids = reach.subjects(decider, permission, place)
    kind = _noun(subject.type)
    remaining = _of_kind(decider.connection, [id for id in ids if id > body.page.token], kind)
    return _page([{"type": subject.type, "id": id} for id in remaining], body)


def _search_resource(decider: Decider, body: Search) -> dict[str, Any]:
    subject, action, resource = _parts(body, "subject", "action", "resource")
    required = "admin.decision.list_objects"
    id = _subject_id(decider, subject)
    if id != decider.caller.id and not decider.caller.access.anywhere(required):
        raise PermissionDenied(f"This needs the permission {required}, which you do not hold here.")
    permission = _permission(action.name, resource.type)
    if permission not in decider.platform.permissions or decider.subject(id) is None:
        return _page([], body)
    objects = reach.objects(decider, id, permission, resource.type, after=body.page.token, limit=body.page.limit + 1)
    return _page([{"type": resource.type, "id": one.id} for one in objects], body)


def _search_action(decider: Decider, body: Search) -> dict[str, Any]:
    subject, resource = _parts(body, "subject", "resource")
    id, prefix = _subject_id(decider, subject), f"{resource.type}."
    on = _resource_id(decider, resource)
    names = sorted(name for name in decider.platform.permissions if name.startswith(prefix))
    actions = [
        {"name": name.removeprefix(prefix)}
        for name in names
        if name.removeprefix(prefix) > body.page.token and decider.decide(Question(id, name, on, resource.type)).allowed
    ]
    return _page(actions, body)


def _page(results: list[dict[str, str]], body: Search) -> dict[str, Any]:
    page = results[: body.page.limit]
    has_next = len(results) > len(page)
    last = page[-1] if page else {}
    return {"results": page, "page": {"next_token": (last.get("id") or last.get("name", "")) if has_next else ""}}


def _require_complete(body: Tuple, pointer: str) -> tuple[Subject, Action, Resource]:
    subject, action, resource = _parts(body, "subject", "action", "resource", pointer=pointer)
    for name, part in (("subject", subject), ("resource", resource)):
        if not part.id:
            raise _missing(f"{pointer}/{name}/id")
    return subject, action, resource


def _parts(body: Tuple, *names: str, pointer: str = "") -> Iterator[Any]:
    for name in names:
        if getattr(body, name) is None:
            raise _missing(f"{pointer}/{name}")
    return iter([getattr(body, name) for name in names])


def _missing(pointer: str) -> InvalidArgument:
    return InvalidArgument(f"{pointer[1:]} is missing.", errors=[{"pointer": pointer, "detail": "missing"}])


def _permission(action: str, kind: str) -> str:
    return action if action.count(".") == 2 else f"{kind}.{action}"


def _noun(type: str) -> str:
    return type.removeprefix(_PREFIX)


def _subject_id(decider: Decider, subject: Subject) -> str:
    """Returns the id of a subject, or a text that no principal has as id if there is no such subject."""
    kind = _noun(subject.type)
    if kind not in _HOLDERS:
        return f"{subject.type}:{subject.id}"
    kind = f"{_PREFIX}{kind}"
    row = store.find(decider.connection, kind, _id(decider, kind, subject.id), within=None)
    return row.id if row else f"{subject.type}:{subject.id}"


def _resource_id(decider: Decider, resource: Resource) -> str:
    kind = resource.type
    stored = isinstance(decider.platform.part(Kinds).get(kind), StoredKind)
    return _id(decider, kind, resource.id) if stored else resource.id


def _id(decider: Decider, kind: str, text: str) -> str:
    """Returns the id in a text: the text itself, or the id of the visible resource with this name."""
    try:
        return Names(decider.platform, decider.connection, decider.caller).id_of(kind, text)
    except AmbiguousName as error:
        raise InvalidArgument(error.detail, metadata=error.metadata) from None  # The specification requires 400.


def _of_kind(connection: Connection, ids: list[str], kind: str) -> list[str]:
    of_kind = PRINCIPAL.c.kind == kind.upper()
    matching: list[str] = []
    for start in range(0, len(ids), 5000):
        batch = sa.select(PRINCIPAL.c.id).where(PRINCIPAL.c.id.in_(ids[start : start + 5000]), of_kind)
        matching += connection.execute(batch).scalars()
    return sorted(matching)


def _answer(verdict: Verdict) -> dict[str, Any]:
    context = {"reason": verdict.reason.value}
    if verdict.rule and verdict.disclosed:
        context["grant_id"] = verdict.rule.grant_id
    return {"decision": verdict.allowed, "context": context}
