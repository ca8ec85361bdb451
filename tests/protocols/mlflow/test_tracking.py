"""The unmodified MLflow client loses nothing: what it logs and how it searches is what it gets from its own server."""

from __future__ import annotations

import httpx
import pytest

from tests.api_server import Server
from tests.protocols.mlflow.conftest import Program, cases

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def results(program: Program) -> dict[str, str]:
    return program("tracking.py")


@pytest.mark.parametrize("name", cases("tracking.py"))
def test_a_notebook(results: dict[str, str], name: str) -> None:
    assert results[name] == "", results[name]


def test_what_it_logged_is_in_the_catalog(results: dict[str, str], server: Server) -> None:
    """There is one truth: the run that the client made is the run of the REST API."""
    headers = {"authorization": f"Bearer {server.tokens['viewer']}"}
    with httpx.Client(base_url=f"{server.url}/api/v1/ai-catalog", headers=headers) as viewer:
        body = {"filter": "run_name = 'first' AND params.depth = '3'"}
        (run,) = viewer.post("/runs:search", json=body).json()["items"]
        assert run["metrics"]["loss"]["value"] == 0.2
        assert (run["source"], run["created_by"], run["status"]) == ("EXTERNAL", "admin", "FINISHED")
        experiment = viewer.get(f"/experiments/{run['experiment_id']}").json()
    assert experiment["spec"]["title"] == "A notebook: ünïcode ✓"
