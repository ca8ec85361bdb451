"""One platform for the tests that only need one, started as a user starts it.

With xdist, the files in `PLATFORM` run in one process, so that they share that platform. The other files run in the
other process, each with a separate platform or server.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.one_process import PLATFORM
from tests.running_platform import Running, started

FIRST = PLATFORM | {"tests/e2e/test_at_scale.py"}
"""The files that take the longest."""

FOLDER = Path(__file__).parent

expect.set_options(timeout=60_000)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begins with the files of `FIRST`, and refuses a file that would start another shared platform."""
    whole = [item for item in items if item.path.parent == FOLDER]
    users = {file_of(item) for item in whole if "platform" in getattr(item, "fixturenames", ())}
    assert users <= PLATFORM, f"add to PLATFORM in tests/one_process.py: {users - PLATFORM}"
    order = iter(sorted(whole, key=lambda item: file_of(item) not in FIRST))
    items[:] = [next(order) if item.path.parent == FOLDER else item for item in items]


def file_of(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[0]


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The platform after its sample's first run. It may reach databases of tests."""
    with started(tmp_path_factory.mktemp("platform"), HEADWATER_PRIVATE_SOURCES="true") as running:
        yield running
