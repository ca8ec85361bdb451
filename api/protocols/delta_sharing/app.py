"""The ASGI app at `/delta-sharing`, which recipients use with their tokens. Accounts of the platform can't.

GET  /shares[/{share}]   /shares/{share}/schemas   /shares/{share}/schemas/{schema}/tables   /shares/{share}/all-tables
GET  /shares/{share}/schemas/{schema}/tables/{table}/version   .../metadata   .../changes
POST /shares/{share}/schemas/{schema}/tables/{table}/query   .../queries/{id}   .../temporary-table-credentials
GET  /files/part.parquet?sp=...
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from api.kernel import problems
from api.kernel.application import Application
from api.kernel.http.inputs import refuse_unstorable
from api.kernel.http.state import state_of
from api.kernel.kinds.registry import Mount
from api.kernel.permissions.principal import Principal
from api.kernel.platform import Platform
from api.kernel.roles import Role
from api.protocols.delta_sharing import capabilities, files
from api.protocols.delta_sharing.callers import Callers, Link, expiry
from api.protocols.delta_sharing.catalog import Catalog, page
from api.protocols.delta_sharing.continuations import Continuations
from api.protocols.delta_sharing.files import SharedFiles
from api.protocols.delta_sharing.opening import SharedTable, translated
from api.protocols.delta_sharing.reading import Answer, ChangesQuery, PageQuery, Reading, TableQuery
from api.services.ai_catalog.logic import share_reads
from api.services.ai_catalog.logic.sharing import Served
from core import clock
from core.errors import HeadwaterError, InvalidArgument, InvalidPayload, MethodNotAllowed, NotFound

PATH = "/delta-sharing"
_FILES = f"{PATH}/files"
_VERSION = "delta-table-version"
_MAX_DIGITS = 19
_METHODS = {
    **dict.fromkeys(("version", "metadata", "changes"), "GET"),
    **dict.fromkeys(("query", "queries", "temporary-table-credentials"), "POST"),
    "": "HEAD",
}
"""Method by part of a table."""

M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")


def mounts(app: Application) -> list[Mount]:
    """Returns the API, and the files that it links to."""
    sharing = DeltaSharing(app.platform)
    callers = sharing.callers
    return [
        Mount(path=PATH, app=sharing, role=Role.VIEWER, speaks_for="ai_catalog", authenticate=callers.by_token),
        Mount(path=_FILES, app=sharing.file, role=Role.VIEWER, speaks_for="ai_catalog", authenticate=callers.by_link),
    ]


@dataclass(frozen=True)
class _Call:
    http: HttpRequest
    scope: Scope
    principal: Principal
    segments: list[str]

    @property
    def capabilities(self) -> capabilities.Capabilities:
        return capabilities.parsed(self.http.headers.get(capabilities.HEADER, ""))


class DeltaSharing:
    """The REST API of Delta Sharing as an ASGI app."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self.callers = Callers(platform)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one request to the API."""
        await self._answered(self._respond, scope, receive, send)

    async def file(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one request to a file."""
        await self._answered(self._send_file, scope, receive, send)

    async def _answered(self, respond: Callable[[_Call], Any], scope: Scope, receive: Receive, send: Send) -> None:
        principal = state_of(scope).principal
        assert principal is not None  # The mount requires authentication.
        segments = scope["path"].removeprefix(PATH).strip("/").split("/")
        try:
            response = await respond(_Call(HttpRequest(scope, receive), scope, principal, segments))
        except HeadwaterError as error:
            response = _refusal(scope, error)
        await response(scope, receive, send)

    async def _respond(self, call: _Call) -> Response:
        if any("\0" in value for _, value in call.http.query_params.multi_items()):
            raise InvalidArgument("A parameter contains a NUL character.")
        match call.segments:
            case ["shares", share, "schemas", schema, "tables", table, *rest] if len(rest) <= 1:
                return await self._table(call, (share, schema, table), rest[0] if rest else "")
            case ["shares", share, "schemas", schema, "tables", table, "queries", id]:
                return await self._table(call, (share, schema, table), "queries", id)
            case ["shares", *_] if call.http.method in ("GET", "HEAD"):
                body = await self._read(call, lambda catalog: _listing(catalog, call))
                return JSONResponse(body)
            case ["shares", *_]:
                raise MethodNotAllowed("This path supports GET.", metadata={"allow": ["GET"]})
            case _:
                raise NotFound("There is no such path of Delta Sharing. Begin at /delta-sharing/shares.")

    async def _table(self, call: _Call, names: tuple[str, str, str], part: str, id: str = "") -> Response:
        method = call.http.method
        allowed = _METHODS.get(part) if bool(id) == (part == "queries") else None
        if allowed is None:
            raise NotFound("There is no such path of a table. A table has version, metadata, query, and changes.")
        if method != allowed and (allowed, method) != ("GET", "HEAD"):
            raise MethodNotAllowed(f"This path supports {allowed}.", metadata={"allow": [allowed]})
        share, served = await self._read(call, lambda catalog: catalog.table(*names))
        if part in ("", "version"):
            query = _values(ChangesQuery, dict(call.http.query_params))
            version = await self._compute(served, lambda table: _version(table, query))
            return Response(headers={_VERSION: str(version)}, media_type="application/x-ndjson")
        if part == "metadata":
            at = _values(TableQuery, _numbered(call.http))
            answer = await self._reading(call, served, lambda reading: reading.metadata(at.version, at.timestamp))
            return _ndjson(call, answer)
        if part == "temporary-table-credentials":
            raise InvalidArgument(
                "Files of this server are read by links, and no credentials of its store are given away. Query the "
                "table instead (access mode `url`)."
            )
        if part == "query":
            body = _values(TableQuery, await _body(call.http))
            answer = await self._reading(call, served, lambda reading: reading.query(body))
        elif part == "queries":
            page = _values(PageQuery, await _body(call.http))
            answer = await self._reading(
                call, served, lambda reading: reading.page(page.page_token or id, page.max_files)
            )
        else:
            changes = _values(ChangesQuery, dict(call.http.query_params))
            answer = await self._reading(call, served, lambda reading: reading.changes(changes))
        await self._record(call, share, served.row, "changes" if part == "changes" else "query", answer)
        return _ndjson(call, answer)

    async def _send_file(self, call: _Call) -> Response:
        if call.http.method not in ("GET", "HEAD"):
            raise MethodNotAllowed("A file can only be read.", metadata={"allow": ["GET", "HEAD"]})
        link = self.callers.link(call.http)
        served = await self._read(call, lambda catalog: catalog.opened_by(link.share_id, link.object_id))
        opened = await self._platform.workers.compute.run(self._platform.part(SharedFiles).open, served, link)
        return await files.send(self._platform, call.http, opened)

    async def _read(self, call: _Call, function: Callable[[Catalog], T]) -> T:
        return await self._platform.reads.run(
            lambda connection: function(Catalog(self._platform, connection, call.principal.id))
        )

    async def _compute(self, served: Served, function: Callable[[SharedTable], T]) -> T:
        def run() -> T:
            with translated(served.row):
                return function(SharedTable(self._platform, served))

        return await self._platform.workers.compute.run(run)

    async def _reading(self, call: _Call, served: Served, function: Callable[[Reading], Answer]) -> Answer:
        url = call.http.url
        base = self._platform.settings.url.rstrip("/") or f"{url.scheme}://{url.netloc}"
        expires, shared = expiry(clock.now()), served.row

        def links(changes: bool, restricted: str) -> Callable[[int, str], str]:
            def link(version: int, path: str) -> str:
                opened = (
                    call.principal.token_id,
                    shared.share_id,
                    shared.id,
                    version,
                    changes,
                    path,
                    expires,
                    restricted,
                )
                return self.callers.url(base, Link(*opened))

            return link

        def read(table: SharedTable) -> Answer:
            continuations = Continuations(self._platform, call.principal.id, shared.id, expires)
            return function(Reading(table, call.capabilities, links, expires * 1000, continuations))

        return await self._compute(served, read)

    async def _record(self, call: _Call, share: Any, shared: Any, operation: str, answer: Answer) -> None:
        state = state_of(call.scope)
        read = share_reads.Read(
            recipient_id=call.principal.id,
            recipient=call.principal.name,
            share_id=share.id,
            shared=shared,
            operation=operation,
            version=answer.version,
            files=answer.files,
            size_bytes=answer.size_bytes,
            client=state.client,
            request_id=state.request_id,
            traceparent=state.trace.stored,
        )
        await self._platform.workers.write.run(share_reads.record, self._platform, read)


def _listing(catalog: Catalog, call: _Call) -> dict[str, Any]:
    query = call.http.query_params
    match call.segments[1:]:
        case []:
            return _page([_share(share) for share in catalog.shares()], query)
        case [share]:
            return {"share": _share(catalog.share(share))}
        case [share, "schemas"]:
            found = catalog.share(share)
            return _page([{"name": name, "share": found.name} for name in catalog.schemas(found)], query)
        case [share, "schemas", schema, "tables"]:
            found = catalog.share(share)
            return _page([_table(found, one) for one in catalog.tables_of_schema(found, schema)], query)
        case [share, "all-tables"]:
            found = catalog.share(share)
            return _page([_table(found, one) for one in catalog.tables(found)], query)
    raise NotFound("There is no such path of Delta Sharing. Begin at /delta-sharing/shares.")


def _page(items: list[dict[str, Any]], query: Any) -> dict[str, Any]:
    entries, token = page(items, query)
    return {"items": list(entries)} | ({"nextPageToken": token} if token else {})


def _share(share: Any) -> dict[str, Any]:
    return {"name": share.name, "id": share.id}


def _table(share: Any, shared: Any) -> dict[str, Any]:
    names = {"name": shared.table_name, "schema": shared.schema_name, "share": share.name}
    return names | {"shareId": share.id, "id": shared.id}


def _version(table: SharedTable, query: ChangesQuery) -> int:
    if query.starting_timestamp is not None:
        return table.version_since(query.starting_timestamp)
    return table.snapshot().version


def _numbered(http: HttpRequest) -> dict[str, Any]:
    """Returns the parameters of a query, with the version as a number."""
    values: dict[str, Any] = dict(http.query_params)
    if str(values.get("version", "")).isdecimal() and len(values["version"]) <= _MAX_DIGITS:
        values["version"] = int(values["version"])
    return values


async def _body(http: HttpRequest) -> dict[str, Any]:
    content = await http.body()
    refuse_unstorable(content)
    try:
        values = json.loads(content or b"{}")
    except (ValueError, RecursionError):
        raise InvalidArgument("The body is not valid JSON.") from None
    if not isinstance(values, dict):
        raise InvalidArgument("The body must be a JSON object.")
    return values


def _values(model: type[M], values: dict[str, Any]) -> M:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise problems.invalid_body(error) from None


def _ndjson(call: _Call, answer: Answer) -> Response:
    headers = {_VERSION: str(answer.version), capabilities.HEADER: call.capabilities.header(answer.format)}
    return Response(answer.encoded(), headers=headers, media_type="application/x-ndjson; charset=utf-8")


def _refusal(scope: Scope, error: HeadwaterError) -> Response:
    state = state_of(scope)
    status = 400 if isinstance(error, InvalidPayload) else error.status
    document = problems.body(error, request_id=state.request_id, instance=PATH, service="ai_catalog")
    answer = {**document, "status": status, "errorCode": error.reason, "message": error.detail}
    return JSONResponse(answer, status, media_type="application/problem+json")
