"""A platform with a metadata database and nothing running, on SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from api.kernel.platform import Platform
from core.db import Database
from core.events import Event, append
from core.settings import load_settings
from migrations.tables import METADATA
from tests.orchestration import FakeOrchestrator
from tests.receiver import Receiver, receiving


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

    async def until(self, condition: Callable[[], bool], seconds: float = 60) -> None:
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


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as started:
        yield started
