"""A server with an organization whose directory a service account keeps, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest

from api.kernel.application import Application
from api.main import create_app
from core.settings import load_settings
from tests.api_process import prepare
from tests.api_server import Server
from tests.databases import new_database
from tests.orchestration import FakeOrchestrator


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with ExitStack() as stack:
        variables = {}
        if request.param == "postgresql":
            url = stack.enter_context(new_database(request.getfixturevalue("postgresql")))
            variables["HEADWATER_DATABASE_URL"] = url
        started = stack.enter_context(Server(tmp_path_factory.mktemp("home"), **variables))
        started.add_tenant("acme")
        yield started


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def app(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    """An application whose storage a test uses without a server."""
    environment = {"HEADWATER_HOME": str(tmp_path_factory.mktemp("home"))}
    with ExitStack() as stack:
        if request.param == "postgresql":
            url = stack.enter_context(new_database(request.getfixturevalue("postgresql")))
            environment["HEADWATER_DATABASE_URL"] = url
        settings = load_settings(environment)
        prepare(settings)
        app = create_app(settings, orchestrator=FakeOrchestrator())
        yield app
        app.platform.close()


@pytest.fixture
def admin(server: Server) -> Iterator[httpx.Client]:
    """The admin service, as the organization's own admin."""
    headers = {"authorization": f"Bearer {server.tokens['acme']}"}
    with httpx.Client(base_url=f"{server.url}/api/v1/admin/", headers=headers) as client:
        yield client


@pytest.fixture
def directory(server: Server) -> Iterator[httpx.Client]:
    """SCIM, as a directory speaks it."""
    headers = {"authorization": f"Bearer {server.tokens['acme']}", "content-type": "application/scim+json"}
    with httpx.Client(base_url=f"{server.url}/scim/v2/", headers=headers) as client:
        yield client
