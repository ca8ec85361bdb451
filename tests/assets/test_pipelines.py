"""Pipelines as jobs of Dagster: a retry reads what the failed run read, and a broken pipeline breaks nothing else.

The kind: a retry that reads a version that appeared meanwhile, makes again what had succeeded, or whose lineage names
other versions than were read; and a pipeline that runs with fewer assets than it names.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest

from assets.published import PublishedAssets
from assets.rows import Row, definitions_of
from core import clock
from core.db import Database
from core.ids import asset_key
from core.pipelines import PIPELINE_TAG, PublishedPipeline
from core.settings import load_settings
from dagster_project.shared_definitions import complete_published, with_policies_and_sensors
from jobs.pipelines import pipelines_of
from lakehouse import pipeline_inputs
from lakehouse.lineage import Lineage
from lakehouse.tables import Tables
from resources.delta import Delta
from tests import slices

ORDERS, PRICES = "shop.raw.orders", "shop.raw.prices"
CLEAN, TOTALS = "shop.gold.clean", "shop.gold.totals"
FAILS = f"SELECT CASE WHEN count(*) > 0 THEN error('no') ELSE 'x' END AS n FROM {CLEAN}, {PRICES}"
WORKS = f"SELECT (SELECT sum(n) FROM {CLEAN}) AS orders, (SELECT sum(n) FROM {PRICES}) AS prices"

pytestmark = pytest.mark.filterwarnings("ignore:Function `Definitions.map:dagster.PreviewWarning")

PIPELINE = PublishedPipeline(
    id="pln_1",
    job="nightly",
    revision=3,
    title="Nightly",
    description="",
    assets=(CLEAN, TOTALS),
    config={},
    parameters={},
    overlap="PARALLEL",
    retries=0,
    retry_delay_seconds=0,
    published_by="ann",
)


class Shop:
    """Two tables of another system, and two assets over them. The second one fails until it is repaired."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.tables: Tables = slices.open_tables()
        self.database = Database(load_settings().effective_database_url)
        self.add(ORDERS, 1)
        self.add(PRICES, 10)
        self.pipeline = PIPELINE
        self.totals = FAILS

    def add(self, table: str, *numbers: int) -> None:
        self.tables.append(table, pa.table({"n": list(numbers)})) if self.tables.exists(table) else (
            self.tables.create_with(table, pa.table({"n": list(numbers)}))
        )

    @property
    def assets(self) -> dg.Definitions:
        sql = {CLEAN: f"SELECT n FROM {ORDERS}", TOTALS: self.totals}
        rows = [
            Row(asset, "SqlTransformComponent", {"asset": asset, "description": "x", "sql": text})
            for asset, text in sql.items()
        ]
        return definitions_of(rows)

    @property
    def definitions(self) -> dg.Definitions:
        assets = self.assets
        shared = dg.Definitions(resources={"delta": Delta()}, executor=dg.in_process_executor)
        return dg.Definitions.merge(assets, shared, pipelines_of([self.pipeline], assets))

    def run(self, retries: str = "") -> Any:
        """Runs the pipeline, or retries a run from its failed step, and returns the result."""
        _jobs.append(self.definitions.get_repository_def().get_job(PIPELINE.job))
        options = dg.ReexecutionOptions.from_failure(retries, self.instance) if retries else None
        # With a number, because Dagster keeps the job that a function has returned for its arguments.
        job = dg.build_reconstructable_job(__name__, "job_number", (len(_jobs) - 1,))
        return dg.execute_job(job, instance=self.instance, reexecution_options=options, raise_on_error=False)

    def versions_read(self, asset: str) -> dict[str, str]:
        edges = Lineage(self.database).provenance(asset, self.tables.snapshot(asset).data_version)
        return {edge.in_asset: edge.in_version for edge in edges}

    def rows(self, asset: str) -> list[dict[str, Any]]:
        return list(self.tables.snapshot(asset).to_arrow().to_pylist())


_jobs: list[dg.JobDefinition] = []


def job_number(number: int) -> dg.JobDefinition:
    return _jobs[number]


@pytest.fixture
def shop(home: Path) -> Iterator[Shop]:
    with dg.instance_for_test() as instance:
        yield Shop(instance)


def test_a_retry_reads_the_versions_of_the_failed_run(shop: Shop) -> None:
    failed = shop.run()
    assert not failed.success
    clean, orders, prices = (shop.tables.snapshot(name).data_version for name in (CLEAN, ORDERS, PRICES))
    shop.add(ORDERS, 2)
    shop.add(PRICES, 20)
    assert shop.tables.pins.versions(PRICES) == [0], "a vacuum keeps what the retry reads"
    shop.totals = WORKS
    retry = shop.run(failed.run_id)
    assert retry.success
    assert shop.rows(TOTALS) == [{"orders": 1, "prices": 10}]
    assert shop.versions_read(TOTALS) == {CLEAN: clean, PRICES: prices}
    assert shop.tables.snapshot(CLEAN).data_version == clean, "what succeeded isn't made again"
    assert pipeline_inputs.inputs_of(shop.database, failed.run_id) == {CLEAN: clean, ORDERS: orders, PRICES: prices}
    event = shop.instance.get_latest_materialization_event(dg.AssetKey(asset_key(TOTALS)))
    assert event is not None
    assert event.asset_materialization is not None
    tags = event.asset_materialization.tags or {}
    assert tags["dagster/input_data_version/shop/raw/prices"] == prices, "Dagster shows the result as stale"
    assert tags["dagster/data_version"] == shop.tables.snapshot(TOTALS).data_version


def test_a_retry_reads_what_its_own_run_made_and_not_what_another_made_since(shop: Shop) -> None:
    failed = shop.run()
    clean = shop.tables.snapshot(CLEAN).data_version
    shop.add(ORDERS, 2)
    other = shop.run()
    assert not other.success
    assert shop.tables.snapshot(CLEAN).row_count == 2
    shop.totals = WORKS
    assert shop.run(failed.run_id).success
    assert shop.versions_read(TOTALS)[CLEAN] == clean
    assert shop.run(other.run_id).success
    assert shop.rows(TOTALS) == [{"orders": 3, "prices": 10}]


def test_a_second_retry_reads_the_same_versions_and_a_new_run_the_newest(shop: Shop) -> None:
    failed = shop.run()
    shop.add(PRICES, 20)
    again = shop.run(failed.run_id)
    assert not again.success
    shop.totals = WORKS
    assert shop.run(again.run_id).success
    assert shop.rows(TOTALS) == [{"orders": 1, "prices": 10}]
    assert shop.run().success
    assert shop.rows(TOTALS) == [{"orders": 1, "prices": 30}]


def test_a_step_that_is_repeated_within_the_run_reads_the_same_versions(shop: Shop) -> None:
    shop.pipeline = dataclasses.replace(PIPELINE, retries=2)
    failed = shop.run()
    assert sum(event.event_type_value == "STEP_RESTARTED" for event in failed.all_events) == 2
    assert shop.tables.pins.versions(PRICES) == [0]


def test_runs_that_are_no_pipeline_read_the_newest_versions(shop: Shop) -> None:
    shop.totals = WORKS
    shop.run()
    shop.add(PRICES, 20)
    assert slices.run(shop.definitions, shop.instance, dg.AssetSelection.assets(dg.AssetKey(asset_key(TOTALS)))).success
    assert shop.rows(TOTALS)[0]["prices"] == 30


def test_old_records_are_released_with_their_pins(shop: Shop) -> None:
    failed = shop.run()
    assert pipeline_inputs.release(shop.database, clock.now() - timedelta(days=1)) == 0
    assert pipeline_inputs.release(shop.database, clock.now() + timedelta(days=1)) == 1
    assert pipeline_inputs.inputs_of(shop.database, failed.run_id) == {}
    assert shop.tables.pins.pins(holder=failed.run_id) == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"assets": (CLEAN, "shop.gold.gone")}, "shop.gold.gone can't be materialized any more."),
        ({"error": "no"}, "no"),
    ],
)
def test_a_pipeline_that_lacks_an_asset_or_is_blocked_runs_nothing(
    shop: Shop, change: dict[str, Any], reason: str
) -> None:
    shop.pipeline = dataclasses.replace(PIPELINE, cron="0 6 * * *", **change)
    dg.Definitions.validate_loadable(shop.definitions)
    result = shop.run()
    assert not result.success
    assert not shop.tables.exists(CLEAN)
    failures = [event for event in result.all_events if event.is_step_failure]
    assert reason in failures[0].step_failure_data.error.message
    assert tick(shop).skip_message == f"The pipeline can't run: {reason}"


def test_a_pipeline_that_dagster_refuses_keeps_no_other_from_loading(shop: Shop) -> None:
    published = PublishedAssets("shop", with_policies_and_sensors, complete_published, pipelines_of)
    refused = dataclasses.replace(PIPELINE, id="pln_2", job="refused", cron="never")
    found = published._examined([PIPELINE, refused], shop.assets)
    assert [bool(item.error) for item in found] == [False, True]
    built = dg.Definitions.merge(complete_published(shop.assets), pipelines_of(found, shop.assets))
    jobs = {job.name for job in built.get_repository_def().get_all_jobs()}
    assert {"nightly", "refused"} <= jobs


def test_a_schedule_names_the_pipeline_and_never_doubles_a_time(shop: Shop) -> None:
    shop.pipeline = dataclasses.replace(PIPELINE, cron="0 6 * * *", timezone="Europe/Berlin", parameters={"day": 1})
    schedule = shop.definitions.resolve_schedule_def("nightly_schedule")
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("0 6 * * *", "Europe/Berlin")
    (request,) = tick(shop).run_requests
    assert request.run_key == due().isoformat()
    assert request.tags[PIPELINE_TAG] == "pln_1"
    assert request.tags["headwater/pipeline_revision"] == "3"
    assert json.loads(request.tags["headwater/pipeline_parameters"]) == {"day": 1}
    assert request.tags["headwater/principal"] == "schedule:nightly_schedule"


def test_missed_times_are_skipped_only_if_asked_for(shop: Shop) -> None:
    shop.pipeline = dataclasses.replace(PIPELINE, cron="0 6 * * *")
    yesterday = due() - timedelta(days=1)
    assert tick(shop, yesterday).run_requests
    shop.pipeline = dataclasses.replace(shop.pipeline, catch_up="SKIP")
    assert "was missed" in str(tick(shop, yesterday).skip_message)
    assert tick(shop).run_requests


def test_a_schedule_skips_while_a_run_is_active(shop: Shop) -> None:
    shop.pipeline = dataclasses.replace(PIPELINE, cron="0 6 * * *", overlap="SKIP")
    assert tick(shop).run_requests
    run = shop.instance.create_run_for_job(
        shop.definitions.resolve_job_def("nightly"), tags={PIPELINE_TAG: "pln_1"}, status=dg.DagsterRunStatus.STARTED
    )
    assert tick(shop).skip_message == "A run of the pipeline is active."
    shop.instance.report_run_failed(run)
    assert tick(shop).run_requests


def due() -> datetime:
    return clock.now().astimezone(UTC).replace(microsecond=0)


def tick(shop: Shop, at: datetime | None = None) -> Any:
    repository = shop.definitions.get_repository_def()
    context = dg.build_schedule_context(shop.instance, scheduled_execution_time=at or due(), repository_def=repository)
    return repository.get_schedule_def("nightly_schedule").evaluate_tick(context)
