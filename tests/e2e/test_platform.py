"""A whole platform through the handles that scripts rely on. One platform serves all tests of this folder."""

from __future__ import annotations

import io
import json
import os
import signal
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import httpx
import psutil
import pyarrow as pa
import pytest

from dagster_project.workers import WORKER_TAG, Worker
from tests.e2e.test_asset_journeys import BY_KEYBOARD, BY_MOUSE
from tests.running_platform import PASSWORD, Running, make

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
FINAL = ("SUCCEEDED", "FAILED", "CANCELED")


def eventually(condition: Callable[[], Any], seconds: float = 240) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.2)
    raise AssertionError("did not happen in time")


def finished(client: httpx.Client, operation: dict[str, Any]) -> dict[str, Any]:
    def look() -> Any:
        found = client.get(f"operations/{operation['id']}").raise_for_status().json()
        return found if found["state"] in FINAL else None

    return eventually(look)


def materialized(client: httpx.Client, asset: str, **body: Any) -> dict[str, Any]:
    answer = client.post(f"ai-catalog/assets/{asset}:materialize", json=body)
    assert answer.status_code == 202, answer.text
    return finished(client, answer.json())


def test_the_first_start_runs_the_sample_and_says_so(platform: Running) -> None:
    status = json.loads(platform.headwater("status", "--json").stdout)
    assert status["state"] == "READY"
    assert status["sample"]["state"] == "SUCCEEDED"
    assert PASSWORD not in platform.output, "a given password is never printed"
    with platform.client() as client:
        assets = client.get("ai-catalog/assets", params={"page_size": 500}).json()["items"]
    assert {asset["id"] for asset in assets if asset["data_version"] is None and asset["executable"]} == set()
    # Other files that share the platform have made some fail.
    unhealthy = {asset["id"] for asset in assets if asset["health"] in ("DEGRADED", "UNKNOWN")}
    assert unhealthy <= {BY_MOUSE, BY_KEYBOARD}
    assert {"flights.models.arrival_delay", "flights.index.handbook", "flights.rounds.arrival_delay"} <= {
        asset["id"] for asset in assets
    }


def test_only_health_and_the_login_page_are_public(platform: Running) -> None:
    with httpx.Client(base_url=platform.url) as anonymous:
        for path in ("/health/live", "/health/ready", "/login"):
            assert anonymous.get(path).status_code == 200, path
        for path in (
            "/api/v1/ai-catalog/assets",
            "/api/v1/operations",
            "/api/openapi",
            "/dagster/graphql",
            "/dagster/",
        ):
            assert anonymous.get(path).status_code == 401, path
        assert anonymous.get("/", headers={"accept": "text/html"}).headers["location"].startswith("/login")


def test_a_second_start_does_not_repeat_the_first_run(platform: Running) -> None:
    with platform.client() as client:
        before = client.get("ai-catalog/assets/flights.bronze.flights").json()
    assert make("down", platform.environment).returncode == 0
    again = make("up", platform.environment, "DETACH=1")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "for the first time" not in again.stdout
    with platform.client() as client:
        assert client.get("ai-catalog/assets/flights.bronze.flights").json()["data_version"] == before["data_version"]


def test_a_materialization_over_rest_makes_a_version_with_its_lineage(platform: Running) -> None:
    asset = "flights.gold.carrier_punctuality"
    with platform.client() as client:
        operation = materialized(client, asset)
        assert operation["state"] == "SUCCEEDED", operation["error"]
        after = client.get(f"ai-catalog/assets/{asset}").json()
        history = client.get(f"ai-catalog/assets/{asset}/history").json()["items"]
        assert history[0]["data_version"] == after["data_version"]
        silver = client.get("ai-catalog/assets/flights.silver.flights").json()["data_version"]
        graph = client.get(f"ai-catalog/assets/{asset}/lineage", params={"direction": "upstream", "depth": 1}).json()
        assert {"flights.silver.flights": silver}.items() <= {
            edge["in_asset"]: edge["in_version"] for edge in graph["edges"]
        }.items()
        # A run that changes nothing keeps the version, and is one more of those that made it.
        materializations = client.get(f"ai-catalog/assets/{asset}/provenance").json()["materializations"]
        (materialization,) = [one for one in materializations if one["run"] == operation["runs"][0]]
        assert materialization["principal"] == "admin"


def test_logs_of_an_operation_stream_and_resume(platform: Running) -> None:
    with platform.client() as client:
        operation = materialized(client, "flights.bronze.airlines")
        path, headers = f"operations/{operation['id']}/logs", {"accept": "text/event-stream"}
        text = client.get(path, headers=headers).text
        ids = [line.removeprefix("id: ") for line in text.splitlines() if line.startswith("id: ")]
        assert "ASSET_MATERIALIZATION" in text
        rest = client.get(path, headers={**headers, "last-event-id": ids[len(ids) // 2]}).text
        resumed = [line.removeprefix("id: ") for line in rest.splitlines() if line.startswith("id: ")]
        assert resumed == ids[len(ids) // 2 + 1 :]


def test_rows_come_as_json_and_as_arrow(platform: Running) -> None:
    path = "ai-catalog/assets/flights.silver.flights/preview"
    with platform.client() as client:
        as_json = client.get(path, params={"page_size": 5}).json()
        arrow = client.get(path, params={"page_size": 5}, headers={"accept": "application/vnd.apache.arrow.stream"})
        table = pa.ipc.open_stream(io.BytesIO(arrow.content)).read_all()
        assert table.column("flight_id").to_pylist() == [row["flight_id"] for row in as_json["rows"]]
        following = client.get(path, params={"page_size": 5, "page_token": as_json["next_page_token"]}).json()
        assert following["offset"] == 5


@pytest.mark.parametrize(
    ("path", "status", "names"),
    [
        ("ai-catalog/assets/flights.gold.carrier_punctualty", 404, "carrier_punctuality"),
        ("ai-catalog/assets/flights.silver.flights/preview?columns=tailnumber", 400, "tailnum"),
        ("ai-catalog/assets/flights.silver.flights/preview?version=9999", 404, "9999"),
        ("ai-catalog/assets/flights.silver.flights/lineage?direction=sideways", 400, "direction"),
    ],
)
def test_what_does_not_exist_is_named_with_what_does(platform: Running, path: str, status: int, names: str) -> None:
    with platform.client() as client:
        answer = client.get(path)
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert names in answer.text


def test_a_question_is_answered_with_citations(platform: Running) -> None:
    with platform.client() as client:
        question = {"query": "How is a feature kept from knowing the future?", "k": 3}
        found = client.post("rag/indexes/flights.index.handbook:search", json=question).raise_for_status().json()
        version = client.get("ai-catalog/assets/flights.index.handbook").json()["data_version"]
    assert found["version"] == version
    assert "docs/explanation/point-in-time-features.md" in [hit["citation"]["document"] for hit in found["hits"]]
    assert all(hit["citation"]["chunk"] and hit["citation"]["version"] == version for hit in found["hits"])


def test_a_prediction_names_the_model_and_the_features_it_used(platform: Running) -> None:
    with platform.client() as client:
        flight = client.get("ai-catalog/assets/flights.features.departures/preview?page_size=1").json()["rows"][0]
        body = {"instances": [{"flight_id": flight["flight_id"]}]}
        answer = client.post("ai-system/models/flights.models.arrival_delay:predict", json=body).json()
        model = client.get("ai-catalog/assets/flights.models.arrival_delay").json()["data_version"]
        wrong = client.post(
            "ai-system/models/flights.models.arrival_delay:predict", json={"instances": [{"moon_phase": 1.0}]}
        )
    assert 0 < answer["predictions"][0]["probability"] < 1
    assert answer["model_data_version"] == model
    assert wrong.status_code == 422
    assert wrong.json()["errors"][0]["pointer"].startswith("/instances/0")


def test_schedules_and_sensors_start_and_stop(platform: Running) -> None:
    with platform.client() as client:
        for kind in ("schedules", "sensors"):
            items = client.get(f"ai-catalog/{kind}").json()["items"]
            assert items, kind
            path = f"ai-catalog/{kind}/{items[0]['id']}"
            for verb, state in (("stop", "STOPPED"), ("start", "RUNNING")):
                client.post(f"{path}:{verb}", json={}).raise_for_status()
                assert client.get(path).json()["state"] == state


def test_a_dropped_csv_is_loaded_and_its_bad_rows_are_kept_aside(platform: Running) -> None:
    asset = "flights.bronze.flights_landing"
    with platform.client() as client:
        columns = [c["name"] for c in client.get("ai-catalog/assets/flights.bronze.flights/schema").json()["columns"]]
        rows = client.get("ai-catalog/assets/flights.bronze.flights/preview?page_size=2").json()["rows"]
        before = client.get(f"ai-catalog/assets/{asset}/schema").json()["row_count"]
        lines = [",".join("" if row[name] is None else str(row[name]) for name in columns) for row in rows]
        broken = lines[0].replace("2013", "twenty", 1)
        folder = platform.home / "landing" / "flights" / "bronze" / "flights_landing"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "new.csv").write_text("\n".join([",".join(columns), *lines, broken]) + "\n")
        eventually(lambda: client.get(f"ai-catalog/assets/{asset}/schema").json()["row_count"] == before + 2)
        path = f"ai-catalog/assets/{asset}_quarantine/preview"
        eventually(lambda: "twenty" in client.get(path).text)


def test_a_definition_posted_over_rest_is_an_asset_in_seconds(platform: Running) -> None:
    definition = {
        "component": "SqlTransformComponent",
        "attributes": {
            "asset": "flights.gold.flights_by_route",
            "description": "Routes by number of flights.",
            "sql": "select origin, dest, count(*) as flights from flights.silver.flights group by all",
        },
    }
    asset = definition["attributes"]["asset"]  # type: ignore[index]
    with platform.client() as client:
        client.post("ai-catalog/definitions", json=definition).raise_for_status()
        client.post(f"ai-catalog/definitions/{asset}:publish", json={}).raise_for_status()
        eventually(lambda: client.get(f"ai-catalog/assets/{asset}").status_code == 200)
        assert materialized(client, asset)["state"] == "SUCCEEDED"
        assert client.get(f"ai-catalog/assets/{asset}/preview?page_size=1").json()["rows"][0]["flights"] > 0

        bad = {"component": "SqlTransformComponent", "attributes": {"asset": "flights.gold.bad", "sql": "selec 1"}}
        client.post("ai-catalog/definitions", json=bad)
        refused = client.post("ai-catalog/definitions/flights.gold.bad:publish", json={})
        assert refused.status_code == 422
        assert client.get("ai-catalog/assets/flights.gold.bad").status_code == 404
        assert client.get(f"ai-catalog/assets/{asset}").status_code == 200, "a bad one harms no other"


def test_a_viewer_can_look_at_dagster_but_not_change_it(platform: Running) -> None:
    password = "another password of this test"
    with platform.client() as client:
        made = client.post("admin/users", json={"name": "viewer", "spec": {}}).raise_for_status().json()
        client.post("admin/users/viewer:set-password", json={"password": password}).raise_for_status()
        right = {"principal_id": made["id"], "role_id": "rol_viewer", "securable_id": "platform"}
        client.post("admin/grants", json=right).raise_for_status()
    with closing(platform.login("viewer", password)) as browser:
        read = browser.post("/dagster/graphql", json={"query": "{ version }"})
        assert read.status_code == 200
        assert read.json()["data"]["version"]
        for mutation in (
            "mutation { reloadWorkspace { __typename } }",
            'mutation { wipeAssets(assetPartitionRanges: [{assetKey: {path: ["a", "b", "c"]}}]) { __typename } }',
            "mutation { launchMultipleRuns(executionParamsList: []) { __typename } }",
        ):
            assert browser.post("/dagster/graphql", json={"query": mutation}).status_code == 403
        assert browser.post("/dagster/report_asset_materialization/a").status_code == 403
        assert browser.post("/api/v1/ai-catalog/assets/flights.bronze.airlines:materialize", json={}).status_code == 403
    with closing(platform.login()) as admin:
        reload = {"query": 'mutation { reloadRepositoryLocation(repositoryLocationName: "published") { __typename } }'}
        assert admin.post("/dagster/graphql", json=reload).status_code == 200


def test_a_killed_worker_fails_its_operation_and_the_next_one_runs(platform: Running) -> None:
    asset = "flights.features.departures"
    with platform.client() as client:
        before = rows(platform, asset)
        operation = client.post(f"ai-catalog/assets/{asset}:materialize", json={}).json()
        [run] = eventually(lambda: client.get(f"operations/{operation['id']}").json()["runs"])
        worker = Worker.from_tag(eventually(lambda: tags(platform, run).get(WORKER_TAG)))
        assert worker
        os.kill(worker.pid, signal.SIGKILL)
        assert finished(client, operation)["state"] == "FAILED"
        assert rows(platform, asset) == before
        assert materialized(client, asset)["state"] == "SUCCEEDED"
        assert rows(platform, asset) == before


def rows(platform: Running, asset: str) -> int:
    answer = platform.headwater("query", f"select count(*) from {asset}")
    assert answer.returncode == 0, answer.stderr
    return int(answer.stdout.split()[-1])


def tags(platform: Running, run: str) -> dict[str, str]:
    """The tags of a run. Automation may start runs at any time, so only they tell whose process is whose."""
    query = "query($id: ID!) { runOrError(runId: $id) { ... on Run { tags { key value } } } }"
    with closing(platform.login()) as admin:
        answer = admin.post("/dagster/graphql", json={"query": query, "variables": {"id": run}}).raise_for_status()
    return {tag["key"]: tag["value"] for tag in answer.json()["data"]["runOrError"]["tags"]}


@pytest.mark.parametrize("name", ["api", "dagster-daemon", "dagster-webserver", "zygote", "code-flights"])
def test_a_killed_process_is_back_and_the_platform_works(platform: Running, name: str) -> None:
    def processes() -> dict[str, Any]:
        return {p["name"]: p for p in json.loads(platform.headwater("status", "--json").stdout)["processes"]}

    pid = processes()[name]["pid"]
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: processes()[name]["pid"] not in (None, pid) and processes()[name]["state"] == "READY")
    with platform.client() as client:

        def works() -> bool:
            try:
                return materialized(client, "flights.bronze.airlines")["state"] == "SUCCEEDED"
            except (httpx.HTTPError, AssertionError):
                return False

        eventually(works)


def test_no_secret_reaches_a_log_or_a_process_list(platform: Running) -> None:
    token = platform.headwater("token").stdout.strip()
    for secret in (PASSWORD, token):
        for path in (platform.home / "logs").glob("*"):
            assert secret not in path.read_text(errors="replace"), path
        for process in psutil.process_iter(["cmdline"]):
            assert secret not in " ".join(process.info["cmdline"] or ())
