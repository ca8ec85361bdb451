"""A pipeline of a whole platform: a job of Dagster that ticks, fails, and is retried with the versions it had read."""

from __future__ import annotations

import os
import signal
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from dagster_project.workers import WORKER_TAG, Worker
from tests.e2e.test_branches import publish, started
from tests.e2e.test_documented_commands import DOCS, Reader, blocks
from tests.e2e.test_platform import eventually, finished, materialized, tags
from tests.running_platform import Running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

SOURCE, CLEAN, TOTALS = "flights.gold.pipe_source", "flights.gold.pipe_clean", "flights.gold.pipe_totals"
NUMBERS = "SELECT carrier, {} AS n FROM flights.silver.flights GROUP BY carrier"
JOINED = f"FROM {CLEAN} AS c JOIN {SOURCE} AS s USING (carrier)"
FAILS = f"SELECT carrier, CAST(error('not yet') AS BIGINT) + c.n AS clean, s.n AS source {JOINED}"
WORKS = f"SELECT carrier, c.n AS clean, s.n AS source {JOINED}"


def version(client: httpx.Client, asset: str) -> str:
    return str(client.get(f"ai-catalog/assets/{asset}").raise_for_status().json()["data_version"])


def pipeline(client: httpx.Client, name: str, **spec: Any) -> str:
    body = {"name": name, "project_id": "flights", "spec": {"title": name, "assets": [CLEAN, TOTALS]} | spec}
    id = str(client.post("ai-catalog/pipelines", json=body).raise_for_status().json()["id"])
    client.post(f"ai-catalog/pipelines/{id}:publish", json={}).raise_for_status()
    return id


def jobs(platform: Running) -> dict[str, list[str]]:
    """The jobs of the Dagster UI with their schedules."""
    query = """{ repositoriesOrError { ... on RepositoryConnection { nodes {
        jobs { name schedules { name scheduleState { status } } } } } } }"""
    with closing(platform.login()) as admin:
        answer = admin.post("/dagster/graphql", json={"query": query}).raise_for_status().json()
    nodes = answer["data"]["repositoriesOrError"]["nodes"]
    return {job["name"]: [item["name"] for item in job["schedules"]] for node in nodes for job in node["jobs"]}


def test_a_retry_reads_what_the_failed_run_read(platform: Running) -> None:
    with platform.client() as client:
        publish(client, SOURCE, NUMBERS.format("count(*)"))
        assert materialized(client, SOURCE)["state"] == "SUCCEEDED"
        publish(client, CLEAN, NUMBERS.format("count(*)"))
        publish(client, TOTALS, FAILS)
        id = pipeline(client, "pipe")
        assert jobs(platform)[f"pipe__{id}"] == []
        assert client.get(f"ai-catalog/pipelines/{id}/publication").json()["loaded"]
        operation = finished(client, started(client, f"ai-catalog/pipelines/{id}:run"))
        assert operation["state"] == "FAILED"
        (run,) = operation["runs"]
        steps = client.get(f"ai-catalog/pipeline-runs/{run}/steps").raise_for_status().json()["steps"]
        assert [(item["assets"], item["state"]) for item in steps] == [([CLEAN], "SUCCEEDED"), ([TOTALS], "FAILED")]
        assert "not yet" in steps[1]["error"]
        source, clean = version(client, SOURCE), version(client, CLEAN)
        for asset in (SOURCE, CLEAN):
            publish(client, asset, NUMBERS.format("count(*) + 1"))
            assert materialized(client, asset)["state"] == "SUCCEEDED"
        publish(client, TOTALS, WORKS)
        again = finished(client, started(client, f"ai-catalog/pipeline-runs/{run}:retry"))
        assert again["state"] == "SUCCEEDED", again["error"]
        assert [item["asset"] for item in again["produced"]] == [TOTALS], "what succeeded isn't made again"
        (retry,) = again["runs"]
        graph = client.get(f"ai-catalog/pipeline-runs/{retry}/graph").raise_for_status().json()
        read = {item["input"]: item["input_version"] for item in graph["edges"] if item["output"] == TOTALS}
        assert read == {SOURCE: source, CLEAN: clean}
        assert version(client, SOURCE) != source
        assert client.get(f"ai-catalog/assets/{TOTALS}").json()["staleness"] == "STALE"
        assert client.get(f"ai-catalog/pipeline-runs/{retry}").json()["retry_of"] == run
        assert client.post(f"ai-catalog/pipeline-runs/{run}:retry", json={}).status_code == 409


def test_a_schedule_ticks_and_a_killed_run_is_retried(platform: Running) -> None:
    with platform.client() as client:
        publish(client, SOURCE, NUMBERS.format("count(*)"))
        assert materialized(client, SOURCE)["state"] == "SUCCEEDED"
        publish(client, CLEAN, NUMBERS.format("count(*)"))
        publish(client, TOTALS, WORKS)
        id = pipeline(client, "ticking", schedule={"cron": "* * * * *"}, overlap="SKIP")
        assert jobs(platform)[f"ticking__{id}"] == [f"ticking__{id}_schedule"]
        times = client.get(f"ai-catalog/pipelines/{id}/schedule").raise_for_status().json()
        assert (times["state"], len(times["next_at"])) == ("RUNNING", 5)
        schedule = client.get(f"ai-catalog/schedules/{times['schedule']}").raise_for_status().json()
        assert (schedule["job"], schedule["assets"]) == (f"ticking__{id}", [CLEAN, TOTALS])

        def scheduled() -> Any:
            return client.get("ai-catalog/pipeline-runs", params={"pipeline": id}).raise_for_status().json()["items"]

        ticked = eventually(scheduled)[-1]
        assert ticked["started_by"] == f"schedule:ticking__{id}_schedule"
        client.post(f"ai-catalog/schedules/{times['schedule']}:stop", json={}).raise_for_status()
        stopped = client.get(f"ai-catalog/pipelines/{id}/schedule").raise_for_status().json()
        assert (stopped["state"], stopped["next_at"]) == ("STOPPED", [])
        path = f"ai-catalog/pipeline-runs/{ticked['id']}"
        eventually(lambda: client.get(path).json()["state"] == "SUCCEEDED")
        eventually(lambda: all(item["state"] in ("SUCCEEDED", "FAILED", "CANCELED") for item in scheduled()))
        operation = started(client, f"ai-catalog/pipelines/{id}:run")
        (run,) = eventually(lambda: client.get(f"operations/{operation['id']}").json()["runs"])
        worker = Worker.from_tag(eventually(lambda: tags(platform, run).get(WORKER_TAG)))
        if worker and worker.alive():
            os.kill(worker.pid, signal.SIGKILL)
        if finished(client, operation)["state"] == "FAILED":
            again = finished(client, started(client, f"ai-catalog/pipeline-runs/{run}:retry"))
            assert again["state"] == "SUCCEEDED", again["error"]
        client.post(f"ai-catalog/pipelines/{id}:unpublish", json={}).raise_for_status()
        assert f"ticking__{id}" not in jobs(platform)
        assert client.delete(f"ai-catalog/pipelines/{id}").status_code == 204


def test_the_commands_of_the_how_to(platform: Running, tmp_path: Path) -> None:
    reader = Reader(platform, tmp_path)
    printed = reader.types(*blocks(DOCS / "how-to/run-a-pipeline.md", "sh"))
    assert '"state":"SUCCEEDED"' in printed
