"""A platform with a database, and a real broker of each kind."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from tests.api.outbox.conftest import outbox
from tests.brokers import Broker, Kafka, Redis

__all__ = ["outbox"]


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    made = Redis(tmp_path_factory.mktemp("redis"))
    made.start()
    yield made
    made.kill()


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    made = Kafka(tmp_path_factory.mktemp("kafka"))
    made.start()
    yield made
    made.kill()


@pytest.fixture(params=["redis", "kafka"])
def broker(request: pytest.FixtureRequest) -> Broker:
    made: Broker = request.getfixturevalue(request.param)
    return made


@pytest.fixture
def topic() -> str:
    return f"events.{uuid.uuid4().hex}"
