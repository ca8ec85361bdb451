"""An API over a fake orchestrator, on SQLite and, for some tests, on PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from api.kernel.credentials import throttle
from lakehouse import query_process
from tests.api_process import Api, running
from tests.orchestration import FakeOrchestrator, FakePublisher
from tests.queries_here import QueriesHere


@pytest.fixture(autouse=True)
def long_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A caller that must wait waits the longest: a second is over before a busy machine sends the next request."""
    monkeypatch.setattr(throttle, "FIRST_WAIT", throttle.MAX_WAIT)


@pytest.fixture(autouse=True)
def query_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file whose subject is the processes of queries overrides this with a fixture that does nothing."""
    monkeypatch.setattr(query_process, "QueryProcesses", QueriesHere)


@pytest.fixture
def orchestrator() -> FakeOrchestrator:
    return FakeOrchestrator()


@pytest.fixture
def database_url(request: pytest.FixtureRequest) -> str:
    """The address of the metadata database: empty for SQLite. With `on_both`, a test has PostgreSQL as well."""
    if getattr(request, "param", "") == "postgresql":
        return str(request.getfixturevalue("platform_postgresql_url"))
    return ""


@pytest.fixture
async def api(tmp_path: Path, orchestrator: FakeOrchestrator, database_url: str) -> AsyncIterator[Api]:
    publisher = FakePublisher(orchestrator)
    async with running(tmp_path, orchestrator, publisher=publisher, database_url=database_url) as started:
        publisher.database = started.database
        yield started
