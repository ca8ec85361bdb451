"""The one handler behind every operation: input to model, call, result to bytes."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from api.kernel import problems
from api.kernel.credentials.authentication import Authenticator
from api.kernel.http.inputs import body_of, query_of, refuse_unknown
from api.kernel.http.state import RequestState, state_of
from api.kernel.kinds.context import Context
from api.kernel.kinds.encoded import Encoded
from api.kernel.kinds.endpoint import Answer, Endpoint, Shape
from api.kernel.kinds.resource import Resource
from api.kernel.kinds.rows import ARROW_STREAM, Rows
from api.kernel.kinds.streams import ServerEvent, Streamed, encoded
from api.kernel.operations.engine import Operations
from api.kernel.operations.resource import to_resource
from api.kernel.permissions.principal import ANONYMOUS
from api.kernel.platform import Platform
from api.kernel.storage import idempotency
from core.errors import Conflict, InvalidArgument, NotAcceptable

Handler = Callable[[HttpRequest], Awaitable[Response]]


def handler(endpoint: Endpoint, platform: Platform, operations: Operations) -> Handler:
    """The request handler of an operation."""
    call = _Call(endpoint, platform, operations)

    async def handle(request: HttpRequest) -> Response:
        state = state_of(request.scope)
        try:
            return await call.answer(request, state)
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets a problem document
            return problems.response(
                error, request_id=state.request_id, instance=request.scope["path"], service=endpoint.service
            )

    return handle


class _Call:
    def __init__(self, endpoint: Endpoint, platform: Platform, operations: Operations) -> None:
        self.endpoint = endpoint
        self.platform = platform
        self.operations = operations

    async def answer(self, request: HttpRequest, state: RequestState) -> Response:
        endpoint = self.endpoint
        arguments: list[Any] = [state.found.id] if endpoint.shape.on_item and state.found else []
        if endpoint.shape is Shape.PART_ITEM and state.found:
            arguments.append(state.found.part)
        if endpoint.query is not None:
            arguments.append(query_of(request.query_params, endpoint.query))
        elif request.scope["query_string"]:
            refuse_unknown(request.query_params, {"validate_only"} if endpoint.changes else set())
        raw = b""
        if endpoint.request is not None:
            model, raw = await body_of(request, endpoint.request)
            arguments.append(model)
        ctx = self._context(request, state, raw)
        if ctx.claim and (earlier := await ctx.query(idempotency.earlier, ctx.claim)):
            return await self._replay(earlier, ctx)
        if endpoint.answer is Answer.STREAM:
            return await self._stream(endpoint.function(ctx, *arguments), request, ctx)
        result = await self._call(ctx, arguments)
        response = await self._respond(request, result, ctx)
        if ctx.claim and not ctx.answered and not endpoint.secret and endpoint.answer is not Answer.OPERATION:
            await self.platform.workers.write.run(self._keep, ctx.claim, response)
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
            traceparent=state.trace.told,
            subject=found.id if found else "",
        )
        if endpoint.answer is Answer.STREAM:
            ctx.last_event_id = request.headers.get("last-event-id", "")
        if endpoint.changes:
            ctx.if_match = request.headers.get("if-match", "")
            ctx.validate_only = _validate_only(request)
            key = request.headers.get("idempotency-key")
            if key is not None and state.principal:
                what = (request.method, request.scope["path"], raw)
                ctx.claim = idempotency.claim_of(key, state.principal.name, *what)
        if endpoint.kind.locate and found and found.id:
            ctx.securable = endpoint.kind.locate.place(self.platform, found.id)
        return ctx

    async def _call(self, ctx: Context, arguments: list[Any]) -> Any:
        """Calls the service function; a change leaves its audit row whether it succeeds or fails."""
        try:
            async with asyncio.timeout(self.endpoint.timeout_seconds):
                result = await self.endpoint.function(ctx, *arguments)
                if self.endpoint.answer is Answer.OPERATION:
                    return to_resource(await self.operations.accept(ctx, result))
        except Exception as error:
            await ctx.record_failure(error)
            raise
        if self.endpoint.changes and not ctx.recorded:
            await ctx.transact(lambda connection: None)
        return result

    async def _respond(self, request: HttpRequest, result: Any, ctx: Context) -> Response:
        endpoint = self.endpoint
        if endpoint.answer is Answer.NOTHING:
            return Response(status_code=204)
        if endpoint.answer is Answer.ROWS:
            return await self._rows(request, result, ctx)
        if endpoint.answer is Answer.FILE:
            return await _file(request, result)
        etag = result.etag if isinstance(result, Encoded | Resource) else ""
        return _json(request, endpoint.encode(result), endpoint.status, etag)

    async def _rows(self, request: HttpRequest, rows: Rows[Any], ctx: Context) -> Response:
        arrow = _prefers_arrow(request.headers.get("accept", "*/*"))
        if arrow:
            response = Response(await ctx.work(rows.to_ipc), media_type=ARROW_STREAM)
        else:
            adapter = self.endpoint.adapter
            content = await ctx.work(lambda: adapter.dump_json(rows.to_model(), by_alias=True))
            response = _json(request, content, 200)
        response.headers.update(rows.headers)
        response.headers["vary"] = "accept"
        return response

    async def _stream(self, events: AsyncGenerator[ServerEvent, None], request: HttpRequest, ctx: Context) -> Response:
        # The first event decides the status: what cannot be streamed at all is an ordinary problem.
        first = await anext(events)

        def failed(error: BaseException) -> bytes:
            known = problems.known_error(error, ctx.request_id)
            text = json.dumps(problems.body(known, request_id=ctx.request_id, service=self.endpoint.service))
            return f"event: error\ndata: {text}\n\n".encode()

        async def check() -> None:
            ctx.principal = await self.platform.part(Authenticator).principal(request)

        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        content = encoded(first, events, failed, check)
        return Streamed(content, events, media_type="text/event-stream", headers=headers)

    async def _replay(self, earlier: idempotency.Earlier, ctx: Context) -> Response:
        headers = {"idempotency-replayed": "true"}
        if earlier.operation:
            operation = await self.operations.observe(earlier.operation)
            content = self.endpoint.adapter.dump_json(to_resource(operation), by_alias=True)
            return Response(content, self.endpoint.status, headers, "application/json")
        if earlier.status is None or earlier.body is None:
            raise Conflict(
                "This request was carried out before, but its answer was not kept: it held a secret, or the platform "
                "stopped before answering. Look at the resource instead of repeating the request."
            )
        return Response(earlier.body, earlier.status, headers, "application/json")

    def _keep(self, claim: idempotency.Claim, response: Response) -> None:
        with self.platform.database.write() as connection:
            idempotency.keep(connection, claim, response.status_code, bytes(response.body))


def _validate_only(request: HttpRequest) -> bool:
    """Whether the change shall only be tried."""
    value = request.query_params.get("validate_only", "false")
    if value not in ("true", "false"):
        raise InvalidArgument("validate_only is true or false.")
    return value == "true"


async def _file(request: HttpRequest, lines: AsyncGenerator[bytes, None]) -> Response:
    media = "text/csv" if request.query_params.get("format") == "csv" else "application/x-ndjson"
    # The first lines decide the status: what cannot be written at all is an ordinary problem.
    first = await anext(lines, b"")

    async def all_lines() -> AsyncGenerator[bytes, None]:
        yield first
        async for more in lines:
            yield more

    return Streamed(all_lines(), lines, media_type=media, headers={"content-disposition": "attachment"})


def _json(request: HttpRequest, content: bytes, status: int, etag: str = "") -> Response:
    if request.method not in ("GET", "HEAD"):
        return Response(content, status, {"etag": etag} if etag else None, "application/json")
    etag = etag or f'"{hashlib.blake2b(content, digest_size=12).hexdigest()}"'
    headers = {"etag": etag, "cache-control": "private, no-cache"}
    known = request.headers.get("if-none-match")
    if known and (known.strip() == "*" or etag in (tag.strip().removeprefix("W/") for tag in known.split(","))):
        return Response(status_code=304, headers=headers)
    return Response(content, status, headers, "application/json")


def _prefers_arrow(accept: str) -> bool:
    """Whether `Accept` ranks Arrow above JSON; the first offered type of equal weight wins."""
    weights = {"arrow": 0.0, "json": 0.0}
    for item in accept.split(","):
        media_type, *parameters = (part.strip().lower() for part in item.split(";"))
        quality = next((_quality(part[2:]) for part in parameters if part.startswith("q=")), 1.0)
        if media_type == ARROW_STREAM:
            weights["arrow"] = max(weights["arrow"], quality)
        elif media_type in ("application/json", "application/*", "*/*", "application/problem+json"):
            weights["json"] = max(weights["json"], quality)
    if not any(weights.values()):
        raise NotAcceptable(f"Offered here: application/json and {ARROW_STREAM}.")
    return weights["arrow"] >= weights["json"] and weights["arrow"] > 0


def _quality(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
