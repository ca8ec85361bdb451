"""A server with a project whose emitter is a service account, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.api_server import Server
from tests.databases import new_database


@dataclass
class Emitter:
    """The platform as a program outside sees it: an address and an API key."""

    url: str
    key: str
    admin: httpx.Client
    project: str

    def get(self, path: str, **query: Any) -> Any:
        """What an admin reads over REST."""
        return self.admin.get(f"/api/v1/{path}", params=query).raise_for_status().json()


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with ExitStack() as stack:
        variables = {}
        if request.param == "postgresql":
            variables["HEADWATER_DATABASE_URL"] = stack.enter_context(
                new_database(request.getfixturevalue("postgresql"))
            )
        yield stack.enter_context(Server(tmp_path_factory.mktemp("home"), **variables))


@pytest.fixture(scope="module")
def emitter(server: Server) -> Iterator[Emitter]:
    headers = {"authorization": f"Bearer {server.tokens['admin']}"}
    with httpx.Client(base_url=server.url, headers=headers, timeout=120) as admin:

        def create(path: str, **body: Any) -> Any:
            return admin.post(f"/api/v1/admin/{path}", json=body).raise_for_status().json()

        project = create("projects", name="flights", spec={"title": "Flights"})["id"]
        create("projects", name="another", spec={"title": "Another"})
        account = create("service-accounts", name="spark", project_id=project, spec={})["id"]
        create("grants", principal_id=account, role_id="rol_editor", securable_id=project)
        key = create("api-keys", label="OpenLineage", principal_id=account)["secret"]
        yield Emitter(server.url, key, admin, project)
