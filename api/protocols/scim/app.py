"""The ASGI app at `/scim/v2`: one request is one transaction over the caller's organization.

    GET POST           /Users  /Groups            GET PUT PATCH DELETE  /Users/{id}  /Groups/{id}
    POST               /.search  /Users/.search  /Groups/.search  /Bulk
    GET PUT PATCH DELETE  /Me
    GET                /ServiceProviderConfig  /Schemas  /ResourceTypes

Rights are those of the admin service: reading needs `admin.user.get` and `admin.group.get` on the organization, each
change the permission of the operation it is.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from scim2_models import (
    AuthenticationScheme,
    Bulk,
    ChangePassword,
    EnterpriseUser,
    ETag,
    Filter,
    NotFoundException,
    Pagination,
    Patch,
    Resource,
    ResourceType,
    SCIMException,
    ScimProvider,
    ServiceProviderConfig,
    Sort,
)
from scim2_server.conditions import Conditions
from scim2_server.handler import ScimHandler
from scim2_server.requests import ScimRequest
from scim2_server.responses import ScimResponse
from scim2_server.routing import Operation, Target
from scim2_server.service import ScimService
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from api.kernel.application import Application
from api.kernel.credentials.sealing import open_sealer
from api.kernel.http.state import state_of
from api.kernel.kinds.unit import ORGANIZATION, Unit, denied
from api.kernel.permissions.principal import ANONYMOUS, PrincipalKind
from api.kernel.securable import Securable
from api.protocols.calls import Calls
from api.protocols.scim.deviations import POLICY, put_right
from api.protocols.scim.errors import translated
from api.protocols.scim.groups import ScimGroup
from api.protocols.scim.passwords import hashed
from api.protocols.scim.storage import DirectoryStorage
from api.protocols.scim.users import ScimUser
from api.services.admin.kinds.user import USER
from core.errors import HeadwaterError

_MEDIA_TYPE = "application/scim+json"
_LONGEST_BODY = 1_048_576
_LARGEST_PAGE = 1000
_CHANGES = {
    Operation.create: "create",
    Operation.replace: "update",
    Operation.patch: "update",
    Operation.delete: "delete",
    Operation.bulk: "batch",
}
_REFUSALS = (409, 412)
"""Of the library: a name that is taken, a version that is old. Other faults it finds are those of the request."""


def provider() -> ScimProvider:
    """What the service can do."""
    config = ServiceProviderConfig(
        patch=Patch(supported=True),
        bulk=Bulk(supported=True, max_operations=1000, max_payload_size=_LONGEST_BODY),
        filter=Filter(supported=True, max_results=_LARGEST_PAGE),
        change_password=ChangePassword(supported=True),
        sort=Sort(supported=True),
        etag=ETag(supported=True),
        pagination=Pagination(
            cursor=True,
            index=True,
            default_pagination_method=Pagination.DefaultPaginationMethod.index,
            default_page_size=100,
            max_page_size=_LARGEST_PAGE,
        ),
        authentication_schemes=[
            AuthenticationScheme(
                type=AuthenticationScheme.Type.oauthbearertoken,
                name="API key",
                description="An API key of a service account, as a bearer token.",
                primary=True,
            )
        ],
    )
    types = [ResourceType.from_resource(ScimUser[EnterpriseUser]), ResourceType.from_resource(ScimGroup)]
    return ScimProvider([ScimUser, EnterpriseUser, ScimGroup], resource_types=types, config=config, policy=POLICY)


class _Service(ScimService):
    def authorize(self, request: ScimRequest, target: Target, resource_type: ResourceType) -> None:
        """Who may not read the whole directory is told so: an empty list would make a client create everybody anew."""
        principal = request.subject
        permission = f"admin.{str(resource_type.name).lower()}.get"
        place = Securable(ORGANIZATION, principal.organization_id, principal.organization_id)
        if target.me:
            place = Securable(USER.full_name, principal.id, principal.organization_id)
        with translated():
            if not principal.access.allows(permission, place):
                raise denied(permission)

    def me_target(self, request: ScimRequest) -> tuple[ResourceType, str]:
        """The user who asks. A service account is none."""
        if request.subject.kind is not PrincipalKind.USER:
            raise NotFoundException(detail="Only a user has a resource at /Me; this is the key of a service account.")
        return self.get_resource_type("User"), request.subject.id

    def apply_replacement(
        self, current: Resource[Any], replacement: Resource[Any], conditions: Conditions
    ) -> Resource[Any] | None:
        """As the library, but that a user whose `active` is left out stays as he is."""
        if isinstance(current, ScimUser) and isinstance(replacement, ScimUser) and replacement.active is None:
            replacement.active = current.active
        return super().apply_replacement(current, replacement, conditions)


class Scim:
    """Serves SCIM requests."""

    def __init__(self, app: Application, path: str) -> None:
        self._path = path
        self._calls = Calls(app)
        self._platform = app.platform
        self._service = _Service(provider(), secret=app.platform.part(open_sealer).derived("scim cursors"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request; errors are SCIM's own, but for those that say nothing of the request."""
        http = HttpRequest(scope, receive)
        try:
            answer = await self._answer(scope, self._read(http, await http.body()))
        except SCIMException as error:
            answer = self._service.error_response(error)
        await _response(answer)(scope, receive, send)

    def _read(self, http: HttpRequest, body: bytes) -> ScimRequest:
        base = self._platform.settings.url.rstrip("/") or f"{http.url.scheme}://{http.url.netloc}"
        return ScimRequest(
            method=http.method,
            base_url=f"{base}{self._path}",
            path=http.scope["path"].removeprefix(self._path).removesuffix(".scim"),
            query=dict(parse_qsl(http.url.query, keep_blank_values=True)),
            headers=list(http.headers.items()),
            body=put_right(body) if body else body,
            subject=state_of(http.scope).principal,
        )

    async def _answer(self, scope: Scope, request: ScimRequest) -> ScimResponse:
        service = self._service
        target = service.match(request)
        changes = _CHANGES.get(target.operation)
        noun = "group" if (target.endpoint or "").lower() == "groups" else "user"
        method = changes or "list"
        name = f"admin_{method}_{noun}s" if method in ("batch", "list") else f"admin_{method}_{noun}"
        ctx = self._calls.context(scope, name, request.subject or ANONYMOUS)
        ctx.subject = (ctx.principal.id if target.me else target.resource_id or ctx.subject)[:256]
        passwords = await hashed(ctx, request.body, ctx.subject) if changes else {}

        def work(unit: Unit) -> ScimResponse:
            storage = DirectoryStorage(unit, service.provider, passwords, bulk=target.operation is Operation.bulk)
            with translated():
                return ScimHandler(service, storage).handle(request)

        try:
            return await (ctx.write(work) if changes else ctx.read(work))
        except SCIMException as error:
            if isinstance(error.__cause__, HeadwaterError) or error.status in _REFUSALS:
                await ctx.record_failure(error.__cause__ if isinstance(error.__cause__, HeadwaterError) else error)
            raise


def _response(answer: ScimResponse) -> Response:
    headers = {"cache-control": "no-store"} | dict(answer.headers)
    if answer.body is None:
        return Response(status_code=int(answer.status), headers=headers)
    return JSONResponse(answer.body, int(answer.status), headers, media_type=_MEDIA_TYPE)
