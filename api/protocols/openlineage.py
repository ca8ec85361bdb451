"""OpenLineage 2 receiver: emitters such as Spark, dbt, Airflow, and Flink send their events here.

    POST /openlineage/api/v1/lineage         one RunEvent, JobEvent, or DatasetEvent
    POST /openlineage/api/v1/lineage/batch   a list of events, with a result for each

An emitter needs the base address of the platform with `/openlineage` and an API key as its bearer token. The header
`X-Headwater-Project` names the project that the events belong to. Without it, that is the only project in which the
caller may store events. Both paths run the operations of lineage events in the AI catalog: same permissions, audit
events, and limits. Bodies can be compressed with gzip.
"""

from __future__ import annotations

import json
import zlib
from typing import Any

from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from api.kernel.application import Application
from api.kernel.http.state import state_of
from api.kernel.kinds.context import Context
from api.kernel.kinds.registry import Mount
from api.kernel.permissions.principal import ANONYMOUS
from api.kernel.roles import Role
from api.protocols.calls import Calls
from api.services.ai_catalog.kinds.lineage_event import (
    MAX_EVENTS,
    NewLineageEvents,
    StoredEvents,
    ingest_lineage_events,
    receive_event,
)
from core.errors import (
    InvalidArgument,
    InvalidPayload,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    UnsupportedMediaType,
)

PATH = "/openlineage/api/v1"
PROJECT_HEADER = "x-headwater-project"
_CREATE, _INGEST = "ai_catalog_create_lineage_event", "ai_catalog_ingest_lineage_events"
_MAX_DECOMPRESSED = 64_000_000
_GZIP = 16 + zlib.MAX_WBITS


def mounts(app: Application) -> list[Mount]:
    """Returns the receiver, for authenticated callers."""
    receiver = OpenLineage(app)
    return [
        Mount(path=PATH, app=receiver, role=Role.VIEWER, speaks_for="ai_catalog", executes=(_CREATE, _INGEST)),
    ]


class OpenLineage:
    """The receiver as an ASGI app."""

    def __init__(self, app: Application) -> None:
        self._calls = Calls(app)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one request. Errors are problem documents."""
        request = HttpRequest(scope, receive)
        path = scope["path"].removeprefix(PATH)
        if path not in ("/lineage", "/lineage/batch"):
            raise NotFound(f"There is no endpoint {scope['path']!r}. Send events to {PATH}/lineage or its /batch.")
        if request.method != "POST":
            raise MethodNotAllowed("This path only accepts POST.", metadata={"allow": ["POST"]})
        single = path == "/lineage"
        ctx = self._calls.context(scope, _CREATE if single else _INGEST, state_of(scope).principal or ANONYMOUS)
        raw = await request.body()
        try:
            document = await ctx.compute(_document, raw, request.headers.get("content-encoding", ""), _media(request))
            response = await (
                _one(ctx, document, _project(request)) if single else _many(ctx, document, _project(request))
            )
        except Exception as error:
            await ctx.record_failure(error)
            raise
        await response(scope, receive, send)


async def _one(ctx: Context, document: Any, project: str | None) -> Response:
    if not isinstance(document, dict):
        raise InvalidPayload(f"The body is not a JSON object. Send lists of events to {PATH}/lineage/batch.")
    stored = await receive_event(ctx, document, project)
    return JSONResponse({"id": stored.id, "findings": [one.model_dump(mode="json") for one in stored.findings]}, 201)


async def _many(ctx: Context, document: Any, project: str | None) -> Response:
    if not isinstance(document, list):
        raise InvalidPayload("The body is not a JSON list of events.")
    if not 1 <= len(document) <= MAX_EVENTS:
        raise InvalidPayload(f"Send 1 to {MAX_EVENTS:,} events at once. The body has {len(document):,}.")
    return JSONResponse(
        _result(await ingest_lineage_events(ctx, NewLineageEvents(events=document, project_id=project)))
    )


def _result(stored: StoredEvents) -> dict[str, Any]:
    """Returns the result of a batch in the form of the specification."""
    failed = len(stored.refused)
    return {
        "status": "partial_success" if failed else "success",
        "summary": {
            "received": stored.received,
            "successful": stored.received - failed,
            "failed": failed,
            "retriable": 0,
            "non_retriable": failed,
        },
        "failed_events": [{"index": one.index, "reason": one.detail, "retriable": False} for one in stored.refused],
    }


def _project(request: HttpRequest) -> str | None:
    names = request.headers.getlist(PROJECT_HEADER)
    if len(names) > 1:
        raise InvalidArgument(f"The header {PROJECT_HEADER} is repeated. Send it once.")
    name = names[0].strip() if names else ""
    if len(name) > 128:
        raise InvalidArgument(f"The header {PROJECT_HEADER} is longer than 128 characters.")
    return name or None


def _media(request: HttpRequest) -> str:
    return request.headers.get("content-type", "").split(";")[0].strip().lower()


def _document(raw: bytes, encoding: str, media: str) -> Any:
    """Returns the JSON value of a body.

    Raises:
        UnsupportedMediaType: the body is neither JSON nor JSON compressed with gzip.
        PayloadTooLarge: the decompressed body is too large.
        InvalidArgument: the body is not valid gzip or JSON.
    """
    if media != "application/json":
        raise UnsupportedMediaType("Send events as application/json.")
    coding = encoding.strip().lower()
    if coding == "gzip":
        raw = _decompressed(raw)
    elif coding not in ("", "identity"):
        raise UnsupportedMediaType("Send the body as it is, or compressed with gzip.")
    try:
        return json.loads(raw, parse_constant=_refuse_constant)
    except RecursionError:
        raise InvalidArgument("The body is nested too deeply.") from None
    except ValueError as error:  # also bytes that are not UTF-8
        detail = f"{error.msg} at character {error.pos}" if isinstance(error, json.JSONDecodeError) else "not UTF-8"
        raise InvalidArgument(f"The body is not valid JSON: {detail}.") from None


def _refuse_constant(name: str) -> Any:
    raise InvalidArgument(f"The body is not valid JSON: it contains {name}.")


def _decompressed(raw: bytes) -> bytes:
    decompressor = zlib.decompressobj(_GZIP)
    try:
        content = decompressor.decompress(raw, _MAX_DECOMPRESSED)
    except zlib.error:
        raise InvalidArgument("The body is not valid gzip.") from None
    if decompressor.unconsumed_tail:
        raise PayloadTooLarge(f"The decompressed body is larger than the maximum of {_MAX_DECOMPRESSED:,} bytes.")
    if not decompressor.eof or decompressor.unused_data:
        raise InvalidArgument("The body is not one complete gzip member.")
    return content
