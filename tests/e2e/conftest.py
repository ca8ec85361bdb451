"""One platform for all tests of this folder, started as a user starts it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.running_platform import PASSWORD, Running, free_ports, make


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The platform after `make up DETACH=1` on an empty home: ready, its sample's first run done."""
    home = tmp_path_factory.mktemp("platform")
    port = free_ports(5)
    environment = dict(os.environ) | {
        "HEADWATER_HOME": str(home),
        "HEADWATER_PORT": str(port),
        "HEADWATER_ADMIN_PASSWORD": PASSWORD,
    }
    started = make("up", environment, "DETACH=1")
    try:
        assert started.returncode == 0, started.stdout + started.stderr
        yield Running(home, f"http://127.0.0.1:{port}", environment, started.stdout)
    finally:
        assert make("down", environment).returncode == 0
