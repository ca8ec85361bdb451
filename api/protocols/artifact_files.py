"""The content of artifacts and of parts of uploads, as streams.

    GET /artifact-files/<artifact>                     the content of an artifact
    PUT /artifact-files/uploads/<upload>/<number>      a part of an upload
    GET or PUT /artifact-links?link=<link>             the same with a signed link instead of a token

Each request runs the operation of the AI catalog that it stands for: same permissions, audit events, and limits.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import quote

import msgspec
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from api.kernel.application import Application
from api.kernel.credentials.authentication import Authenticator
from api.kernel.http.state import state_of
from api.kernel.kinds.registry import Mount
from api.kernel.kinds.table_kind import Row
from api.kernel.permissions.principal import Principal
from api.kernel.platform import Platform
from api.kernel.roles import Role
from api.protocols.calls import Calls
from api.services.ai_catalog.kinds.artifact import ARTIFACT, open_blobs
from api.services.ai_catalog.kinds.artifact_upload_parts import store_part
from api.services.ai_catalog.logic import file_links
from api.services.ai_catalog.logic.file_links import FileLinks
from api.services.ai_catalog.logic.readable_files import require_readable_files
from core.errors import HeadwaterError, InvalidArgument, MethodNotAllowed, NotFound, Unavailable

PATH = "/artifact-files"
_GET, _PUT = "ai_catalog_get_artifact", "ai_catalog_put_part_artifact_upload"
_EXECUTES = (_GET, _PUT)


def mounts(app: Application) -> list[Mount]:
    """Returns the mount for authenticated callers, and the one for links."""
    files = ArtifactFiles(app)
    return [
        Mount(
            path=PATH, app=files.by_token, role=Role.VIEWER, uploads=True, speaks_for="ai_catalog", executes=_EXECUTES
        ),
        Mount(
            path=file_links.PATH,
            app=files.by_link,
            role=None,
            exact=True,
            uploads=True,
            speaks_for="ai_catalog",
            executes=_EXECUTES,
        ),
    ]


class ArtifactFiles:
    """Both mounts as ASGI apps."""

    def __init__(self, app: Application) -> None:
        self._platform = app.platform
        self._calls = Calls(app)

    async def by_token(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles a request of an authenticated caller."""
        http = HttpRequest(scope, receive)
        principal = state_of(scope).principal
        assert principal is not None  # The mount requires authentication.
        parts = scope["path"].removeprefix(PATH).strip("/").split("/")
        if len(parts) == 1 and parts[0]:
            response = await self._download(http, principal, parts[0])
        elif len(parts) == 3 and parts[0] == "uploads" and parts[2].isascii() and parts[2].isdigit():
            response = await self._part(http, principal, parts[1], int(parts[2][:6]))
        else:
            raise NotFound(
                f"There is no file {scope['path'][:200]!r}. Use {PATH}/<artifact> or {PATH}/uploads/<id>/<n>."
            )
        await response(scope, receive, send)

    async def by_link(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles a request with a signed link, with the rights that its signer has now."""
        http = HttpRequest(scope, receive)
        links = await self._platform.workers.read.run(self._platform.part, FileLinks)
        link = links.opened(http.query_params.get("link", ""))
        principal = await self._platform.part(Authenticator).principal_of_token(link.token_id)
        if link.part:
            response = await self._part(http, principal, link.id, link.part)
        else:
            response = await self._download(http, principal, link.id)
        await response(scope, receive, send)

    async def _download(self, http: HttpRequest, principal: Principal, artifact: str) -> Response:
        if http.method not in ("GET", "HEAD"):
            raise MethodNotAllowed("The content of an artifact is read with GET.", metadata={"allow": ["GET", "HEAD"]})
        ctx = self._calls.context(http.scope, _GET, principal)
        row = await ctx.read(lambda unit: ARTIFACT.row(unit, artifact))
        if http.method == "HEAD":
            return Response(headers=_headers(row), media_type="application/octet-stream")
        return await content_of(self._platform, principal, row)

    async def _part(self, http: HttpRequest, principal: Principal, upload: str, number: int) -> Response:
        if http.method != "PUT":
            raise MethodNotAllowed("A part of an upload is sent with PUT.", metadata={"allow": ["PUT"]})
        if "content-range" in http.headers:
            raise InvalidArgument("Send a part completely, without Content-Range.")
        ctx = self._calls.context(http.scope, _PUT, principal)
        ctx.subject = upload[:256]
        try:
            part = await store_part(ctx, upload, number, body_of(http))
        except HeadwaterError as error:
            await ctx.record_failure(error)
            raise
        content = msgspec.json.encode(part.model_dump())
        return Response(content, media_type="application/json", headers={"etag": f'"{part.digest}"'})


async def body_of(http: HttpRequest) -> AsyncIterator[bytes]:
    """Yields the body of a request.

    Raises:
        Unavailable: the client disconnected before the end.
    """
    try:
        async for chunk in http.stream():
            yield chunk
    except ClientDisconnect:
        raise Unavailable("The client disconnected before the upload was complete.") from None


async def content_of(platform: Platform, principal: Principal, artifact: Row) -> Response:
    """Returns the content of an artifact, as a stream that ends early if the stored file was changed.

    Raises:
        PermissionDenied: the principal may not read the tables that the run or model was made from.
    """
    place = artifact.project_id, artifact.parent_id
    await platform.workers.compute.run(require_readable_files, platform, principal.access, *place)
    # The first chunk is read before the response begins, so that a missing file is an error.
    chunks = open_blobs(platform).chunks(artifact.project_id, artifact.digest)
    first = await platform.workers.compute.run(next, chunks, b"")

    async def body() -> AsyncIterator[bytes]:
        yield first
        while chunk := await platform.workers.compute.run(next, chunks, b""):
            yield chunk

    return StreamingResponse(body(), media_type="application/octet-stream", headers=_headers(artifact))


def _headers(artifact: Row) -> dict[str, str]:
    return {
        "content-length": str(artifact.size),
        "content-disposition": f"attachment; filename*=UTF-8''{quote(artifact.path.rpartition('/')[2])}",
        "etag": f'"{artifact.digest}"',
        "x-content-type-options": "nosniff",
    }
