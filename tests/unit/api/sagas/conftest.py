"""A platform over a fresh database, SQLite and, in `make test`, PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from api.kernel.platform import Platform
from api.kernel.sagas.runner import Runner
from tests import sagas


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgresql":
        url = str(request.getfixturevalue("postgresql_url"))
    else:
        url = f"sqlite:///{tmp_path / 'metadata.sqlite'}"
    sagas.prepare(url)
    return url


@pytest.fixture
def platform(url: str, tmp_path: Path) -> Iterator[Platform]:
    platform = sagas.open_platform(url, tmp_path)
    yield platform
    platform.close()


@pytest.fixture
def runner(platform: Platform) -> Runner:
    runner = Runner(platform, first_delay=0.01)
    runner.register(sagas.ORDER)
    return runner
