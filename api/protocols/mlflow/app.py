"""The ASGI app at `/mlflow`: `MLFLOW_TRACKING_URI=https://headwater.example.org/mlflow`.

Experiments, runs, and what is logged to them are those of the AI catalog, with its permissions and its audit log. A
workspace of MLflow is a project. Errors have the form of MLflow, and the fields of a problem document besides.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs

import msgspec
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.kernel import problems
from api.kernel.application import Application
from api.kernel.http.inputs import refuse_unstorable
from api.kernel.http.state import state_of
from api.kernel.kinds.registry import Mount
from api.kernel.roles import Role
from api.protocols.calls import Calls
from api.protocols.mlflow import (
    artifacts,
    assessments,
    datasets,
    experiments,
    logged_models,
    metrics,
    model_versions,
    multipart,
    otlp,
    prompt_routes,
    registered_models,
    runs,
    scorers,
    trace_exports,
    trace_files,
    trace_metrics,
    traces,
    workspaces,
)
from api.protocols.mlflow.call import MlflowCall
from core.errors import (
    Conflict,
    HeadwaterError,
    InvalidArgument,
    InvalidPayload,
    MethodNotAllowed,
    NotFound,
    PermissionDenied,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
)

PATH = "/mlflow"
VERSION = "3.17.2"
"""The version of MLflow whose REST API this is."""

Handler = Callable[[MlflowCall], Awaitable[dict[str, Any]]]

_ROUTES: dict[tuple[str, str], Handler] = {
    **artifacts.ROUTES,
    **assessments.ROUTES,
    **datasets.ROUTES,
    **experiments.ROUTES,
    **logged_models.ROUTES,
    **metrics.ROUTES,
    **prompt_routes.routes(registered_models.ROUTES, model_versions.ROUTES),
    **runs.ROUTES,
    **scorers.ROUTES,
    **trace_metrics.ROUTES,
    **traces.ROUTES,
    **workspaces.ROUTES,
}
_PATTERNS = [
    (method, re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(path))), handler)
    for (method, path), handler in _ROUTES.items()
    if "{" in path
]
_EXECUTES = tuple(
    f"ai_catalog_{operation}"
    for operation in (
        *("create_experiment", "update_experiment", "delete_experiment", "restore_experiment", "list_experiments"),
        *("create_run", "update_run", "finish_run", "delete_run", "restore_run", "get_run", "search_runs"),
        *("log_batch_run", "log_inputs_run", "get_run_metric_history"),
        *("create_logged_model", "update_logged_model", "finalize_logged_model", "delete_logged_model"),
        *("get_logged_model", "list_logged_models", "log_metrics_logged_model"),
        *("create_registered_model", "update_registered_model"),
        *("delete_registered_model", "get_registered_model", "list_registered_models", "set_alias_registered_model"),
        *("remove_alias_registered_model", "create_model_version", "update_model_version", "delete_model_version"),
        *("get_model_version", "list_model_versions", "request_stage_model_version"),
        *("create_artifact", "delete_artifact", "get_artifact", "list_artifacts"),
    )
)
_ERROR_CODES: dict[type[HeadwaterError], tuple[str, int]] = {
    InvalidArgument: ("INVALID_PARAMETER_VALUE", 400),
    InvalidPayload: ("INVALID_PARAMETER_VALUE", 400),
    Unauthenticated: ("UNAUTHENTICATED", 401),
    PermissionDenied: ("PERMISSION_DENIED", 403),
    NotFound: ("RESOURCE_DOES_NOT_EXIST", 404),
    MethodNotAllowed: ("ENDPOINT_NOT_FOUND", 404),
    Conflict: ("RESOURCE_ALREADY_EXISTS", 400),
    TooManyRequests: ("REQUEST_LIMIT_EXCEEDED", 429),
    Unavailable: ("TEMPORARILY_UNAVAILABLE", 503),
}


def mounts(app: Application) -> list[Mount]:
    """Returns the API for authenticated callers."""
    mlflow = Mlflow(app)
    return [
        Mount(
            path=PATH,
            app=mlflow,
            role=Role.VIEWER,
            speaks_for="ai_catalog",
            executes=(
                *(*_EXECUTES, *multipart.EXECUTES, *prompt_routes.EXECUTES),
                *(*traces.EXECUTES, *assessments.EXECUTES, *trace_metrics.EXECUTES),
                *(*datasets.EXECUTES, *scorers.EXECUTES),
            ),
        ),
        Mount(
            path=f"{PATH}{artifacts.ROOT}",
            app=mlflow,
            role=Role.VIEWER,
            uploads=True,
            speaks_for="ai_catalog",
            executes=(*_EXECUTES, *trace_files.EXECUTES),
        ),
    ]


class Mlflow:
    """MLflow's REST API as an ASGI app."""

    def __init__(self, app: Application) -> None:
        self._calls = Calls(app)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one request."""
        http = HttpRequest(scope, receive)
        try:
            response = await self._respond(scope, http)
        except HeadwaterError as error:
            response = _refusal(scope, error)
        await response(scope, receive, send)

    async def _respond(self, scope: Scope, http: HttpRequest) -> Response:
        path = scope["path"].removeprefix(PATH)
        if path in ("/health", "/version"):
            return Response("OK" if path == "/health" else VERSION, media_type="text/plain")
        path = path.replace("/ajax-api/", "/api/", 1)
        principal = state_of(scope).principal
        assert principal is not None  # The mount requires authentication.
        workspace = http.headers.get("x-mlflow-workspace", "").strip()
        call = MlflowCall(self._calls, scope, principal, workspace, {})
        if path.startswith(f"{artifacts.ROOT}/"):
            return await _file(call, http, path.removeprefix(f"{artifacts.ROOT}/"))
        if http.method == "POST" and path.startswith(f"{multipart.ROOT}/"):
            return await _multipart(call, http, path.removeprefix(f"{multipart.ROOT}/"))
        if (http.method, path) == ("POST", otlp.PATH):
            return await trace_exports.export(call, http)
        if (http.method, path) == ("GET", "/get-artifact"):
            call = replace(call, values=await _values(http))
            return await artifacts.send(call, runs.run_id(call), call.text("path"))
        handler, in_path = _found(http.method, path)
        if handler is None:
            raise _unsupported(http, path)
        answer = await handler(replace(call, values=await _values(http) | in_path))
        return Response(msgspec.json.encode(answer), media_type="application/json")


def _found(method: str, path: str) -> tuple[Handler | None, dict[str, str]]:
    """Returns the handler of a path, and the parameters in the path."""
    if handler := _ROUTES.get((method, path)):
        return handler, {}
    for one, pattern, handler in _PATTERNS:
        if one == method and (match := pattern.fullmatch(path)):
            return handler, match.groupdict()
    return None, {}


async def _file(call: MlflowCall, http: HttpRequest, path: str) -> Response:
    if http.method == "PUT":
        upload = trace_files.upload if trace_files.is_trace(path) else artifacts.upload
        return await upload(call, http, path)
    if http.method == "GET":
        return await artifacts.download(call, path)
    if http.method == "DELETE":
        return await artifacts.delete(call, path)
    raise _unsupported(http, path)


async def _multipart(call: MlflowCall, http: HttpRequest, path: str) -> Response:
    verb, _, folder = path.partition("/")
    if verb not in multipart.HANDLERS:
        raise _unsupported(http, path)
    answer = await multipart.HANDLERS[verb](replace(call, values=await _values(http)), folder)
    return Response(msgspec.json.encode(answer), media_type="application/json")


def _unsupported(http: HttpRequest, path: str) -> MethodNotAllowed:
    return MethodNotAllowed(f"This server does not support {http.method} {path[:200]} of MLflow.")


async def _values(http: HttpRequest) -> dict[str, Any]:
    """Returns the parameters of the query, or of the body."""
    if http.method == "GET":
        found = parse_qs(http.url.query, keep_blank_values=True, max_num_fields=1000)
        _refuse_nul(http.url.query.encode())
        return {name: texts[0] if len(texts) == 1 else texts for name, texts in found.items()}
    body = await http.body()
    refuse_unstorable(body)
    _refuse_nul(body)
    try:
        values = msgspec.json.decode(body or b"{}")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidArgument(f"The body is not valid JSON: {str(error)[:200]}.") from None
    if not isinstance(values, dict):
        raise InvalidArgument("The body must be a JSON object.")
    return values


def _refuse_nul(text: bytes) -> None:
    if b"\\u0000" in text or b"%00" in text or b"\0" in text:
        raise InvalidArgument("The request contains a NUL character. Remove it: texts must not contain it.")


def _refusal(scope: Scope, error: HeadwaterError) -> Response:
    code, status = next(
        (entry for kind, entry in _ERROR_CODES.items() if isinstance(error, kind)), ("INTERNAL_ERROR", error.status)
    )
    state = state_of(scope)
    document = problems.body(error, request_id=state.request_id, instance=scope["path"], service="ai_catalog")
    answer = {**document, "status": status, "error_code": code, "message": error.detail}
    return Response(msgspec.json.encode(answer), status, media_type="application/json")
