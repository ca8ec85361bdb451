"""The unmodified MLflow client finds and loads what the platform trained by itself."""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx
import pytest

from tests.api.ai_catalog.trainings import FEATURES, Trainings
from tests.api_server import Server
from tests.protocols.mlflow.conftest import cases, programs

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Trains a model while the server runs, and waits until the server has recorded it."""
    with Server(tmp_path_factory.mktemp("home"), HEADWATER_RATE_LIMIT="") as server:
        admin = {"authorization": f"Bearer {server.tokens['admin']}"}
        with httpx.Client(base_url=f"{server.url}/api/v1", headers=admin, timeout=60) as client:
            client.post("/admin/projects", json={"name": "clinic", "spec": {"title": "Clinic"}}).raise_for_status()
            trainings = Trainings(server.api, server.orchestrator)
            trainings.train(1)
            deadline = time.monotonic() + 60
            while not client.get("/ai-catalog/model-versions").raise_for_status().json()["items"]:
                assert time.monotonic() < deadline, "the training was not recorded"
                time.sleep(0.2)
        version = trainings.tables.snapshot(FEATURES).data_version
        yield programs(server, FEATURES_VERSION=version)("trainings.py")


@pytest.mark.parametrize("name", cases("trainings.py"))
def test_a_notebook(results: dict[str, str], name: str) -> None:
    assert results[name] == "", results[name]
