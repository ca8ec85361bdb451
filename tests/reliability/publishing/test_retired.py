"""Real processes: a retired definition is out of automation permanently, keeps all it made, and comes back as it was.

The kind: something that can be made and never unmade, or that ends for some who launch it and not for others.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import psutil
import pyarrow as pa
import pytest

from core import publications
from core.errors import InvalidPayload
from dagster_project.workers import WORKER_TAG, Worker
from lakehouse.lineage import Lineage
from tests.dagster_processes import LAUNCH, until
from tests.reliability.publishing.desk import INPUT, Desk

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ACCEPT = {"headwater/accept_unchecked": "true"}
"""The input was made by the test, not by its asset, so nothing has checked it."""

BASE = "flights.gold.retire_base"
FROM_BASE = f"SELECT origin, flights FROM {BASE}"
REEXECUTE = """mutation($p:ReexecutionParams!){launchRunReexecution(reexecutionParams:$p){__typename
  ... on LaunchRunSuccess{run{runId}}}}"""
BACKFILL = """mutation($p:LaunchBackfillParams!){launchPartitionBackfill(backfillParams:$p){__typename
  ... on LaunchBackfillSuccess{backfillId}}}"""
ENDED = ("COMPLETED", "COMPLETED_SUCCESS", "COMPLETED_FAILED", "FAILED", "CANCELED")
BACKFILL_STATE = """query($i:String!){partitionBackfillOrError(backfillId:$i){
  ... on PartitionBackfill{status isActive:isAssetBackfill runs{runId}}}}"""
RUNS = "{runsOrError{... on Runs{results{runId status assetSelection{path}}}}}"
NODE = """query($k:[AssetKeyInput!]){assetNodes(assetKeys:$k){
  isExecutable automationCondition{label} dependencyKeys{path} kinds description
  owners{... on TeamAssetOwner{team}}}}"""
TICKS = """{sensorOrError(sensorSelector:{repositoryLocationName:"published",repositoryName:"__repository__",
  sensorName:"published_automation"}){... on Sensor{sensorState{ticks(limit:20){status timestamp}}}}}"""
SENSORS = """{sensorsOrError(
  repositorySelector:{repositoryLocationName:"published",repositoryName:"__repository__"}){
  ... on Sensors{results{name}}}}"""


def flights(count: int) -> pa.Table:
    return pa.table({"origin": [f"A{number % 5}" for number in range(count)]})


def key(asset: str) -> dict[str, list[str]]:
    return {"path": asset.split(".")}


def make(desk: Desk, asset: str) -> str:
    run_id = desk.platform.launch(asset.split("."), location="published", tags=ACCEPT)
    assert desk.platform.finish(run_id, 180) == "SUCCESS"
    return run_id


def runs_of(desk: Desk, asset: str) -> list[dict[str, Any]]:
    runs = desk.platform.graphql(RUNS)["runsOrError"]["results"]
    return [run for run in runs if key(asset) in (run["assetSelection"] or [])]


class TestRetired:
    def test_out_of_automation_readable_and_back_again(self, desk: Desk) -> None:
        asset, witness = "flights.gold.retire_me", "flights.gold.retire_witness"
        desk.publish(desk.write(BASE))
        desk.publish(desk.write(asset, sql=FROM_BASE, automation="eager", owners=["team:delays"]))
        desk.publish(desk.write(witness, sql=FROM_BASE, automation="eager"))
        wait_for_evaluation(desk)
        make(desk, BASE)
        until(lambda: ended(desk, asset) and ended(desk, witness), 240, "both follow by their condition", 1)
        desk.retire(asset)
        assert desk.shown_as(asset) == "RETIRED"
        (node,) = desk.platform.graphql(NODE, k=[key(asset)])["assetNodes"]
        expected = {"isExecutable": False, "automationCondition": None, "dependencyKeys": []}
        assert node == expected | {
            "kinds": node["kinds"],
            "owners": [{"team": "delays"}],
            "description": "A test table.",
        }
        assert "duckdb" in node["kinds"]

        tables = desk.tables
        before, edges = tables.history(asset), Lineage(desk.database).provenance(asset, data_version(desk, asset))
        assert edges
        assert edges[0].in_asset == BASE
        former = [run["runId"] for run in runs_of(desk, asset)]
        witnessed = len(runs_of(desk, witness))
        tables.overwrite(INPUT, flights(40))
        wait_for_evaluation(desk)
        make(desk, BASE)
        until(lambda: len(runs_of(desk, witness)) > witnessed, 240, "what is live follows", 1)
        assert [run["runId"] for run in runs_of(desk, asset)] == former

        launched, again, backfill = dagsters_own_ways(desk, asset, former[0])
        assert (launched, again) == (None, None)
        if backfill is not None:
            until(lambda: backfill_state(desk, backfill)["status"] in ENDED, 240, "the end of the backfill", 1)
            assert backfill_state(desk, backfill)["runs"] == []
        assert [run["runId"] for run in runs_of(desk, asset)] == former
        assert tables.history(asset) == before
        assert tables.snapshot(asset, version=before[-1].version).row_count == 3

        desk.reinstate(asset)
        assert desk.shown_as(asset) == "LIVE"
        make(desk, asset)
        after = tables.history(asset)
        assert [commit.version for commit in after] == [before[0].version + 1, *(commit.version for commit in before)]
        assert tables.snapshot(asset).table_id == tables.snapshot(asset, version=before[-1].version).table_id
        (node,) = desk.platform.graphql(NODE, k=[key(asset)])["assetNodes"]
        assert node["automationCondition"] is not None
        assert node["dependencyKeys"] == [key(BASE)]

    def test_a_landing_table_loses_its_sensor_and_its_quarantine_goes_with_it(self, desk: Desk) -> None:
        asset = "flights.bronze.retire_landing"
        columns = {"origin": {"type": "string"}}
        landing = {"source": {"kind": "landing", "pattern": "*.csv"}, "columns": columns}
        desk.write(asset)
        with desk.database.write() as connection:
            content = {"asset": asset, "description": "Landed.", **landing}
            values = {"component": "DatasetComponent", "attributes": content}
            connection.execute(publications.DEFINITION.update().where(_is(asset)).values(**values))
        desk.publish(asset)
        sensor = "landing__flights__bronze__retire_landing"
        assert sensor in sensors(desk)
        desk.retire(asset)
        assert sensor not in sensors(desk)
        assert [desk.shown_as(name) for name in (asset, f"{asset}_quarantine")] == ["RETIRED", "RETIRED"]
        desk.reinstate(asset)
        assert sensor in sensors(desk)

    def test_a_run_in_progress_ends_as_it_was_planned(self, desk: Desk) -> None:
        asset = desk.write("flights.gold.retire_running")
        desk.publish(asset)
        worker, run_id = caught(desk, asset)
        desk.retire(asset)
        assert desk.shown_as(asset) == "RETIRED"
        assert desk.platform.status(run_id) in ("STARTING", "STARTED")
        os.kill(worker.pid, signal.SIGCONT)
        assert desk.platform.finish(run_id, 120) == "SUCCESS"
        assert desk.tables.exists(asset)

    def test_what_its_component_can_no_longer_build_stays_told(self, desk: Desk) -> None:
        asset = desk.write("flights.gold.retire_broken")
        desk.publish(asset)
        with desk.database.write() as connection:
            broken = {"published_component": "GoneComponent"}
            connection.execute(publications.DEFINITION.update().where(_is(asset)).values(**broken))
        desk.reconcile()
        assert desk.shown_as(asset) == "BROKEN"
        desk.retire(asset)
        assert desk.shown_as(asset) == "RETIRED"
        with pytest.raises(InvalidPayload):
            desk.reinstate(asset)
        assert desk.shown_as(asset) == "RETIRED"
        assert desk.row(asset).retired_at is not None
        desk.reinstate(asset, edited=True)
        assert desk.shown_as(asset) == "LIVE"


def _is(asset: str) -> Any:
    return publications.DEFINITION.c.asset_id == asset


def sensors(desk: Desk) -> set[str]:
    return {sensor["name"] for sensor in desk.platform.graphql(SENSORS)["sensorsOrError"]["results"]}


def wait_for_evaluation(desk: Desk) -> None:
    """Returns after the next evaluation of the conditions of published assets.

    A condition counts what is new since its last evaluation, and not what an input and the asset itself made in between
    both.
    """
    begun = time.time()
    until(lambda: evaluated_at(desk) > begun, 120, "an evaluation of the conditions")


def evaluated_at(desk: Desk) -> float:
    """When the conditions of published assets were last evaluated to the end, in seconds since the epoch."""
    ticks = desk.platform.graphql(TICKS)["sensorOrError"]["sensorState"]["ticks"]
    return max((float(tick["timestamp"]) for tick in ticks if tick["status"] in ("SUCCESS", "SKIPPED")), default=0.0)


def ended(desk: Desk, asset: str) -> bool:
    return any(run["status"] == "SUCCESS" for run in runs_of(desk, asset))


def data_version(desk: Desk, asset: str) -> str:
    return desk.tables.snapshot(asset).data_version


def caught(desk: Desk, asset: str) -> tuple[Worker, str]:
    """A run of the asset that has begun and stands still."""
    for _ in range(10):
        run_id = desk.platform.launch(asset.split("."), location="published", tags=ACCEPT)
        until(lambda run_id=run_id: WORKER_TAG in desk.platform.tags(run_id), 60, "the worker")  # type: ignore[misc]
        worker = Worker.from_tag(desk.platform.tags(run_id)[WORKER_TAG])
        assert worker is not None
        while stopped(worker):
            if not locked(desk):
                if desk.platform.status(run_id) in ("STARTING", "STARTED"):
                    return worker, run_id
                os.kill(worker.pid, signal.SIGCONT)
                break
            os.kill(worker.pid, signal.SIGCONT)
            time.sleep(0.01)
        desk.platform.finish(run_id)
    raise AssertionError("every run had ended before it could be stopped")


def stopped(worker: Worker) -> bool:
    """Stops the process and returns whether it was still there to be stopped."""
    try:
        os.kill(worker.pid, signal.SIGSTOP)
        process = psutil.Process(worker.pid)
        while process.status() not in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE):
            time.sleep(0.005)
        return process.status() == psutil.STATUS_STOPPED
    except (ProcessLookupError, psutil.NoSuchProcess):
        return False


def locked(desk: Desk) -> bool:
    """Whether a process holds the write lock of a database: one that stands still would hold it forever."""
    for file in desk.platform.settings.home.rglob("*.db"):
        with closing(sqlite3.connect(file, timeout=0.2, isolation_level=None)) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("ROLLBACK")
            except sqlite3.OperationalError:
                return True
    return False


def backfill_state(desk: Desk, id: str) -> dict[str, Any]:
    state: dict[str, Any] = desk.platform.graphql(BACKFILL_STATE, i=id)["partitionBackfillOrError"]
    return state


def dagsters_own_ways(desk: Desk, asset: str, former_run: str) -> Sequence[str | None]:
    """Ids of what Dagster's buttons and its API launch: a run of the asset, a former run again, a backfill."""
    selector = {
        "repositoryLocationName": "published",
        "repositoryName": "__repository__",
        "jobName": "__ASSET_JOB",
        "assetSelection": [key(asset)],
    }
    again = {"parentRunId": former_run, "strategy": "ALL_STEPS", "useParentRunTags": True}
    answers = (
        desk.platform.graphql(LAUNCH, p={"selector": selector, "runConfigData": {}})["launchRun"],
        desk.platform.graphql(REEXECUTE, p=again)["launchRunReexecution"],
        desk.platform.graphql(BACKFILL, p={"assetSelection": [key(asset)], "allPartitions": True}).get(
            "launchPartitionBackfill"
        ),
    )
    return [(answer.get("run") or {}).get("runId") or answer.get("backfillId") for answer in answers]
