"""One asset of each kind is made again on a whole platform. A killed reproduction leaves nothing, and can be retried.

The kind: a result that is equal only within one process, a run in a branch that makes an asset stale or gives it a
version, and a record that stays in progress after its run was killed.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import httpx
import pytest

from dagster_project.workers import WORKER_TAG, Worker
from tests.e2e.test_documented_commands import DOCS, Reader, blocks
from tests.e2e.test_platform import eventually, finished, tags
from tests.running_platform import Running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

DATASET, FEATURES = "flights.bronze.weather", "flights.features.departures"
MODEL, INDEX, ROUNDS = "flights.models.arrival_delay", "flights.index.handbook", "flights.rounds.arrival_delay"


def requested(client: httpx.Client, asset: str) -> tuple[dict[str, Any], str]:
    """Requests a reproduction of the newest version. Returns the operation and the id of the reproduction."""
    plan = client.get(f"ai-catalog/assets/{asset}/reproduce-plan").raise_for_status().json()
    assert (plan["possible"], plan["problems"]) == (True, []), plan
    answer = client.post(f"ai-catalog/assets/{asset}:reproduce", json={})
    assert answer.status_code == 202, answer.text
    items = client.get("ai-catalog/reproductions", params={"filter": f"asset == '{asset}'"}).json()["items"]
    (id,) = [one["id"] for one in items if one["operation_id"] == answer.json()["id"]]
    return answer.json(), id


def found(client: httpx.Client, id: str) -> dict[str, Any]:
    return dict(client.get(f"ai-catalog/reproductions/{id}").raise_for_status().json())


def state(client: httpx.Client, asset: str) -> dict[str, Any]:
    """What the platform says about the asset and its table."""
    names = ("data_version", "materialized_at", "run_id", "staleness", "health", "runs_in_progress", "last_run")
    answer = client.get(f"ai-catalog/assets/{asset}").json()
    history = client.get(f"ai-catalog/assets/{asset}/history").json()["items"]
    provenance = client.get(f"ai-catalog/assets/{asset}/provenance").json()
    return {**{name: answer[name] for name in names}, "history": history, "provenance": provenance}


@pytest.mark.parametrize("asset", [DATASET, FEATURES, MODEL, INDEX, ROUNDS])
def test_each_kind_is_equal_and_its_asset_does_not_move(platform: Running, asset: str) -> None:
    with platform.client() as client:
        before = state(client, asset)
        operation, id = requested(client, asset)
        ended = finished(client, operation)
        assert ended["state"] == "SUCCEEDED", ended["error"]
        verdict = found(client, id)
        assert (verdict["state"], verdict["verdict"]) == ("SUCCEEDED", "EQUAL"), verdict
        assert verdict["comparison"]["recorded_digest"] == verdict["comparison"]["reproduced_digest"]
        assert verdict["comparison"]["recorded_rows"] > 0
        if asset == MODEL:
            (artifact,) = verdict["comparison"]["files"]
            assert artifact["column"] == "artifact"
            assert artifact["recorded"] == artifact["reproduced"] != []
        assert state(client, asset) == before
    assert areas(platform) == []


def test_a_killed_reproduction_failed_and_can_be_deleted_and_requested_again(platform: Running) -> None:
    with platform.client() as client:
        before = state(client, ROUNDS)
        operation, id = requested(client, ROUNDS)
        [run] = eventually(lambda: client.get(f"operations/{operation['id']}").json()["runs"])
        eventually(lambda: areas(platform) == [id])
        worker = Worker.from_tag(eventually(lambda: tags(platform, run).get(WORKER_TAG)))
        assert worker
        os.kill(worker.pid, signal.SIGKILL)
        assert finished(client, operation)["state"] == "FAILED"
        assert (found(client, id)["state"], found(client, id)["verdict"]) == ("FAILED", None)
        assert areas(platform) == [id]
        assert client.delete(f"ai-catalog/reproductions/{id}").status_code == 204
        assert areas(platform) == []
        operation, id = requested(client, ROUNDS)
        assert finished(client, operation)["state"] == "SUCCEEDED"
        assert found(client, id)["verdict"] == "EQUAL"
        assert state(client, ROUNDS) == before


def test_a_cancelled_reproduction_can_be_deleted_with_its_area(platform: Running) -> None:
    with platform.client() as client:
        operation, id = requested(client, FEATURES)
        # Not when it has an area: it writes at the very end, when it is too late to cancel.
        [run] = eventually(lambda: client.get(f"operations/{operation['id']}").json()["runs"])
        eventually(lambda: tags(platform, run).get(WORKER_TAG))
        client.post(f"operations/{operation['id']}:cancel", json={}).raise_for_status()
        assert finished(client, operation)["state"] == "CANCELED"
        assert found(client, id)["state"] == "CANCELED"
        left = platform.home / "lakehouse" / "_branches" / id / "rows.parquet"
        left.parent.mkdir(parents=True, exist_ok=True)
        left.write_bytes(b"what a worker that was ended by force left")
        # A worker that doesn't end in time is killed, and can't delete its area.
        eventually(lambda: client.delete(f"ai-catalog/reproductions/{id}").status_code in (204, 404))
        assert areas(platform) == []


def test_the_commands_of_the_how_to(platform: Running, tmp_path: Path) -> None:
    reader = Reader(platform, tmp_path)
    printed = reader.types(*blocks(DOCS / "how-to/reproduce-a-version.md", "sh"))
    assert '"verdict":"EQUAL"' in printed


def areas(platform: Running) -> list[str]:
    folder = platform.home / "lakehouse" / "_branches"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []
