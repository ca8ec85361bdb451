"""kill -9 of the API with real Dagster behind it: operations end in a true state, and cancelling still works."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pytest

from api.kernel.credentials.tokens import issue_token
from core import clock
from core.db import Database
from lakehouse.tables import Tables
from tests.api_process import prepare
from tests.dagster_processes import ROOT, DagsterProcesses, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PROJECT = """
import time
import dagster as dg

@dg.asset(key=["tiny", "bronze", "one"])
def one():
    return dg.MaterializeResult(data_version=dg.DataVersion("one@1"))

class Slow(dg.Config):
    seconds: float

@dg.asset(key=["tiny", "bronze", "slow"])
def slow(config: Slow):
    time.sleep(config.seconds)
    return dg.MaterializeResult(data_version=dg.DataVersion("slow@1"))

defs = dg.Definitions(assets=[one, slow], executor=dg.in_process_executor)
"""


class Api:
    """The API as `headwater up` starts it."""

    def __init__(self, dagster: DagsterProcesses) -> None:
        self.dagster = dagster
        self.url = f"http://127.0.0.1:{dagster.settings.port}"
        self.start()
        database = Database(dagster.settings.effective_database_url)
        token = issue_token(database, "editor", label="test", expires=clock.now() + timedelta(hours=1))
        database.close()
        self.http = httpx.Client(
            base_url=f"{self.url}/api/v1/", headers={"authorization": f"Bearer {token}"}, timeout=60
        )

    def start(self) -> None:
        with (self.dagster.settings.logs_dir / "api.log").open("ab") as log:
            command = [sys.executable, "-m", "api.main"]
            self.process = subprocess.Popen(command, cwd=ROOT, env=self.dagster.environment, stdout=log, stderr=log)
        until(self.ready, 90, "the API")

    def ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health/ready", timeout=2).status_code == 200
        except httpx.TransportError:
            return False

    def kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def post(self, path: str, body: Any) -> dict[str, Any]:
        reply = self.http.post(path, json=body)
        assert reply.is_success, reply.text
        found: dict[str, Any] = reply.json()
        return found

    def operation(self, id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.http.get(f"operations/{id}").json()
        return found

    def followed(self, id: str, holds: Callable[[dict[str, Any]], Any], seconds: float = 120) -> dict[str, Any]:
        until(lambda: bool(holds(self.operation(id))), seconds, f"{id}: {self.operation(id)}", pause=0.1)
        return self.operation(id)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    code: Path = tmp_path_factory.mktemp("code")
    (code / "tiny_killed.py").write_text(PROJECT)
    home = tmp_path_factory.mktemp("home")
    with DagsterProcesses(home, {"flights": "tiny_killed"}, code=code) as dagster:
        prepare(dagster.settings)
        started = Api(dagster)
        yield started
        started.http.close()
        started.process.terminate()
        started.process.wait()


def slow(api: Api, seconds: float) -> str:
    body = {"config": {"seconds": seconds}}
    return str(api.post("ai-catalog/assets/tiny.bronze.slow:materialize", body)["id"])


def test_a_version_is_visible_when_its_operation_has_succeeded(api: Api) -> None:
    for _ in range(3):
        id = api.post("ai-catalog/assets/tiny.bronze.one:materialize", {})["id"]
        operation = api.followed(id, lambda now: now["finished_at"])
        assert (operation["state"], operation["produced"][0]["data_version"]) == ("SUCCEEDED", "one@1")
        asset = api.http.get("ai-catalog/assets/tiny.bronze.one").json()
        assert (asset["run_id"], asset["data_version"]) == (operation["runs"][0], "one@1")


def test_what_ends_while_the_api_is_dead_is_known_when_it_is_back(api: Api) -> None:
    id = slow(api, 3)
    (run,) = api.followed(id, lambda now: now["runs"])["runs"]
    api.kill()
    assert api.dagster.finish(run, 120) == "SUCCESS"
    api.start()
    operation = api.followed(id, lambda now: now["finished_at"])
    assert (operation["state"], operation["produced"][0]["data_version"]) == ("SUCCEEDED", "slow@1")


def test_what_still_runs_can_be_cancelled_by_the_next_process(api: Api) -> None:
    id = slow(api, 600)
    (run,) = api.followed(id, lambda now: now["runs"])["runs"]
    api.kill()
    api.start()
    assert api.operation(id)["state"] == "RUNNING"
    api.post(f"operations/{id}:cancel", {})
    assert api.followed(id, lambda now: now["finished_at"])["state"] == "CANCELED"
    assert api.dagster.status(run) == "CANCELED"


def test_killed_right_after_the_request_it_neither_doubles_nor_loses_the_run(api: Api) -> None:
    key = {"idempotency-key": "one-run-only"}
    path, body = "ai-catalog/assets/tiny.bronze.slow:materialize", {"config": {"seconds": 1}}
    with contextlib.suppress(httpx.TimeoutException):
        api.http.post(path, json=body, headers=key, timeout=0.02)
    api.kill()
    api.start()
    again = api.http.post(path, json=body, headers=key)
    assert again.status_code == 202, again.text
    operation = api.followed(again.json()["id"], lambda now: now["finished_at"], 180)
    if operation["state"] == "FAILED":
        # Killed between the row and the launch: nothing was started, and the key is free again.
        assert "before anything was started" in operation["error"]
        again = api.http.post(path, json=body, headers=key)
        operation = api.followed(again.json()["id"], lambda now: now["finished_at"])
    assert (operation["state"], len(operation["runs"])) == ("SUCCEEDED", 1)
    tag = {"key": "headwater/operation", "value": operation["id"]}
    query = "query($t:[ExecutionTag!]){runsOrError(filter:{tags:$t}){... on Runs{results{runId}}}}"
    assert len(api.dagster.graphql(query, t=[tag])["runsOrError"]["results"]) == 1


def test_while_the_webserver_is_dead_reads_go_on_and_launches_say_so(api: Api) -> None:
    api.dagster.kill("webserver")
    asset = "ai-catalog/assets/tiny.bronze.one"
    until(lambda: api.http.get(asset).json()["stale_since"] is not None, 60, "staleness")
    refused = api.http.post(f"{asset}:materialize", json={})
    assert refused.status_code == 503
    assert "retry-after" in refused.headers
    api.dagster.start("webserver")
    until(lambda: api.http.get(asset).json()["stale_since"] is None, 60, "recovery")
    id = api.post(f"{asset}:materialize", {})["id"]
    assert api.followed(id, lambda now: now["finished_at"])["state"] == "SUCCEEDED"


def test_a_retrieval_continues_with_the_part_that_is_missing(api: Api) -> None:
    """Killed between two parts: the next process joins the rest, and stores one version with all rows."""
    database = Database(api.dagster.settings.effective_database_url)
    token = issue_token(database, "admin", label="test", expires=clock.now() + timedelta(hours=1))
    tables = Tables.from_settings(api.dagster.settings, database)
    count = 800_000
    at = pa.array([clock.now()] * count, pa.timestamp("us", "UTC"))
    tables.overwrite("tiny.silver.people", pa.table({"person": range(count), "predicted_at": at, "age": range(count)}))
    admin = httpx.Client(base_url=f"{api.url}/api/v1/", headers={"authorization": f"Bearer {token}"}, timeout=60)

    def made(path: str, body: Any) -> Any:
        return admin.post(path, json=body).raise_for_status().json()

    made("admin/projects", {"name": "tiny", "spec": {"title": "T"}})
    for kind, name, spec in (
        ("entities", "person", {"title": "P", "keys": [{"name": "person", "type": "INTEGER"}]}),
        ("feature-views", "people", {"title": "P", "entity_id": "person", "asset": "tiny.silver.people"}),
        ("feature-services", "ages", {"title": "A", "views": [{"view_id": "people"}]}),
    ):
        made(f"ai-catalog/{kind}", {"name": name, "spec": spec, "project_id": "tiny"})
    spine = pa.table({"person": range(count), "asked_at": at})
    tables.overwrite("tiny.bronze.asked", spine)
    body = {"name": "ages", "table": {"asset": "tiny.bronze.asked", "timestamp": "asked_at"}}
    id = made("ai-catalog/feature-services/ages:retrieve", body)["id"]
    before = api.followed(id, lambda now: now["progress"]["done"] >= 2)
    assert before["state"] == "RUNNING"
    api.kill()
    api.start()
    operation = api.followed(id, lambda now: now["finished_at"])
    admin.close()
    assert (operation["state"], operation["result"]["rows"]) == ("SUCCEEDED", count)
    rows = tables.snapshot("tiny.retrievals.ages").to_arrow()
    assert (rows.num_rows, len(rows["person"].unique()), rows["age"].null_count) == (count, count, 0)
    assert [one.version for one in tables.history("tiny.retrievals.ages")] == [0]
    database.close()
