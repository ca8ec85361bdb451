"""A platform with a metadata database and nothing running, on SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from api.kernel.platform import Platform
from core.db import Database
from core.events import Event, append
from core.settings import load_settings
from migrations.tables import METADATA
from tests.orchestration import FakeOrchestrator


class Outbox:
    """A platform whose events a test appends and waits for."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.database = platform.database

    def happen(self, subject: str, type: str = "admin.user.created", **options: Any) -> Event:
        event = Event(type, subject, "ada", options.pop("data", {}), **options)
        with self.database.write() as connection:
            append(connection, event)
        return event

    async def until(self, condition: Callable[[], bool], seconds: float = 15) -> None:
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.02)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
async def outbox(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Outbox]:
    import api.kernel.outbox.tables  # noqa: F401 - registers the tables

    environment = {"HEADWATER_HOME": str(tmp_path)}
    if request.param == "postgresql":
        environment["HEADWATER_DATABASE_URL"] = request.getfixturevalue("postgresql_url")
    settings = load_settings(environment)
    database = Database(settings.effective_database_url)
    METADATA.create_all(database.engine)
    platform = Platform(settings, database, FakeOrchestrator())
    yield Outbox(platform)
    platform.close()


class Receiver:
    """A web server of somebody else's that keeps what is posted to it."""

    def __init__(self) -> None:
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[int] = []
        """Status codes to give, then 204."""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.requests.append(({k.lower(): v for k, v in self.headers.items()}, body))
                self.send_response(receiver.answers.pop(0) if receiver.answers else 204)
                self.send_header("location", "/elsewhere")
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://localhost:{self.server.server_port}/hook"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()
