"""The OpenID AuthZEN Authorization API 1.0: access decisions for programs that speak it.

    POST /access/v1/evaluation           may this subject do this action on this resource?
    POST /access/v1/evaluations          several such questions
    POST /access/v1/search/subject       who may?        /resource: on what?        /action: do what?
    GET  /.well-known/authzen-configuration

A subject is a `user`, `service_account` or `group` by id, users also by login name. A resource type is a kind
(`admin.project`), an action a verb of it (`get`) or the whole permission. What callers say of properties and context
is not believed: the platform decides by what it stores. Asking about others needs the permissions of the admin
service's decisions; what the caller may not know of gets the decision false.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Annotated, Any, TypeVar

import sqlalchemy as sa
from pydantic import ConfigDict, Field
from sqlalchemy.engine import Connection
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from api.kernel.decisions import reach
from api.kernel.decisions.decider import UNKNOWN, Decider, Question, Verdict
from api.kernel.http.inputs import body_of
from api.kernel.http.state import state_of
from api.kernel.kinds.registry import Mount
from api.kernel.models import Request
from api.kernel.permissions.principal import Principal
from api.kernel.platform import Platform
from api.kernel.roles import Role
from api.kernel.storage import store
from api.kernel.tables import PRINCIPAL
from core.errors import InvalidArgument, InvalidPayload, MethodNotAllowed, NotFound, PermissionDenied

PATH = "/access/v1"
CONFIGURATION = "/.well-known/authzen-configuration"
_PREFIX = "admin."
_HOLDERS = ("user", "service_account", "group")

B = TypeVar("B", bound=Request)
# Others' extensions must not break a request: what is not known here is passed over.
_OPEN = ConfigDict(extra="ignore")


class Subject(Request):
    """Who."""

    model_config = _OPEN
    type: Annotated[str, Field(max_length=64)]
    id: Annotated[str, Field(max_length=256)] = ""


class Resource(Request):
    """On what."""

    model_config = _OPEN
    type: Annotated[str, Field(max_length=64)]
    id: Annotated[str, Field(max_length=256)] = ""


class Action(Request):
    """Doing what."""

    model_config = _OPEN
    name: Annotated[str, Field(max_length=128)]


class Tuple(Request):
    """A question, or the parts of it that differ from the defaults of its request."""

    model_config = _OPEN
    subject: Subject | None = None
    action: Action | None = None
    resource: Resource | None = None


class Semantic(StrEnum):
    """When to stop answering."""

    EXECUTE_ALL = "execute_all"
    DENY_ON_FIRST_DENY = "deny_on_first_deny"
    PERMIT_ON_FIRST_PERMIT = "permit_on_first_permit"


class Options(Request):
    """How to answer several questions."""

    model_config = _OPEN
    evaluations_semantic: Annotated[Semantic, Field(strict=False)] = Semantic.EXECUTE_ALL


class Evaluations(Tuple):
    """Several questions with common defaults."""

    evaluations: Annotated[list[Tuple], Field(max_length=1000)] = []
    options: Options = Options()


class PageRequest(Request):
    """Which page."""

    model_config = _OPEN
    token: Annotated[str, Field(max_length=256)] = ""
    limit: Annotated[int, Field(ge=1, le=1000)] = 100


class Search(Tuple):
    """What to look for: the part that is left open."""

    page: PageRequest = PageRequest()


class AuthZen:
    """The ASGI app at `/access/v1`."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._answers: dict[str, tuple[type[Any], Callable[[Decider, Any], Any]]] = {
            f"{PATH}/evaluation": (Tuple, _evaluation),
            f"{PATH}/evaluations": (Evaluations, _evaluations),
            f"{PATH}/search/subject": (Search, _search_subject),
            f"{PATH}/search/resource": (Search, _search_resource),
            f"{PATH}/search/action": (Search, _search_action),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one question; errors are problem documents, as everywhere."""
        request = HttpRequest(scope, receive)
        found = self._answers.get(scope["path"])
        if found is None:
            raise NotFound(f"Nothing is served at {scope['path']!r}. See {CONFIGURATION}.")
        if request.method != "POST":
            raise MethodNotAllowed("This path answers POST.", metadata={"allow": ["POST"]})
        model, answer = found
        body = await _body(request, model)
        principal = state_of(scope).principal
        assert principal is not None  # the mount asks for a login
        result = await self._platform.workers.read.run(self._decide, answer, body, principal)
        await JSONResponse(result, headers={"cache-control": "no-store"})(scope, receive, send)

    def _decide(self, answer: Callable[[Decider, Any], Any], body: Any, principal: Principal) -> Any:
        with self._platform.database.read() as connection:
            return answer(Decider(self._platform, connection, principal), body)


def mounts(platform: Platform) -> list[Mount]:
    """The API for whoever is logged in, and its public description."""
    return [
        Mount(path=PATH, app=AuthZen(platform), role=Role.VIEWER, speaks_for="admin"),
        Mount(path=CONFIGURATION, app=configuration, role=None, exact=True, speaks_for="admin"),
    ]


async def configuration(scope: Scope, receive: Receive, send: Send) -> None:
    """Where the endpoints are."""
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
        raise InvalidArgument(error.detail, errors=error.errors) from None  # the specification says 400


def _evaluation(decider: Decider, body: Tuple) -> dict[str, Any]:
    return _answer(_decided(decider, *_whole(body, "")))


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
        answers.append(_one(decider, merged, n))
        allowed = answers[-1]["decision"]
        if semantic is Semantic.DENY_ON_FIRST_DENY and not allowed:
            break
        if semantic is Semantic.PERMIT_ON_FIRST_PERMIT and allowed:
            break
    return {"evaluations": answers}


def _one(decider: Decider, body: Tuple, n: int) -> dict[str, Any]:
    """One answer of several: what is wrong with its question is told in it, and closes nothing but itself."""
    try:
        return _answer(_decided(decider, *_whole(body, f"/evaluations/{n}")))
    except (InvalidArgument, PermissionDenied) as error:
        return {"decision": False, "context": {"error": {"status": error.status, "message": error.detail}}}


def _decided(decider: Decider, subject: Subject, action: Action, resource: Resource) -> Verdict:
    permission = _permission(action.name, resource.type)
    question = Question(_subject_id(decider, subject), permission, resource.id, resource.type)
    # Asked even of what is unknown: who may not ask is told so, whatever he asks.
    verdict = decider.decide(question)
    return verdict if permission in decider.platform.permissions else UNKNOWN


def _search_subject(decider: Decider, body: Search) -> dict[str, Any]:
    subject, action, resource = _parts(body, "subject", "action", "resource")
    permission = _permission(action.name, resource.type)
    place = decider.place(Question("", permission, resource.id, resource.type), "list_subjects")
    if place is None or permission not in decider.platform.permissions:
        return _page([], body)
    found = reach.subjects(decider.platform, decider.rights, permission, place)
    kind = _noun(subject.type)
    left = _of_kind(decider.connection, [id for id in found if id > body.page.token], kind)
    return _page([{"type": subject.type, "id": id} for id in left], body)


def _search_resource(decider: Decider, body: Search) -> dict[str, Any]:
    subject, action, resource = _parts(body, "subject", "action", "resource")
    asking = "admin.decision.list_objects"
    id = _subject_id(decider, subject)
    if id != decider.asker.id and not decider.asker.access.anywhere(asking):
        raise PermissionDenied(f"This needs the permission {asking}, which you do not hold here.")
    permission = _permission(action.name, resource.type)
    if permission not in decider.platform.permissions or decider.subject(id) is None:
        return _page([], body)
    what = (id, permission, resource.type)
    found = reach.objects(decider, *what, after=body.page.token, limit=body.page.limit + 1)
    return _page([{"type": resource.type, "id": one.id} for one in found], body)


def _search_action(decider: Decider, body: Search) -> dict[str, Any]:
    subject, resource = _parts(body, "subject", "resource")
    id, prefix = _subject_id(decider, subject), f"{resource.type}."
    names = sorted(name for name in decider.platform.permissions if name.startswith(prefix))
    found = [
        {"name": name.removeprefix(prefix)}
        for name in names
        if name.removeprefix(prefix) > body.page.token
        and decider.decide(Question(id, name, resource.id, resource.type)).allowed
    ]
    return _page(found, body)


def _page(found: list[dict[str, str]], body: Search) -> dict[str, Any]:
    page = found[: body.page.limit]
    more = len(found) > len(page)
    last = page[-1] if page else {}
    return {"results": page, "page": {"next_token": (last.get("id") or last.get("name", "")) if more else ""}}


def _whole(body: Tuple, pointer: str) -> tuple[Subject, Action, Resource]:
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
    """The id of a subject; what it was called if there is none of that type, which then is unknown."""
    kind = _noun(subject.type)
    if kind not in _HOLDERS:
        return f"{subject.type}:{subject.id}"
    row = store.find(decider.connection, f"{_PREFIX}{kind}", subject.id, named=kind == "user")
    return row.id if row else f"{subject.type}:{subject.id}"


def _of_kind(connection: Connection, ids: list[str], kind: str) -> list[str]:
    wanted = PRINCIPAL.c.kind == kind.upper()
    found: list[str] = []
    for start in range(0, len(ids), 5000):
        some = sa.select(PRINCIPAL.c.id).where(PRINCIPAL.c.id.in_(ids[start : start + 5000]), wanted)
        found += connection.execute(some).scalars()
    return sorted(found)


def _answer(verdict: Verdict) -> dict[str, Any]:
    context = {"reason": verdict.reason.value}
    if verdict.rule:
        context["grant_id"] = verdict.rule.grant_id
    return {"decision": verdict.allowed, "context": context}
