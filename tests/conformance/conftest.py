"""One API for a whole module; each test has its own callers, so that none can log another one out."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.api_process import Api, running
from tests.orchestration import FakeOrchestrator


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def started(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    async with running(tmp_path_factory.mktemp("home"), FakeOrchestrator()) as api:
        yield api


@pytest.fixture
def api(started: Api) -> Api:
    return Api(started.app)
