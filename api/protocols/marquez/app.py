"""The ASGI app at `/marquez/api/v1`. It only reads: events are sent to `/openlineage/api/v1/lineage`.

GET /namespaces[/{namespace}]
GET /namespaces/{namespace}/datasets[/{dataset}[/versions[/{version}]]]
GET /namespaces/{namespace}/jobs[/{job}[/versions[/{version}] | /runs]]
GET /jobs   /jobs/runs/{run}[/facets]
GET /lineage   /column-lineage   /events/lineage   /events[/{namespace}]   /search   /sources[/{source}]   /tags
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from starlette.datastructures import QueryParams
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from api.kernel.application import Application
from api.kernel.http.state import state_of
from api.kernel.kinds.registry import Mount
from api.kernel.kinds.unit import Unit
from api.kernel.permissions.principal import ANONYMOUS
from api.kernel.roles import Role
from api.protocols.calls import Calls
from api.protocols.marquez import answers
from api.protocols.marquez.answers import Page
from api.protocols.marquez.catalog import Catalog
from api.protocols.openlineage import PATH as RECEIVER
from core.errors import InvalidArgument, MethodNotAllowed, NotFound

PATH = "/marquez/api/v1"
_READS = "ai_catalog_list_external_datasets"
_Answer = Callable[[Catalog, list[str], QueryParams, Page], Any]

_ROUTES: tuple[tuple[str, _Answer], ...] = (
    ("namespaces", answers.namespaces),
    ("namespaces/*", answers.namespace),
    ("namespaces/*/datasets", answers.datasets),
    ("namespaces/*/datasets/*", answers.dataset),
    ("namespaces/*/datasets/*/versions", answers.dataset_versions),
    ("namespaces/*/datasets/*/versions/*", answers.dataset_version),
    ("namespaces/*/jobs", answers.jobs_of_namespace),
    ("namespaces/*/jobs/*", answers.job),
    ("namespaces/*/jobs/*/versions", answers.job_versions),
    ("namespaces/*/jobs/*/versions/*", answers.job_version),
    ("namespaces/*/jobs/*/runs", answers.job_runs),
    ("jobs", answers.jobs),
    ("jobs/runs/*", answers.run),
    ("jobs/runs/*/facets", answers.run_facets),
    ("lineage", answers.lineage),
    ("column-lineage", answers.column_lineage),
    ("events/lineage", answers.events),
    ("events", answers.events),
    ("events/*", answers.events_of_namespace),
    ("search", answers.search),
    ("sources", answers.sources),
    ("sources/*", answers.source),
    ("tags", answers.tags),
)


def mounts(app: Application) -> list[Mount]:
    """Returns the API, for authenticated callers."""
    marquez = Marquez(app)
    reads = (_READS,)
    return [
        Mount(path=PATH, app=marquez, role=Role.VIEWER, speaks_for="ai_catalog", acts_as=reads, escaped_slashes=True)
    ]


class Marquez:
    """The API as an ASGI app."""

    def __init__(self, app: Application) -> None:
        self._calls = Calls(app)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one request. Errors are problem documents."""
        request = HttpRequest(scope, receive)
        answer, names = _route(_segments(scope))
        if request.method not in ("GET", "HEAD"):
            raise MethodNotAllowed(
                f"Lineage is only read here. Send OpenLineage events to {RECEIVER}/lineage.",
                metadata={"allow": ["GET"]},
            )
        if any("\0" in value for _, value in request.query_params.multi_items()):
            raise InvalidArgument("A parameter contains a NUL character.")
        page = Page.of(request.query_params)
        ctx = self._calls.context(scope, _READS, state_of(scope).principal or ANONYMOUS)
        view = ctx.view()

        def read(unit: Unit) -> Any:
            return answer(Catalog(unit, view), names, request.query_params, page)

        await JSONResponse(await ctx.read(read), headers={"cache-control": "no-store"})(scope, receive, send)


def _segments(scope: Scope) -> list[str]:
    """Returns the decoded segments of the path. Namespaces and names contain slashes, which clients encode."""
    raw = scope.get("raw_path") or scope["path"].encode()
    path = raw.decode("ascii", "replace").partition("?")[0].removeprefix(PATH).strip("/")
    return [unquote(segment) for segment in path.split("/")]


def _route(segments: list[str]) -> tuple[_Answer, list[str]]:
    for pattern, answer in _ROUTES:
        expected = pattern.split("/")
        if len(expected) == len(segments) and all(
            one in ("*", segment) for one, segment in zip(expected, segments, strict=True)
        ):
            return answer, [segment for one, segment in zip(expected, segments, strict=True) if one == "*"]
    raise NotFound(f"There is no endpoint {'/'.join(segments)[:200]!r} of Marquez here. See {PATH}/namespaces.")
