"""The request handler of operations: it validates the input, calls the service function, and encodes the result."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

from pydantic import BaseModel
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from api.kernel import problems
from api.kernel.credentials.authentication import Authenticator
from api.kernel.filtering import cel
from api.kernel.http import replays
from api.kernel.http.inputs import body_of, query_of, refuse_unknown
from api.kernel.http.state import RequestState, state_of
from api.kernel.kinds import slots
from api.kernel.kinds.context import Context
from api.kernel.kinds.encoded import Encoded, etag_of
from api.kernel.kinds.endpoint import Answer, Endpoint, Shape
from api.kernel.kinds.resource import Resource
from api.kernel.kinds.rows import ARROW_STREAM, PARQUET, Rows
from api.kernel.kinds.streams import ServerEvent, Streamed, encoded
from api.kernel.operations.engine import Operations
from api.kernel.operations.messages import gets_messages
from api.kernel.operations.resource import to_resource
from api.kernel.permissions.principal import ANONYMOUS
from api.kernel.platform import Platform
from api.kernel.storage import idempotency
from core.errors import Conflict, InvalidArgument, NotAcceptable

_SHORT_FILTER = 100
"""Maximum length of filters that are parsed on the event loop."""

_JSON = "application/json"
_FORMS = (ARROW_STREAM, PARQUET, _JSON)
"""Media types of rows."""

Handler = Callable[[HttpRequest], Awaitable[Response]]


def handler(endpoint: Endpoint, platform: Platform, operations: Operations) -> Handler:
    """Returns the request handler of an operation."""
    call = _Call(endpoint, platform, operations)

    async def handle(request: HttpRequest) -> Response:
        state = state_of(request.scope)
        try:
            return await call.respond(request, state)
        except Exception as error:  # noqa: BLE001 - all errors become problem documents
            return problems.response(
                error, request_id=state.request_id, instance=request.scope["path"], service=endpoint.service
            )

    return handle


class _Call:
    def __init__(self, endpoint: Endpoint, platform: Platform, operations: Operations) -> None:
        self.endpoint = endpoint
        self.platform = platform
        self.operations = operations

    async def respond(self, request: HttpRequest, state: RequestState) -> Response:
        endpoint = self.endpoint
        if endpoint.changes and not endpoint.versioned and "if-match" in request.headers:
            raise InvalidArgument("This operation doesn't check If-Match. Send the request without that header.")
        arguments: list[Any] = [state.found.id] if endpoint.shape.on_item and state.found else []
        if endpoint.shape is Shape.PART_ITEM and state.found:
            arguments.append(state.found.part)
        if endpoint.query is not None:
            query = query_of(request.query_params, endpoint.query)
            if len(text := getattr(query, "filter", "")) > _SHORT_FILTER:
                await self.platform.workers.read.run(cel.prepare, text)
            arguments.append(query)
        elif request.scope["query_string"]:
            refuse_unknown(request.query_params, {"validate_only"} if endpoint.changes else set())
        raw = b""
        if endpoint.request is not None:
            model, raw = await body_of(request, endpoint.request)
            arguments.append(model)
        ctx = self._context(request, state, raw)
        await self._name_ids(ctx, arguments)
        if ctx.claim and (earlier := await ctx.query(idempotency.earlier, ctx.claim)):
            return await self._replay(earlier, ctx, ctx.claim)
        if endpoint.answer is Answer.STREAM:

            async def renew() -> None:
                ctx.principal = await self.platform.part(Authenticator).principal(request)

            ctx.renew = renew
            return await self._stream(endpoint.function(ctx, *arguments), ctx)
        result = await self._call(ctx, arguments)
        response = await self._encode(request, result, ctx)
        if ctx.claim and not ctx.answered and not endpoint.secret and endpoint.answer is not Answer.OPERATION:
            await self.platform.workers.write.run(self._store_response, ctx.claim, response)
        for name, value in ctx.headers:
            response.headers.append(name, value)
        return response

    def _context(self, request: HttpRequest, state: RequestState, raw: bytes) -> Context:
        endpoint, found = self.endpoint, state.found
        ctx = Context(
            self.platform,
            endpoint,
            state.principal or ANONYMOUS,
            request_id=state.request_id,
            client=state.client,
            traceparent=state.trace.stored,
            subject=found.id if found else "",
        )
        ctx.disconnected = request.is_disconnected
        if endpoint.answer is Answer.STREAM:
            ctx.last_event_id = request.headers.get("last-event-id", "")
        if endpoint.changes:
            ctx.if_match = request.headers.get("if-match", "")
            ctx.validate_only = _validate_only(request)
            if ctx.validate_only and endpoint.outside:
                raise InvalidArgument(
                    f"{endpoint.verb} has effects outside of the database, so it cannot be validated only. Leave "
                    "validate_only out."
                )
            if state.principal:
                ctx.claim = replays.claim_of(request, state.principal, raw)
        if endpoint.kind.locate and found and found.id:
            ctx.securable = endpoint.kind.locate.securable(self.platform, found.id)
        return ctx

    async def _name_ids(self, ctx: Context, arguments: list[Any]) -> None:
        """Replaces the names in the input by ids, so that the service function sees ids only."""
        for model in (argument for argument in arguments if isinstance(argument, BaseModel)):
            if names := slots.names(model):
                await ctx.read(lambda unit: unit.names.fill(names))
            text, references = getattr(model, "filter", ""), self.endpoint.kind.filter_references
            if isinstance(text, str) and slots.filter_names(text, references):
                model.filter = await ctx.read(lambda unit: unit.names.in_filter(text, references))  # type: ignore[attr-defined]  # noqa: B023

    async def _call(self, ctx: Context, arguments: list[Any]) -> Any:
        """Calls the service function. Changes are recorded in the audit log, whether they succeed or fail."""
        try:
            async with asyncio.timeout(self.endpoint.timeout_seconds):
                result = await self.endpoint.function(ctx, *arguments)
                if self.endpoint.answer is Answer.OPERATION:
                    return to_resource(await self.operations.accept(ctx, result), messages=True)
        except Exception as error:
            await ctx.record_failure(error)
            raise
        if self.endpoint.changes and not ctx.recorded:
            await ctx.transact(lambda connection: None)
        return result

    async def _encode(self, request: HttpRequest, result: Any, ctx: Context) -> Response:
        endpoint = self.endpoint
        if endpoint.answer is Answer.NOTHING:
            return Response(status_code=204)
        if endpoint.answer is Answer.ROWS:
            return await self._rows(request, result, ctx)
        if endpoint.answer is Answer.FILE:
            is_csv = request.query_params.get("format") == "csv"
            return await _file(result, "text/csv" if is_csv else "application/x-ndjson")
        if endpoint.answer is Answer.BINARY:
            # Generators of clients know this type only for binary content.
            return await _file(result, "application/octet-stream")
        etag = result.etag if isinstance(result, Encoded | Resource) else ""
        return _json(request, endpoint.encode(result), endpoint.status, etag)

    async def _rows(self, request: HttpRequest, rows: Rows[Any], ctx: Context) -> Response:
        form = _preferred_form(request.headers.get("accept", "*/*"))
        if form == _JSON:
            adapter = self.endpoint.adapter
            content = await ctx.compute(lambda: adapter.dump_json(rows.to_model(), by_alias=True))
            response = _json(request, content, 200)
        else:
            content = await ctx.compute(rows.to_ipc if form == ARROW_STREAM else rows.to_parquet)
            response = Response(content, media_type=form)
        response.headers.update(rows.headers)
        response.headers["vary"] = "accept"
        return response

    async def _stream(self, events: AsyncGenerator[ServerEvent, None], ctx: Context) -> Response:
        # The first event determines the status, so that early errors become problem documents.
        first = await anext(events)

        def failed(error: BaseException) -> bytes:
            converted = problems.headwater_error(error, ctx.request_id)
            text = json.dumps(problems.body(converted, request_id=ctx.request_id, service=self.endpoint.service))
            return f"event: error\ndata: {text}\n\n".encode()

        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        content = encoded(first, events, failed, ctx.renew)
        return Streamed(content, events, media_type="text/event-stream", headers=headers)

    async def _replay(self, earlier: idempotency.EarlierResponse, ctx: Context, claim: idempotency.Claim) -> Response:
        headers = {"idempotency-replayed": "true"}
        await replays.require_access(ctx, claim, earlier)
        if earlier.operation:
            operation = await self.operations.observe(earlier.operation)
            replayed = to_resource(operation, messages=await gets_messages(ctx, operation))
            content = self.endpoint.adapter.dump_json(replayed, by_alias=True)
            return Response(content, self.endpoint.status, headers, "application/json")
        if earlier.status is None or earlier.body is None:
            raise Conflict(
                "This request has already run, but its response was not stored, because it contained a secret or the "
                "platform stopped. Read the resource instead of repeating the request."
            )
        return Response(earlier.body, earlier.status, headers, "application/json")

    def _store_response(self, claim: idempotency.Claim, response: Response) -> None:
        with self.platform.database.write() as connection:
            idempotency.update(connection, claim, status=response.status_code, body=bytes(response.body))


def _validate_only(request: HttpRequest) -> bool:
    value = request.query_params.get("validate_only", "false")
    if value not in ("true", "false"):
        raise InvalidArgument("validate_only must be true or false.")
    return value == "true"


async def _file(lines: AsyncGenerator[bytes, None], media: str) -> Response:
    # The first line determines the status, so that early errors become problem documents.
    first = await anext(lines, b"")

    async def all_lines() -> AsyncGenerator[bytes, None]:
        yield first
        async for line in lines:
            yield line

    return Streamed(all_lines(), lines, media_type=media, headers={"content-disposition": "attachment"})


def _json(request: HttpRequest, content: bytes, status: int, etag: str = "") -> Response:
    if request.method not in ("GET", "HEAD"):
        return Response(content, status, {"etag": etag} if etag else None, "application/json")
    etag = etag or etag_of(content)
    headers = {"etag": etag, "cache-control": "private, no-cache"}
    cached = request.headers.get("if-none-match")
    if cached and (cached.strip() == "*" or etag in (tag.strip().removeprefix("W/") for tag in cached.split(","))):
        return Response(status_code=304, headers=headers)
    return Response(content, status, headers, "application/json")


def _preferred_form(accept: str) -> str:
    """Returns the media type of rows that `Accept` prefers. JSON comes last among those of the same weight."""
    weights = dict.fromkeys(_FORMS, 0.0)
    for item in accept.split(","):
        media_type, *parameters = (part.strip().lower() for part in item.split(";"))
        quality = next((_quality(part[2:]) for part in parameters if part.startswith("q=")), 1.0)
        form = _JSON if media_type in ("application/*", "*/*", "application/problem+json") else media_type
        if form in weights:
            weights[form] = max(weights[form], quality)
    preferred = max(_FORMS, key=lambda form: weights[form])
    if not weights[preferred]:
        raise NotAcceptable(f"This operation returns {_JSON}, {ARROW_STREAM}, and {PARQUET}. Accept one of them.")
    return preferred


def _quality(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
