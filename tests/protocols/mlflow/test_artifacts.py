"""The unmodified MLflow client stores files and gets the same bytes back; no path leads out of its run."""

from __future__ import annotations

import hashlib

import httpx
import pytest

from tests.api_server import Server
from tests.protocols.mlflow.conftest import Program, cases

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def results(program: Program) -> dict[str, str]:
    return program("artifacts.py")


@pytest.mark.parametrize("name", cases("artifacts.py"))
def test_a_notebook(results: dict[str, str], name: str) -> None:
    assert results[name] == "", results[name]


def test_what_it_stored_is_in_the_catalog(results: dict[str, str], server: Server) -> None:
    headers = {"authorization": f"Bearer {server.tokens['viewer']}"}
    with httpx.Client(base_url=f"{server.url}/api/v1/ai-catalog", headers=headers) as viewer:
        query = {"filter": 'path == "notes/hello.txt"'}
        (found,) = viewer.get("/artifacts", params=query).json()["items"]
        content = "héllo".encode()
        assert (found["digest"], found["size"]) == (hashlib.sha256(content).hexdigest(), len(content))
        assert viewer.post(f"/artifacts/{found['id']}:verify", json={}).json()["size"] == len(content)
