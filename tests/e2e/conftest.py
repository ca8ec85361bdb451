"""One platform for all tests of this folder, started as a user starts it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.running_platform import Running, started

expect.set_options(timeout=60_000)


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The platform after its sample's first run."""
    with started(tmp_path_factory.mktemp("platform")) as running:
        yield running
