"""The API on a real socket, with the server of `headwater up`, over a fake orchestrator."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from pathlib import Path

import httpx

from api.kernel.application import Application
from api.main import create_app
from api.main import server as server_of
from core.db import Database
from core.settings import Settings, load_settings
from tests.api_process import Api, prepare
from tests.lakehouse_tables import make_tables
from tests.orchestration import FakeOrchestrator, FakePublisher


class Server:
    """A server that runs in a thread, as a context manager."""

    def __init__(self, home: Path, **variables: str) -> None:
        configuration = load_settings({"HEADWATER_HOME": str(home)} | variables)
        prepare(configuration)
        database = Database(configuration.effective_database_url)
        make_tables(configuration, database)
        database.close()
        self.orchestrator = FakeOrchestrator()
        publisher = FakePublisher(self.orchestrator)
        app = create_app(configuration, orchestrator=self.orchestrator, publisher=publisher)
        publisher.database = app.platform.database
        self._bind(app, configuration)

    def _bind(self, app: Application, configuration: Settings) -> None:
        api = Api(app)
        self.tokens = {"admin": api.admin.token, "viewer": api.viewer.token}
        self.api = api
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.port: int = self.socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.server = server_of(app, configuration)
        self.thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Server:
        self.thread.start()
        while not self.server.started:
            assert self.thread.is_alive()
            time.sleep(0.01)
        return self

    def _serve(self) -> None:
        with asyncio.Runner(loop_factory=self.server.config.get_loop_factory()) as runner:
            runner.run(self.server.serve([self.socket]))

    def add_tenant(self, name: str) -> None:
        """An organization of this name; `tokens[name]` is that of its admin, who has no right outside it."""
        admin = {"authorization": f"Bearer {self.tokens['admin']}"}
        with httpx.Client(base_url=f"{self.url}/api/v1/admin/", headers=admin, timeout=120) as client:

            def create(path: str, body: dict[str, object]) -> str:
                return str(client.post(path, json=body).raise_for_status().json()["id"])

            organization = create("organizations", {"name": name, "spec": {"title": name}})
            user = create("users", {"name": f"{name}-admin", "organization_id": organization, "spec": {}})
            create("grants", {"principal_id": user, "role_id": "rol_admin", "securable_id": organization})
        self.tokens[name] = self.api.caller(f"{name}-admin").token

    def __exit__(self, *_: object) -> None:
        self.server.should_exit = True
        self.thread.join()
        self.socket.close()
