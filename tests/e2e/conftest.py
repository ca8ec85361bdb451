"""One platform for the tests that only need one, started as a user starts it.

With xdist, the files in `SHARING` run in one process, so that they share that platform. The other files run beside it,
each with a separate platform or server.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect
from xdist.scheduler import LoadFileScheduling

from tests.running_platform import Running, started

SHARING = {
    "test_branches.py",
    "test_documented_commands.py",
    "test_home_page.py",
    "test_platform.py",
    "test_reproduce.py",
}
"""The files whose tests use the fixture `platform`."""

FIRST = {*SHARING, "test_at_scale.py"}
"""The files that take the longest."""

FOLDER = Path(__file__).parent

expect.set_options(timeout=60_000)


class OnePlatform(LoadFileScheduling):
    """Gives all files in `SHARING` to one process, and each other file to any."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return "platform" if Path(file).name in SHARING else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> OnePlatform:
    return OnePlatform(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begins with the files of `FIRST`, and refuses a file that would start another shared platform."""
    whole = [item for item in items if item.path.parent == FOLDER]
    users = {item.path.name for item in whole if "platform" in getattr(item, "fixturenames", ())}
    assert users <= SHARING, f"add to SHARING: {users - SHARING}"
    order = iter(sorted(whole, key=lambda item: item.path.name not in FIRST))
    items[:] = [next(order) if item.path.parent == FOLDER else item for item in items]


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The platform after its sample's first run."""
    with started(tmp_path_factory.mktemp("platform")) as running:
        yield running
