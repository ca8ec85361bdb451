"""A project with a remote database, and the ways to store secrets and create connections in it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from resources.delta import Delta
from tests.api.admin.tenants import made
from tests.api.connections.connected_tables import ASSET
from tests.api_process import Api, running
from tests.orchestration import FakeOrchestrator, FakePublisher, node
from tests.remote_postgresql import RemotePostgreSql, remote_postgresql


@dataclass
class Project:
    """A project, as its editor uses it."""

    api: Api
    id: str

    async def secret(self, name: str, value: str | None) -> str:
        """Creates a secret, with a value if there is one. Returns its id."""
        body = {"name": name, "project_id": self.id, "spec": {"title": name}}
        secret = await made(self.api.editor.post("connections/secrets", body))
        if value is not None:
            await made(self.api.editor.post(f"connections/secrets/{secret['id']}:put-version", {"value": value}))
        return str(secret["id"])

    def draft(self, name: str, connector: str, config: dict[str, Any], secrets: dict[str, str]) -> dict[str, Any]:
        """Returns the body that creates a connection."""
        spec = {"title": name, "connector": connector, "config": config, "secrets": secrets}
        return {"name": name, "project_id": self.id, "spec": spec}

    async def connection(self, name: str, remote: RemotePostgreSql, password: str | None = None) -> dict[str, Any]:
        """Creates a connection to a database, with its own secret."""
        secret = await self.secret(f"{name}-password", password or remote.password)
        body = self.draft(name, "postgresql", remote.config, {"password": secret})
        return await made(self.api.editor.post("connections/connections", body))


@pytest.fixture
async def api(tmp_path: Path, orchestrator: FakeOrchestrator, database_url: str) -> AsyncIterator[Api]:
    """An API that publishes and may connect to loopback."""
    publisher, allowed = FakePublisher(orchestrator), {"HEADWATER_PRIVATE_SOURCES": "true"}
    async with running(tmp_path, orchestrator, publisher=publisher, database_url=database_url, **allowed) as started:
        publisher.database = started.database
        yield started


@pytest.fixture
def runs(
    api: Api, orchestrator: FakeOrchestrator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dg.DagsterInstance]:
    """An instance whose runs use the database and the keys of the API, as those of a platform do."""
    orchestrator.nodes[ASSET] = node(ASSET)
    monkeypatch.setenv("HEADWATER_HOME", str(tmp_path))
    monkeypatch.setenv("HEADWATER_DATABASE_URL", api.app.platform.settings.effective_database_url)
    monkeypatch.setenv("HEADWATER_PRIVATE_SOURCES", "true")
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance
    # Runs in this process leave it open for the next ones.
    Delta().database().close()


@pytest.fixture
async def project(api: Api) -> Project:
    """A project."""
    body = {"name": "sales", "spec": {"title": "Sales"}}
    return Project(api, (await made(api.admin.post("admin/projects", body)))["id"])


@pytest.fixture
def remote(postgresql_url: str) -> Iterator[RemotePostgreSql]:
    """A remote database."""
    with remote_postgresql(postgresql_url) as database:
        yield database
