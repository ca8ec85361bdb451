"""The whole platform by settings alone: PostgreSQL, an S3-compatible store, Apache Spark, and two API processes.

The sample runs there from the first file to the last round, and both API processes answer alike, also about what the
other one changed.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.databases import new_database
from tests.ports import free_ports
from tests.running_platform import ROOT, Running, started
from tests.s3_store import s3_store

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]


@dataclass(frozen=True)
class AtScale:
    """A platform and the address of its second API process."""

    platform: Running
    second: str


@pytest.fixture(scope="module")
def store() -> Iterator[dict[str, str]]:
    """Options of an S3-compatible store with the bucket `lake`."""
    with s3_store("lake") as options:
        yield options


@pytest.fixture(scope="module")
def scale(tmp_path_factory: pytest.TempPathFactory, postgresql: str, store: dict[str, str]) -> Iterator[AtScale]:
    home = tmp_path_factory.mktemp("scale")
    with new_database(postgresql) as metadata, new_database(postgresql) as dagster:
        variables = {
            "HEADWATER_DATABASE_URL": metadata,
            "HEADWATER_DAGSTER_DATABASE_URL": dagster.replace("postgresql+psycopg://", "postgresql://"),
            "HEADWATER_LAKEHOUSE_URL": "s3://lake/tables",
            "HEADWATER_STORAGE_OPTIONS": json.dumps(store),
            "HEADWATER_SPARK": "local",
        }
        with started(home, **variables) as platform, SecondProcess(platform, home / "second.log") as url:
            yield AtScale(platform, url)


class SecondProcess:
    """`headwater up --services` on the databases and stores of a running platform."""

    def __init__(self, platform: Running, log: Path) -> None:
        port = free_ports(1)
        loopback = f"http://127.0.0.1:{int(platform.environment['HEADWATER_PORT']) + 1}"
        self.url = f"http://127.0.0.1:{port}"
        self.environment = platform.environment | {"HEADWATER_PORT": str(port), "HEADWATER_DAGSTER_URL": loopback}
        self.log = log

    def __enter__(self) -> str:
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "api.cli", "up", "--services", "admin,ai-catalog,ai-system,rag"],
                cwd=ROOT,
                env=self.environment,
                stdout=output,
                stderr=output,
            )
        while True:
            assert self.process.poll() is None, self.log.read_text()
            with suppress(httpx.TransportError):
                if httpx.get(f"{self.url}/health/live", timeout=5).is_success:
                    return self.url
            time.sleep(0.2)

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(60)


def clients(scale: AtScale) -> tuple[httpx.Client, httpx.Client]:
    token = scale.platform.headwater("token").stdout.strip()
    headers = {"authorization": f"Bearer {token}"}
    first, second = (
        httpx.Client(base_url=f"{url}/api/v1", headers=headers, timeout=120)
        for url in (scale.platform.url, scale.second)
    )
    return first, second


def test_the_sample_runs_and_two_processes_answer_alike(scale: AtScale) -> None:
    first, second = clients(scale)
    with first, second:
        assets = first.get("/ai-catalog/assets", params={"page_size": 500}).raise_for_status().json()["items"]
        made = {asset["id"]: asset["data_version"] for asset in assets if asset["id"].startswith("flights.")}
        unmade = [id for id, version in made.items() if version is None and not id.endswith("_quarantine")]
        assert unmade == []
        assert [asset["id"] for asset in assets if asset["health"] == "DEGRADED"] == []

        sql = "SELECT count(*) AS n FROM flights.silver.flights"
        counts = [
            client.post("/ai-catalog/queries:run", json={"sql": sql}).raise_for_status().json()
            for client in (first, second)
        ]
        assert counts[0] == counts[1]
        assert counts[0]["rows"] == [[336_776]]

        flight = {"instances": [{"flight_id": "20131209-UA708-EWR"}]}
        predictions = [
            client.post("/ai-system/models/flights.models.arrival_delay:predict", json=flight).raise_for_status().json()
            for client in (first, second)
        ]
        assert predictions[0] == predictions[1]
        hits = [
            client.post("/rag/indexes/flights.index.handbook:search", json={"query": "late flights", "k": 3})
            .raise_for_status()
            .json()["hits"]
            for client in (first, second)
        ]
        assert hits[0] == hits[1]
        assert len(hits[0]) == 3


def test_a_change_in_one_process_holds_in_the_other(scale: AtScale) -> None:
    first, second = clients(scale)
    with first, second:
        body = {"name": "ana", "spec": {"title": "Ana"}}
        user = first.post("/admin/users", json=body).raise_for_status().json()
        assert second.get(f"/admin/users/{user['id']}").raise_for_status().json() == user
        issued = second.post("/admin/api-keys", json={"label": "short"}).raise_for_status().json()
        key = {"authorization": f"Bearer {issued['secret']}"}
        assert first.get("/admin/users", headers=key).status_code == 200
        second.post(f"/admin/api-keys/{issued['id']}:revoke", json={}).raise_for_status()
        while first.get("/admin/users", headers=key).status_code != 401:
            time.sleep(0.1)


def test_apache_spark_made_its_table_on_the_store(scale: AtScale) -> None:
    first, second = clients(scale)
    with first, second:
        for client in (first, second):
            found = client.get("/ai-catalog/assets/flights.gold.route_delays/provenance").raise_for_status().json()
            assert found["materializations"][0]["engine"].startswith("spark "), found
        metadata = first.get("/ai-catalog/assets/flights.gold.route_delays").raise_for_status().json()["metadata"]
        assert metadata["delta/uri"].startswith("s3://lake/tables/")
