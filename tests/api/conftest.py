"""An API over a fake orchestrator."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.api_process import Api, running
from tests.orchestration import FakeOrchestrator


@pytest.fixture
def orchestrator() -> FakeOrchestrator:
    return FakeOrchestrator()


@pytest.fixture
async def api(tmp_path: Path, orchestrator: FakeOrchestrator) -> AsyncIterator[Api]:
    async with running(tmp_path, orchestrator) as started:
        yield started
