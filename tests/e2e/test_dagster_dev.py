"""Plain `dagster dev` at the root of the repository: both code locations load, and an asset is made."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.ports import free_ports

ROOT = Path(__file__).parents[2]
DEADLINE_SECONDS = 240
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

LOCATIONS = """{ workspaceOrError { ... on Workspace { locationEntries {
    name loadStatus locationOrLoadError { __typename ... on PythonError { message } } } } } }"""
LAUNCH = """mutation($params: ExecutionParams!) { launchRun(executionParams: $params) {
    __typename ... on LaunchRunSuccess { run { id } } ... on PythonError { message } } }"""
RUN = "query($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"


class Dev:
    """The GraphQL door of a `dagster dev`."""

    def __init__(self, port: int, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self.log = log
        self._http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60)

    def __call__(self, query: str, **variables: Any) -> dict[str, Any]:
        reply = self._http.post("/graphql", json={"query": query, "variables": variables})
        assert reply.status_code == 200, reply.text
        return dict(reply.json()["data"])

    def close(self) -> None:
        """Closes its connections."""
        self._http.close()

    def until(self, look: Any) -> Any:
        """Waits for what a look at it gives."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log.read_text()
            try:
                if found := look():
                    return found
            except httpx.TransportError:
                pass
            time.sleep(0.3)
        raise AssertionError(self.log.read_text()[-5000:])


@pytest.fixture
def dev(tmp_path: Path) -> Iterator[Dev]:
    port, log = free_ports(1), tmp_path / "dev.log"
    stored = {name: value for name, value in os.environ.items() if name != "DAGSTER_HOME"}
    environment = stored | {"HEADWATER_HOME": str(tmp_path / "home"), "DAGSTER_DISABLE_TELEMETRY": "1"}
    command = [str(ROOT / ".venv/bin/dagster"), "dev", "--host", "127.0.0.1", "--port", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=output, stderr=output, start_new_session=True
        )
    started = Dev(port, process, log)
    try:
        yield started
    finally:
        started.close()
        process.send_signal(signal.SIGINT)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def test_dagster_dev_loads_the_workspace_and_makes_an_asset(dev: Dev) -> None:
    def loaded() -> dict[str, str] | None:
        entries = dev(LOCATIONS)["workspaceOrError"]["locationEntries"]
        found = {entry["name"]: entry["locationOrLoadError"] for entry in entries if entry["loadStatus"] == "LOADED"}
        return (
            {name: one["__typename"] + str(one.get("message", "")) for name, one in found.items()}
            if len(found) == 2
            else None
        )

    assert dev.until(loaded) == {"flights": "RepositoryLocation", "published": "RepositoryLocation"}
    selector = {
        "repositoryLocationName": "flights",
        "repositoryName": "__repository__",
        "pipelineName": "__ASSET_JOB",
        "assetSelection": [{"path": ["flights", "bronze", "airlines"]}],
    }
    launched = dev(LAUNCH, params={"selector": selector, "mode": "default", "runConfigData": "{}"})["launchRun"]
    assert launched["__typename"] == "LaunchRunSuccess", launched
    id = launched["run"]["id"]

    def ended() -> str | None:
        status = str(dev(RUN, id=id)["runOrError"]["status"])
        return status if status in ("SUCCESS", "FAILURE", "CANCELED") else None

    assert dev.until(ended) == "SUCCESS", dev.log.read_text()[-5000:]
