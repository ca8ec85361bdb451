"""The unmodified MLflow client evaluates applications and models with datasets and scorers of the catalog."""

from __future__ import annotations

import httpx
import pytest

from tests.api_server import Server
from tests.protocols.mlflow.conftest import Program, cases

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def results(program: Program) -> dict[str, str]:
    return program("evaluations.py")


@pytest.mark.parametrize("name", cases("evaluations.py"))
def test_a_notebook(results: dict[str, str], name: str) -> None:
    assert results[name] == "", results[name]


def test_what_it_stored_is_in_the_catalog(results: dict[str, str], server: Server) -> None:
    headers = {"authorization": f"Bearer {server.tokens['viewer']}"}
    with httpx.Client(base_url=f"{server.url}/api/v1/ai-catalog", headers=headers) as viewer:
        query = {"filter": 'spec.title == "Sums ✓"'}
        (dataset,) = viewer.get("/evaluation-datasets", params=query).json()["items"]
        assert (dataset["status"]["version"], dataset["status"]["records"]) == (3, 2)
        first = viewer.get(f"/evaluation-datasets/{dataset['id']}/records", params={"version": 1}).json()["items"]
        assert [record["inputs"]["question"] for record in first] == ["1 + 1", "2 + 2", "2 + 3"]
