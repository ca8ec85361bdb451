"""The ASGI app at `/scim/v2`. Each request is one transaction in the caller's organization.

    GET POST           /Users  /Groups            GET PUT PATCH DELETE  /Users/{id}  /Groups/{id}
    POST               /.search  /Users/.search  /Groups/.search  /Bulk
    GET PUT PATCH DELETE  /Me
    GET                /ServiceProviderConfig  /Schemas  /ResourceTypes

The permissions are those of the admin service. Reading needs `admin.user.get` and `admin.group.get` on the
organization, and a change needs the permission of the corresponding operation. As in the protocol, members of a group
are ids, not names.
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
from api.kernel.http.inputs import refuse_unstorable
from api.kernel.http.state import state_of
from api.kernel.kinds.refusals import denied
from api.kernel.kinds.unit import Unit
from api.kernel.permissions.principal import ANONYMOUS, PrincipalKind
from api.kernel.references import ORGANIZATION
from api.kernel.securable import Securable
from api.protocols.calls import Calls
from api.protocols.scim.deviations import POLICY, correct_deviations
from api.protocols.scim.errors import translated
from api.protocols.scim.groups import ScimGroup
from api.protocols.scim.passwords import hash_passwords
from api.protocols.scim.storage import DirectoryStorage
from api.protocols.scim.users import ScimUser
from api.services.admin.kinds.user import USER
from core.errors import HeadwaterError

_MEDIA_TYPE = "application/scim+json"
_MAX_BODY_BYTES = 1_048_576
_MAX_PAGE_SIZE = 1000
_NUMBERS = ("startindex", "count")
_DIGITS = 18
_CHANGES = {
    Operation.create: "create",
    Operation.replace: "update",
    Operation.patch: "update",
    Operation.delete: "delete",
    Operation.bulk: "batch",
}
_RECORDED_STATUSES = (409, 412)
"""Errors of the library that are recorded: a taken name, an outdated version. Others are faults of the request."""


def provider() -> ScimProvider:
    """Returns the capabilities of the service."""
    config = ServiceProviderConfig(
        patch=Patch(supported=True),
        bulk=Bulk(supported=True, max_operations=1000, max_payload_size=_MAX_BODY_BYTES),
        filter=Filter(supported=True, max_results=_MAX_PAGE_SIZE),
        change_password=ChangePassword(supported=True),
        sort=Sort(supported=True),
        etag=ETag(supported=True),
        pagination=Pagination(
            cursor=True,
            index=True,
            default_pagination_method=Pagination.DefaultPaginationMethod.index,
            default_page_size=100,
            max_page_size=_MAX_PAGE_SIZE,
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
        """Refuses callers that can't read the whole directory. After an empty list, a client would create all users."""
        principal = request.subject
        permission = f"admin.{str(resource_type.name).lower()}.get"
        place = Securable(ORGANIZATION, principal.organization_id, principal.organization_id)
        if target.me:
            place = Securable(USER.full_name, principal.id, principal.organization_id)
        with translated():
            if not principal.access.allows(permission, place):
                raise denied(permission)

    def me_target(self, request: ScimRequest) -> tuple[ResourceType, str]:
        """Returns the calling user. A service account has no such resource."""
        if request.subject.kind is not PrincipalKind.USER:
            raise NotFoundException(detail="/Me exists only for users, and you use the key of a service account.")
        return self.get_resource_type("User"), request.subject.id

    def apply_replacement(
        self, current: Resource[Any], replacement: Resource[Any], conditions: Conditions
    ) -> Resource[Any] | None:
        """Replaces a resource as the library does, except that a user keeps `active` if it is absent."""
        if isinstance(current, ScimUser) and isinstance(replacement, ScimUser) and replacement.active is None:
            replacement.active = current.active
        return super().apply_replacement(current, replacement, conditions)


class Scim:
    """The SCIM service as an ASGI app."""

    def __init__(self, app: Application, path: str) -> None:
        self._path = path
        self._calls = Calls(app)
        self._platform = app.platform
        self._service = _Service(provider(), secret=app.platform.part(open_sealer).derived("scim cursors"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one request. Errors are SCIM errors, except those that don't concern the request."""
        http = HttpRequest(scope, receive)
        try:
            with translated():
                refuse_unstorable(body := await http.body())
            response = await self._respond(scope, self._read(http, body))
        except SCIMException as error:
            response = self._service.error_response(error)
        await _response(response)(scope, receive, send)

    def _read(self, http: HttpRequest, body: bytes) -> ScimRequest:
        base = self._platform.settings.url.rstrip("/") or f"{http.url.scheme}://{http.url.netloc}"
        return ScimRequest(
            method=http.method,
            base_url=f"{base}{self._path}",
            path=http.scope["path"].removeprefix(self._path).removesuffix(".scim"),
            query=_bounded(dict(parse_qsl(http.url.query, keep_blank_values=True))),
            headers=list(http.headers.items()),
            body=correct_deviations(body) if body else body,
            subject=state_of(http.scope).principal,
        )

    async def _respond(self, scope: Scope, request: ScimRequest) -> ScimResponse:
        service = self._service
        target = service.match(request)
        write_method = _CHANGES.get(target.operation)
        noun = "group" if (target.endpoint or "").lower() == "groups" else "user"
        method = write_method or "list"
        name = f"admin_{method}_{noun}s" if method in ("batch", "list") else f"admin_{method}_{noun}"
        ctx = self._calls.context(scope, name, request.subject or ANONYMOUS)
        ctx.subject = (ctx.principal.id if target.me else target.resource_id or ctx.subject)[:256]
        passwords = await hash_passwords(ctx, request.body, ctx.subject) if write_method else {}

        def handle(unit: Unit) -> ScimResponse:
            storage = DirectoryStorage(unit, service.provider, passwords, bulk=target.operation is Operation.bulk)
            with translated():
                return ScimHandler(service, storage).handle(request)

        try:
            return await (ctx.write(handle) if write_method else ctx.read(handle))
        except SCIMException as error:
            if isinstance(error.__cause__, HeadwaterError) or error.status in _RECORDED_STATUSES:
                await ctx.record_failure(error.__cause__ if isinstance(error.__cause__, HeadwaterError) else error)
            raise


def _bounded(query: dict[str, str]) -> dict[str, str]:
    """Shortens numbers in the query to those that a database supports. No page is that far."""
    return {
        name: value[:_DIGITS] if name.lower() in _NUMBERS and value.lstrip("-").isdigit() else value
        for name, value in query.items()
    }


def _response(scim: ScimResponse) -> Response:
    headers = {"cache-control": "no-store"} | dict(scim.headers)
    if scim.body is None:
        return Response(status_code=int(scim.status), headers=headers)
    return JSONResponse(scim.body, int(scim.status), headers, media_type=_MEDIA_TYPE)
