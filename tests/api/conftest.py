"""An API over a fake orchestrator, on SQLite and, in `make test`, on PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from api.kernel.credentials import throttle
from tests.api_process import Api, running
from tests.orchestration import FakeOrchestrator, FakePublisher


@pytest.fixture(autouse=True)
def long_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A caller that must wait waits the longest: a second is over before a busy machine sends the next request."""
    monkeypatch.setattr(throttle, "FIRST_WAIT", throttle.MAX_WAIT)


@pytest.fixture
def orchestrator() -> FakeOrchestrator:
    return FakeOrchestrator()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
async def api(request: pytest.FixtureRequest, tmp_path: Path, orchestrator: FakeOrchestrator) -> AsyncIterator[Api]:
    url = request.getfixturevalue("platform_postgresql_url") if request.param == "postgresql" else ""
    publisher = FakePublisher(orchestrator)
    async with running(tmp_path, orchestrator, publisher=publisher, database_url=url) as started:
        publisher.database = started.database
        yield started
