"""What must hold for every declaration, without calling it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from fastapi.routing import APIRoute
from starlette.routing import Match, Router

from api.kernel.http.routing import DeclaredRouter
from api.kernel.kinds.endpoint import Answer, Endpoint, Shape
from api.kernel.kinds.stored_kind import Method
from api.kernel.operations.engine import Operations
from api.kernel.platform import Platform
from api.kernel.roles import Role
from api.main import SERVICES
from core.db import Database
from core.settings import load_settings
from tests.conformance.examples import DRAFTS
from tests.conformance.one_pass import in_one_pass
from tests.conformance.operations import ENDPOINTS, REGISTRY, STORED, url
from tests.orchestration import FakeOrchestrator

_PATH = r"/api/v1/[a-z][a-z-]*(/[a-z][a-z-]*)?(/\{[a-z_]+\})?(:[a-z][a-z-]*|/[a-z][a-z-]*(/\{[a-z_]+\})?)?"
every_endpoint = in_one_pass("endpoint", ENDPOINTS)


@every_endpoint
def test_it_is_described(endpoint: Endpoint) -> None:
    assert endpoint.summary.endswith(".")
    assert not re.match(r"(This|It|The function)\b", endpoint.summary)
    assert "\n:" not in endpoint.description
    for model in (endpoint.query, endpoint.request, endpoint.result):
        for name, field in (model.model_fields if model else {}).items():
            assert field.description, f"{model}.{name} has no description"


@every_endpoint
def test_names_follow_the_grammar(endpoint: Endpoint) -> None:
    assert re.fullmatch(_PATH, endpoint.path)
    assert re.fullmatch(r"[a-z_]+\.[a-z_]+\.[a-z_]+", endpoint.permission)
    if endpoint.changes:
        assert re.fullmatch(r"[a-z_]+\.[a-z_]+\.[a-z_]*(ed|in|out|sent|set|given)", endpoint.event)
        assert endpoint.method != "GET"
        assert endpoint.role is not Role.VIEWER or endpoint.service == "admin", "viewers change nothing but their own"


@every_endpoint
def test_the_registry_and_the_routes_agree(routes: Router, endpoint: Endpoint) -> None:
    """The guard's dictionary and FastAPI's own matching must lead to the same operation."""
    scope = {"type": "http", "method": endpoint.method, "path": url(endpoint), "path_params": {}}
    # Each path is put to each route, so first only to its expression.
    fitting = [
        route for route in routes.routes if isinstance(route, APIRoute) and route.path_regex.match(url(endpoint))
    ]
    matched = [route.operation_id for route in fitting if route.matches(dict(scope))[0] is Match.FULL]
    assert matched == [endpoint.operation_id]
    found = REGISTRY.find(url(endpoint))
    assert found
    assert found.endpoint(endpoint.method) is endpoint
    assert found.id == (endpoint.kind.example if endpoint.shape.on_item else "")
    assert found.part == ("1" if endpoint.shape is Shape.PART_ITEM else "")


@pytest.fixture(scope="module")
def routes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    settings = load_settings({"HEADWATER_HOME": str(tmp_path_factory.mktemp("home"))})
    platform = Platform(settings, Database("sqlite://"), FakeOrchestrator())
    routers = [DeclaredRouter(service, platform, Operations(platform)) for service in SERVICES]
    for router in routers:
        router.complete()
    yield Router(routes=[route for router in routers for route in router.routes])
    platform.close()


@pytest.mark.parametrize("path", ["/api/v1/ai-catalog/../admin/users", "/static/../api/v1/admin/users", "/..", ""])
def test_dots_lead_nowhere(path: str) -> None:
    """Only what a mount serves itself could resolve them; the registry never does."""
    assert REGISTRY.find(path) is None


def test_shapes_have_the_answers_they_should() -> None:
    for endpoint in ENDPOINTS:
        assert (endpoint.answer is Answer.NOTHING) == (endpoint.shape is Shape.DELETE)
        if endpoint.answer is Answer.OPERATION:
            assert endpoint.result is not None
            assert endpoint.result.__name__ == "Operation"


def test_every_stored_kind_lives_a_tested_life() -> None:
    assert {kind.full_name for kind in STORED} == set(DRAFTS), "test_life.py needs a draft of each"
    assert all(kind.methods == frozenset(Method) for kind in STORED), "a kind with fewer needs another life there"
