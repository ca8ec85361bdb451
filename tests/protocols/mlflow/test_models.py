"""The unmodified MLflow client logs, registers, and loads models; a version without files is refused."""

from __future__ import annotations

import httpx
import pytest

from tests.api_server import Server
from tests.protocols.mlflow.conftest import Program, cases

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def results(program: Program) -> dict[str, str]:
    return program("models.py")


@pytest.mark.parametrize("name", cases("models.py"))
def test_a_notebook(results: dict[str, str], name: str) -> None:
    assert results[name] == "", results[name]


def test_what_it_registered_is_in_the_catalog(results: dict[str, str], server: Server) -> None:
    headers = {"authorization": f"Bearer {server.tokens['viewer']}"}
    with httpx.Client(base_url=f"{server.url}/api/v1/ai-catalog", headers=headers) as viewer:
        query = {"filter": 'spec.title == "Price of a flat"'}
        (model,) = viewer.get("/registered-models", params=query).json()["items"]
        number = model["status"]["aliases"]["champion"]
        query = {"filter": f'registered_model_id == "{model["id"]}" && version == {number}'}
        (version,) = viewer.get("/model-versions", params=query).json()["items"]
        verified = viewer.post(f"/model-versions/{version['id']}:verify", json={}).json()
        assert (verified["intact"], verified["files"] > 3) == (True, True)
