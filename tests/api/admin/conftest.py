"""An API that mails."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.api.admin.mailing import URL, Run
from tests.api_process import Api, running
from tests.orchestration import FakeOrchestrator


@pytest.fixture
def mailing(tmp_path: Path, database_url: str) -> Run:
    """An API that mails by a server at this port."""

    @asynccontextmanager
    async def run(port: int) -> AsyncIterator[Api]:
        variables = {
            "HEADWATER_SMTP_URL": f"smtp+plain://127.0.0.1:{port}",
            "HEADWATER_MAIL_FROM": "Headwater <headwater@example.org>",
            "HEADWATER_URL": f"{URL}/",
        }
        async with running(tmp_path, FakeOrchestrator(), database_url=database_url, **variables) as api:
            yield api

    return run
