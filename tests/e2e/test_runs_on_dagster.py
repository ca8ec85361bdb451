"""A pipeline over partitions on real Dagster processes: each runs once, and one that failed is retried alone."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from api.gateways.dagster.client import DagsterClient
from api.gateways.dagster.orchestrator import DagsterOrchestrator
from api.main import create_app
from core import clock
from core.db import Database
from core.pipelines import PUBLISHED_PIPELINE
from lakehouse.tables import Tables
from tests.api_process import prepare
from tests.api_server import Server
from tests.dagster_processes import DagsterProcesses
from tests.e2e.console_pages import built
from tests.e2e.login_pages import Site, browsed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

PROJECT = """
import os
from pathlib import Path

import dagster as dg
import pyarrow as pa

from resources.delta import Delta, materialized

HOME = Path(os.environ["HEADWATER_HOME"])
DAYS = dg.StaticPartitionsDefinition(["mon", "tue", "wed", "thu", "fri"])
ORDERS = dg.AssetKey(["shop", "raw", "orders"])


def append(context, delta):
    step = delta.step(context)
    orders = step.read("shop.raw.orders").row_count
    return materialized(context, step.append(pa.table({"day": [context.partition_key], "orders": [orders]})))


@dg.asset(key=["shop", "gold", "clean"], deps=[ORDERS], partitions_def=DAYS)
def clean(context: dg.AssetExecutionContext, delta: Delta):
    return append(context, delta)


@dg.asset(key=["shop", "gold", "totals"], deps=[clean, ORDERS], partitions_def=DAYS)
def totals(context: dg.AssetExecutionContext, delta: Delta):
    if context.partition_key == "wed" and not (HOME / "repaired").exists():
        raise ValueError("wednesday is not ready")
    return append(context, delta)


defs = dg.Definitions(
    assets=[clean, totals],
    resources={"delta": Delta()},
    executor=dg.in_process_executor,
)
"""
ORDERS, CLEAN, TOTALS = "shop.raw.orders", "shop.gold.clean", "shop.gold.totals"
DAYS = ["mon", "tue", "wed", "thu", "fri"]
FINAL = {"SUCCEEDED", "FAILED", "CANCELED"}


class OverDagster(Server):
    """The API over the Dagster of some processes."""

    def __init__(self, processes: DagsterProcesses) -> None:
        dagster = DagsterOrchestrator(DagsterClient.from_settings(processes.settings))
        app = create_app(processes.settings, orchestrator=dagster)
        app.add_background_task(dagster.start, dagster.stop)
        self._bind(app, processes.settings)


class Shop:
    """The platform with the files that its assets look at, and its tables."""

    def __init__(self, site: Site, processes: DagsterProcesses) -> None:
        self.site = site
        self.home = processes.settings.home
        self.database = Database(processes.settings.effective_database_url)
        self.tables = Tables.from_settings(processes.settings, self.database)

    def get(self, path: str, **params: Any) -> Any:
        return self.site.admin.get(f"../{path}", params=params).raise_for_status().json()

    def post(self, path: str, **body: Any) -> Any:
        return self.site.post(f"../{path}", body)

    def ended(self, operation: dict[str, Any]) -> dict[str, Any]:
        path = f"operations/{operation['id']}"
        found: dict[str, Any] = until(lambda: found if (found := self.get(path))["state"] in FINAL else None)
        return found

    def order(self) -> None:
        self.tables.append(ORDERS, pa.table({"n": [1]}))

    def rows(self, asset: str) -> list[dict[str, Any]]:
        return list(self.tables.snapshot(asset).to_arrow().to_pylist())

    def states(self, asset: str) -> dict[str, str]:
        found = self.get(f"ai-catalog/assets/{asset}/partitions")
        return dict(zip(found["keys"], found["states"], strict=True))

    def runs(self, pipeline: str) -> list[dict[str, Any]]:
        return list(self.get("ai-catalog/pipeline-runs", pipeline=pipeline)["items"])

    def pipeline(self, name: str) -> str:
        """A pipeline that is published. Its job would only matter to the Dagster UI."""
        spec = {"title": name, "assets": [CLEAN, TOTALS]}
        found = self.post("ai-catalog/pipelines", name=name, project_id="shop", spec=spec)
        values = {"id": found["id"], "project": "shop", "job": name, "revision": found["version"], "config": {}}
        published = {"published_at": clock.now(), "published_by": "admin", "published_by_id": "admin"}
        with self.database.write() as connection:
            connection.execute(PUBLISHED_PIPELINE.insert().values(**values, **published, spec=found["spec"]))
        return str(found["id"])


def until(condition: Callable[[], Any], seconds: float = 240) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.1)
    return found


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    built()
    code: Path = tmp_path_factory.mktemp("code")
    (code / "shop_project.py").write_text(PROJECT)
    processes = DagsterProcesses(tmp_path_factory.mktemp("home"), {"flights": "shop_project"}, code=code)
    prepare(processes.settings)
    with (
        processes,
        OverDagster(processes) as server,
        browsed(server.url, server.tokens["admin"]) as site,
    ):
        site.post("projects", {"name": "shop", "spec": {"title": "Shop"}})
        shop = Shop(site, processes)
        shop.order()
        until(lambda: site.admin.get(f"../ai-catalog/assets/{TOTALS}").status_code == 200)
        yield shop
        shop.database.close()


def test_a_backfill_runs_each_partition_once_and_one_is_retried_with_what_it_had_read(shop: Shop) -> None:
    id = shop.pipeline("week")
    operation = shop.ended(shop.post(f"ai-catalog/pipelines/{id}:backfill", all_partitions=True))
    assert (operation["state"], operation["progress"]) == ("FAILED", {"done": 10, "total": 10})
    runs = {run["partition"]: run for run in shop.runs(id)}
    assert Counter(run["partition"] for run in shop.runs(id)) == Counter(DAYS)
    assert {day: run["state"] for day, run in runs.items()} == dict.fromkeys(DAYS, "SUCCEEDED") | {"wed": "FAILED"}
    assert sorted(row["day"] for row in shop.rows(CLEAN)) == sorted(DAYS)
    assert shop.states(TOTALS) == dict.fromkeys(DAYS, "MATERIALIZED") | {"wed": "FAILED"}
    read = shop.tables.snapshot(ORDERS).data_version

    shop.order()
    (shop.home / "repaired").touch()
    again = shop.ended(shop.post(f"ai-catalog/pipeline-runs/{runs['wed']['id']}:retry"))
    assert again["state"] == "SUCCEEDED", again["error"]
    (retry,) = again["runs"]
    assert [(one["asset"], one["partition"]) for one in again["produced"]] == [(TOTALS, "wed")]
    graph = shop.get(f"ai-catalog/pipeline-runs/{retry}/graph")
    # The step of the other asset isn't repeated, so it reads nothing.
    assert {one["input_version"] for one in graph["edges"] if one["input"] == ORDERS} == {read, None}
