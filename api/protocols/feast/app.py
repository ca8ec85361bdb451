"""The ASGI app at `/feast`: `online_store: {type: remote, path: https://headwater.example.org/feast/<project>}`.

The views and services are those of the AI catalog, with its permissions and its audit log.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from pydantic import BaseModel, ValidationError
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.kernel import problems
from api.kernel.application import Application
from api.kernel.http.inputs import refuse_unstorable
from api.kernel.http.state import state_of
from api.kernel.kinds.context import Context
from api.kernel.kinds.registry import Mount
from api.kernel.kinds.unit import Unit
from api.kernel.operations.engine import Operations
from api.kernel.permissions.principal import ANONYMOUS
from api.kernel.roles import Role
from api.protocols.calls import Calls
from api.protocols.feast import requests
from api.protocols.feast.answers import entity_rows, rendered
from api.protocols.feast.views import find_id, online_views, project_of, referenced_views, service_views
from api.services.ai_catalog.kinds.asset import MaterializeAssets, plan_launch
from api.services.ai_catalog.kinds.feature_view import FEATURE_VIEW
from api.services.ai_catalog.kinds.feature_view_operations import pushable_view
from api.services.ai_catalog.logic import feature_answers
from api.services.ai_catalog.logic.definition_cache import DefinitionCache
from api.services.ai_catalog.logic.feature_pushes import push
from api.services.ai_catalog.logic.feature_views import BoundView, as_read_by_caller, readable_view
from api.services.ai_catalog.logic.online_reads import OnlineReads
from api.services.ai_catalog.logic.served_values import ServedValues
from core.errors import HeadwaterError, InvalidArgument, InvalidPayload, MethodNotAllowed, NotFound

if TYPE_CHECKING:
    from features.online import OnlineStore

PATH = "/feast"
_SOURCE = "feast"
_PUSH, _GET, _SERVICE, _MATERIALIZE = (
    "ai_catalog_push_feature_view",
    "ai_catalog_preview_feature_view",
    "ai_catalog_online_get_feature_service",
    "ai_catalog_materialize_feature_view",
)
B = TypeVar("B", bound=BaseModel)
T = TypeVar("T")
Answer = dict[str, Any] | bytes | None
Handler = Callable[[Scope, str, bytes], Awaitable[Answer]]


def mounts(app: Application) -> list[Mount]:
    """Returns the API, for authenticated callers."""
    executes = (_PUSH, _GET, _SERVICE, _MATERIALIZE)
    return [Mount(path=PATH, app=Feast(app), role=Role.VIEWER, speaks_for="ai_catalog", executes=executes)]


class Feast:
    """The API of Feast's feature server as an ASGI app."""

    def __init__(self, app: Application) -> None:
        self._calls = Calls(app)
        self._handlers: dict[str, Handler] = {
            "get-online-features": self._features,
            "write-to-online-store": self._write,
            "push": self._push,
            "materialize": self._materialize,
            "materialize-incremental": self._materialize,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one request. Errors are problem documents."""
        http = HttpRequest(scope, receive)
        parts = [part for part in scope["path"].removeprefix(PATH).split("/") if part]
        name = parts[-1] if parts else ""
        if len(parts) > 2:
            raise NotFound("The paths of Feast are /feast/<project>/<name>.")
        if name == "health" and http.method in ("GET", "HEAD"):
            await Response(b"{}", media_type="application/json")(scope, receive, send)
            return
        handler = self._handlers.get(name)
        if handler is None or http.method != "POST":
            supported = ", ".join(self._handlers)
            raise MethodNotAllowed(
                f"This server does not support {http.method} {name[:100]!r} of Feast. It supports POST {supported}.",
                metadata={"allow": ["POST"]},
            )
        answer = await handler(scope, parts[0] if len(parts) == 2 else "", await http.body())
        content = answer if isinstance(answer, bytes) else b"" if answer is None else msgspec.json.encode(answer)
        await Response(content, media_type="application/json")(scope, receive, send)

    async def _features(self, scope: Scope, project: str, body: bytes) -> Answer:
        request = _request(requests.OnlineFeatures, body)
        if bool(request.feature_service) == bool(request.features):
            raise InvalidArgument("Name either a feature service or features.")
        ctx = self._context(scope, _SERVICE if request.feature_service else _GET)

        def read(unit: Unit) -> list[tuple[str, BoundView]]:
            id = project_of(unit, project)
            if request.feature_service:
                return service_views(unit, id, request.feature_service)
            return referenced_views(unit, id, request.features)

        async def find() -> list[tuple[str, BoundView]]:
            found = await ctx.read(read)
            return [(name, await ctx.compute(as_read_by_caller, ctx, view, True)) for name, view in found]

        asked = (ctx.endpoint.operation_id, project, request.feature_service, tuple(request.features))
        named = await ctx.platform.part(DefinitionCache).get(ctx, asked, find)
        entities, sample = entity_rows(request.entities), ctx.platform.part(ServedValues)

        def answer(store: OnlineStore) -> bytes:
            found = feature_answers.online(store, [view for _, view in named], entities)
            sample.note(found)
            answers = [(name, one) for (name, _), one in zip(named, found, strict=True)]
            return rendered(
                answers,
                request.entities,
                full=request.full_feature_names,
                metadata=request.include_feature_view_version_metadata,
            )

        return await ctx.platform.part(OnlineReads).run([view for _, view in named], len(entities), answer)

    async def _write(self, scope: Scope, project: str, body: bytes) -> Answer:
        request = _request(requests.WriteRows, body)
        return await self._pushed(scope, project, request.feature_view_name, request.df)

    async def _push(self, scope: Scope, project: str, body: bytes) -> Answer:
        request = _request(requests.PushRows, body)
        if request.to != "online":
            raise InvalidArgument("Rows can only be pushed to `online`. An asset writes the table of a view.")
        return await self._pushed(scope, project, request.push_source_name, request.df)

    async def _pushed(self, scope: Scope, project: str, name: str, columns: dict[str, list[Any]]) -> Answer:
        ctx = self._context(scope, _PUSH)

        async def act() -> None:
            id = await ctx.read(lambda unit: find_id(unit, FEATURE_VIEW, project_of(unit, project), name))
            ctx.subject = id
            view = await pushable_view(ctx, id)
            rows = [_row(view, row) for row in entity_rows(columns)]
            await ctx.compute(push, ctx.platform, view, rows, _SOURCE)
            await ctx.write(lambda unit: unit.subject(unit.row(FEATURE_VIEW, id)))

        await _recorded(ctx, act())
        return None

    async def _materialize(self, scope: Scope, project: str, body: bytes) -> Answer:
        request = _request(requests.Materialize, body)
        if request.version is not None:
            raise InvalidArgument("`version` is not supported: the newest version of the table is written.")
        ctx = self._context(scope, _MATERIALIZE)

        def read(unit: Unit) -> list[str]:
            id = project_of(unit, project)
            if request.feature_views is None:
                return online_views(unit, id)
            return [find_id(unit, FEATURE_VIEW, id, name) for name in request.feature_views]

        async def act() -> str:
            ids = await ctx.read(read)
            if not ids:
                raise InvalidArgument("There are no views to materialize: none is served online.")
            views = [await readable_view(ctx, id, "materialize") for id in ids]
            ctx.subject = ids[0]
            found = dict.fromkeys(view.online_asset or view.asset for view in views)
            launch = await plan_launch(ctx, list(found), MaterializeAssets(assets=list(found)), {})
            return (await ctx.platform.part(Operations).accept(ctx, launch)).id

        return {"operation": await _recorded(ctx, act())}

    def _context(self, scope: Scope, operation: str) -> Context:
        return self._calls.context(scope, operation, state_of(scope).principal or ANONYMOUS)


async def _recorded(ctx: Context, change: Awaitable[T]) -> T:
    """Awaits a change, and records it in the audit log if it is refused."""
    try:
        return await change
    except HeadwaterError as error:
        await ctx.record_failure(error)
        raise


def _request(model: type[B], body: bytes) -> B:
    """Returns the body.

    Raises:
        InvalidArgument: it is not JSON.
        InvalidPayload: it doesn't fit the model.
    """
    refuse_unstorable(body)
    try:
        values = msgspec.json.decode(body or b"{}")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidArgument(f"The body is not valid JSON: {str(error)[:200]}.") from None
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise problems.invalid_body(error) from None


def _row(view: BoundView, row: dict[str, Any]) -> dict[str, Any]:
    """Returns a row of Feast as a row of the view. Feast names the event time itself, and sends it without a zone.

    Raises:
        InvalidPayload: the row has no event time.
    """
    columns = {name: value for name, value in row.items() if name not in ("created", "event_timestamp")}
    at = row.get("event_timestamp", columns.get(view.timestamp))
    if not isinstance(at, str):
        fault = {"pointer": "/df", "detail": f"needs the column event_timestamp or {view.timestamp}"}
        raise InvalidPayload("The rows need an event time, as text.", errors=[fault])
    zoned = at if at.endswith("Z") or "+" in at[10:] or "-" in at[10:] else f"{at}Z"
    return columns | {view.timestamp: zoned}
