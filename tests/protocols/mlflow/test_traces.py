"""The unmodified MLflow client records traces, which are traces of the catalog."""

from __future__ import annotations

import httpx
import pytest

from tests.api_server import Server
from tests.protocols.mlflow.conftest import Program, cases

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def results(program: Program) -> dict[str, str]:
    return program("traces.py")


@pytest.mark.parametrize("name", cases("traces.py"))
def test_an_application(results: dict[str, str], name: str) -> None:
    assert results[name] == "", results[name]


def test_what_it_recorded_is_in_the_catalog(results: dict[str, str], server: Server) -> None:
    headers = {"authorization": f"Bearer {server.tokens['viewer']}"}
    with httpx.Client(base_url=f"{server.url}/api/v1/ai-catalog", headers=headers) as viewer:
        search = {"filter": "feedback.correct = 'false' AND tags.team = 'docs'"}
        (trace,) = viewer.post("/traces:search", json=search).json()["items"]
        assert (trace["name"], trace["state"], trace["total_tokens"]) == ("answer", "OK", 10)
        spans = viewer.get(f"/traces/{trace['id']}/spans").json()["items"]
        assert {span["name"]: span["type"] for span in spans}["generate"] == "CHAT_MODEL"
        assert {"nothing": "NaN"}.items() <= spans[2]["attributes"].items()
