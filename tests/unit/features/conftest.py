"""The two online stores."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from features.embedded import EmbeddedStore
from features.online import OnlineStore
from features.redis_store import RedisStore
from tests.brokers import Redis


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    server = Redis(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.kill()


@pytest.fixture(params=["embedded", "redis"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OnlineStore]:
    opened: OnlineStore
    if request.param == "redis":
        server = request.getfixturevalue("redis_server")
        with server.client() as client:
            client.flushall()
        opened = RedisStore(server.url)
    else:
        opened = EmbeddedStore(tmp_path / "online")
    yield opened
    opened.close()
