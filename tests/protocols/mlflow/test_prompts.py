"""The unmodified MLflow client stores prompts, which are prompts of the catalog and no models."""

from __future__ import annotations

import httpx
import pytest

from tests.api_server import Server
from tests.protocols.mlflow.conftest import Program, cases

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def results(program: Program) -> dict[str, str]:
    return program("prompts.py")


@pytest.mark.parametrize("name", cases("prompts.py"))
def test_a_notebook(results: dict[str, str], name: str) -> None:
    assert results[name] == "", results[name]


def test_what_it_stored_is_in_the_catalog(results: dict[str, str], server: Server) -> None:
    headers = {"authorization": f"Bearer {server.tokens['viewer']}"}
    with httpx.Client(base_url=f"{server.url}/api/v1/ai-catalog", headers=headers) as viewer:
        (found,) = viewer.get("/prompts", params={"filter": 'name == "chat"'}).json()["items"]
        query = {"filter": f'prompt_id == "{found["id"]}"'}
        (version,) = viewer.get("/prompt-versions", params=query).json()["items"]
        assert version["messages"][0] == {"role": "system", "content": "Be {{ tone }}."}
        assert version["variables"] == ["question", "tone"]
        models = viewer.get("/registered-models", params={"filter": 'name == "chat"'}).json()["items"]
        assert models == []
