"""A changed definition is tried in a branch of a whole platform, and merged, also after its merge was killed."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import httpx
import pytest

from dagster_project.workers import WORKER_TAG, Worker
from tests.e2e.test_documented_commands import DOCS, Reader, blocks
from tests.e2e.test_platform import eventually, finished, materialized, tags
from tests.e2e.test_reproduce import areas, state
from tests.running_platform import Running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

TRIAL, READER = "flights.gold.branch_trial", "flights.gold.branch_reader"


def publish(client: httpx.Client, asset: str, sql: str) -> None:
    """Publishes a definition, or its next version."""
    attributes = {"asset": asset, "description": "Flights by carrier.", "sql": sql, "checks": [{"unique": ["carrier"]}]}
    body = {"component": "SqlTransformComponent", "attributes": attributes}
    if client.post("ai-catalog/definitions", json=body).status_code == 409:
        client.patch(f"ai-catalog/definitions/{asset}", json=body).raise_for_status()
    client.post(f"ai-catalog/definitions/{asset}:publish", json={}).raise_for_status()


def started(client: httpx.Client, path: str, **body: Any) -> dict[str, Any]:
    answer = client.post(path, json=body)
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


def test_a_changed_definition_is_tried_and_merged(platform: Running) -> None:
    with platform.client() as client:
        publish(client, TRIAL, "SELECT carrier, count(*) AS flights FROM flights.silver.flights GROUP BY carrier")
        publish(client, READER, f"SELECT carrier, flights FROM {TRIAL}")
        for asset in (TRIAL, READER):
            assert materialized(client, asset)["state"] == "SUCCEEDED"
        before = {asset: client.get(f"ai-catalog/assets/{asset}").json()["data_version"] for asset in (TRIAL, READER)}
        publish(client, TRIAL, "SELECT carrier, count(*) + 1 AS flights FROM flights.silver.flights GROUP BY carrier")
        unmoved = {asset: state(client, asset) for asset in (TRIAL, READER)}
        body = {"project_id": "flights", "name": "trial"}
        branch = client.post("ai-catalog/branches", json=body).raise_for_status().json()["id"]
        path = f"ai-catalog/branches/{branch}"
        ended = finished(client, started(client, f"{path}:run", assets=[TRIAL, READER]))
        assert ended["state"] == "SUCCEEDED", ended["error"]
        assert {asset: state(client, asset) for asset in (TRIAL, READER)} == unmoved
        diff = client.get(f"{path}/diff", params={"asset": READER, "key": "carrier"}).json()
        assert diff["changed_count"] == diff["to_row_count"] > 0
        operation = started(client, f"{path}:merge")
        killed(platform, client, operation)
        if finished(client, operation)["state"] != "SUCCEEDED":
            ended = finished(client, started(client, f"{path}:merge"))
            assert ended["state"] == "SUCCEEDED", ended["error"]
        assert client.get(path).json()["state"] == "MERGED"
        after = {asset: client.get(f"ai-catalog/assets/{asset}").json() for asset in (TRIAL, READER)}
        for asset in (TRIAL, READER):
            assert after[asset]["data_version"] == before[asset].replace("@0", "@1"), "one version, not two"
            assert {check["status"] for check in after[asset]["checks"]} == {"PASSED"}
        inputs = client.get(f"ai-catalog/assets/{READER}/provenance").json()["materializations"][0]["inputs"]
        assert (TRIAL, after[TRIAL]["data_version"]) in [(one["asset"], one["version"]) for one in inputs]
        assert client.delete(path).status_code == 204
    assert branch not in areas(platform)


def killed(platform: Running, client: httpx.Client, operation: dict[str, Any]) -> None:
    """Kills the run of an operation as soon as it has a process. It may have ended by then."""
    [run] = eventually(lambda: client.get(f"operations/{operation['id']}").json()["runs"])
    worker = Worker.from_tag(eventually(lambda: tags(platform, run).get(WORKER_TAG)))
    if worker and worker.alive():
        os.kill(worker.pid, signal.SIGKILL)


def test_the_commands_of_the_how_to(platform: Running, tmp_path: Path) -> None:
    reader = Reader(platform, tmp_path)
    printed = reader.types(*blocks(DOCS / "how-to/use-branches.md", "sh"))
    assert '"state":"UNCHANGED"' in printed
