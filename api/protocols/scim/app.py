"""The ASGI app at `/scim/v2`: one request is one transaction over the caller's organization.

    GET POST           /Users  /Groups            GET PUT PATCH DELETE  /Users/{id}  /Groups/{id}
    POST               /.search  /Users/.search  /Groups/.search  /Bulk
    GET                /ServiceProviderConfig  /Schemas  /ResourceTypes

Rights are those of the admin service: reading needs `admin.user.get` and `admin.group.get` on the organization, each
change the permission of the operation it is.
"""

from __future__ import annotations

from functools import cached_property
from urllib.parse import parse_qsl

from scim2_models import (
    AuthenticationScheme,
    Bulk,
    ChangePassword,
    EnterpriseUser,
    ETag,
    Filter,
    Pagination,
    Patch,
    ResourceType,
    SCIMException,
    ScimProvider,
    ServiceProviderConfig,
    Sort,
)
from scim2_server.handler import ScimHandler
from scim2_server.requests import ScimRequest
from scim2_server.responses import ScimResponse
from scim2_server.routing import Operation, Target
from scim2_server.service import ScimService
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from api.kernel.application import Application
from api.kernel.principal import ANONYMOUS
from api.kernel.registry import Mount
from api.kernel.roles import Role
from api.kernel.sealing import open_sealer
from api.kernel.securable import Securable
from api.kernel.state import state_of
from api.kernel.unit import ORGANIZATION, Unit, denied
from api.protocols.calls import Calls
from api.protocols.scim.deviations import POLICY, put_right
from api.protocols.scim.errors import translated
from api.protocols.scim.groups import ScimGroup
from api.protocols.scim.storage import DirectoryStorage
from api.protocols.scim.users import ScimUser
from core.errors import HeadwaterError

PATH = "/scim/v2"
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
        change_password=ChangePassword(supported=False),
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


def mounts(app: Application) -> list[Mount]:
    """The service for whoever is logged in, and its public description."""
    scim = Scim(app)
    return [
        Mount(path=PATH, app=scim, role=Role.VIEWER, speaks_for="admin"),
        Mount(path=f"{PATH}/ServiceProviderConfig", app=scim, role=None, exact=True, speaks_for="admin"),
    ]


class _Service(ScimService):
    def authorize(self, request: ScimRequest, target: Target, resource_type: ResourceType) -> None:
        """Who may not read the whole directory is told so: an empty list would make a client create everybody anew."""
        principal = request.subject
        permission = f"admin.{str(resource_type.name).lower()}.get"
        with translated():
            if not principal.access.allows(
                permission, Securable(ORGANIZATION, principal.organization_id, principal.organization_id)
            ):
                raise denied(permission)


class Scim:
    """Serves SCIM requests."""

    def __init__(self, app: Application) -> None:
        self._calls = Calls(app)
        self._platform = app.platform

    @cached_property
    def _service(self) -> ScimService:
        # Made at the first request: models and schemas take time that other processes need not spend.
        return _Service(provider(), secret=self._platform.part(open_sealer).derived("scim cursors"))

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
            base_url=f"{base}{PATH}",
            path=http.scope["path"].removeprefix(PATH).removesuffix(".scim"),
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
        ctx.subject = (target.resource_id or ctx.subject)[:256]

        def work(unit: Unit) -> ScimResponse:
            storage = DirectoryStorage(unit, service.provider, bulk=target.operation is Operation.bulk)
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
