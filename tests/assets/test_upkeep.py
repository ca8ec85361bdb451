"""Maintenance: merges small files, deletes unused ones, respects pins, repairs lineage."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
import sqlalchemy as sa

from core.errors import UnknownVersion
from jobs.maintenance import SMALL_FILES, hourly_maintenance, maintain_tables
from lakehouse.lineage import LINEAGE_EDGE, Lineage
from lakehouse.step import Step
from lakehouse.tables import Tables
from resources.delta import Delta
from tests import slices

TABLE = "p.s.t"


@pytest.fixture
def tables(home: Path) -> Tables:
    return slices.open_tables()


def write(tables: Tables, number: int, *, overwrite: bool = False) -> None:
    step = Step(
        tables, Lineage(tables.ledger._database), asset=TABLE, run=f"r{number}", step="s", code_version="1",
        engine="polars", principal="tester",
    )  # fmt: skip
    rows = pl.DataFrame({"n": [number]})
    step.overwrite(rows) if overwrite else step.append(rows)


def maintain(retention_hours: float = 168.0, *, succeeds: bool = True) -> dict[str, Any]:
    config = {"ops": {"maintain": {"config": {"retention_hours": retention_hours}}}}
    with dg.DagsterInstance.ephemeral() as instance:
        result = maintain_tables.execute_in_process(
            run_config=config, resources={"delta": Delta()}, instance=instance, raise_on_error=False
        )
    assert result.success == succeeds
    if not succeeds:
        failure = result.get_step_failure_events()[0].step_failure_data.user_failure_data
        assert failure
        return {name: value.value for name, value in failure.metadata.items()} | {"said": failure.description}
    (output,) = [event for event in result.all_events if event.is_successful_output]
    return dict(output.step_output_data.metadata["result"].value)


def test_many_small_files_become_few_and_the_rows_stay(tables: Tables) -> None:
    for number in range(SMALL_FILES):
        write(tables, number)
    before = tables.snapshot(TABLE)
    assert maintain()[TABLE]["optimized"] is True
    after = tables.snapshot(TABLE)
    assert before.file_count == SMALL_FILES
    assert after.file_count == 1
    assert sorted(after.to_arrow().column("n").to_pylist()) == list(range(SMALL_FILES))


def test_lineage_leads_through_an_optimized_version(tables: Tables) -> None:
    for number in range(SMALL_FILES):
        write(tables, number)
    before = tables.snapshot(TABLE).data_version
    maintain()
    (edge,) = Lineage(tables.ledger._database).provenance(TABLE, tables.snapshot(TABLE).data_version)
    assert (edge.in_asset, edge.in_version, edge.engine) == (TABLE, before, "delta-rs")


def test_a_table_of_few_files_is_left_alone(tables: Tables) -> None:
    write(tables, 1)
    version = tables.snapshot(TABLE).version
    assert maintain()[TABLE] == {"optimized": False, "deleted_files": 0, "repaired_commits": 0}
    assert tables.snapshot(TABLE).version == version


def test_vacuum_deletes_old_files_but_not_those_of_pinned_versions(tables: Tables) -> None:
    for number in range(3):
        write(tables, number, overwrite=True)
    tables.pins.pin("model", TABLE, 1)
    time.sleep(0.01)
    assert maintain(retention_hours=0.0)[TABLE]["deleted_files"] == 1
    assert tables.snapshot(TABLE, version=1).to_arrow().column("n").to_pylist() == [1]
    assert tables.snapshot(TABLE).to_arrow().column("n").to_pylist() == [2]
    with pytest.raises(UnknownVersion):
        tables.snapshot(TABLE, version=0).to_arrow()


def test_lost_edges_are_recorded_again(tables: Tables) -> None:
    write(tables, 1)
    with tables.ledger._database.write() as connection:
        connection.execute(sa.delete(LINEAGE_EDGE))
    assert maintain()[TABLE]["repaired_commits"] == 1
    assert Lineage(tables.ledger._database).provenance(TABLE, tables.snapshot(TABLE).data_version)


def test_one_damaged_table_is_named_and_the_others_are_maintained(tables: Tables) -> None:
    write(tables, 1)
    tables.overwrite("p.s.broken", pl.DataFrame({"n": [1]}))
    log = Path(tables.uri("p.s.broken")) / "_delta_log" / f"{0:020}.json"
    log.write_text("")
    message = maintain(succeeds=False)
    assert message["said"] == "1 of 2 tables failed in maintenance: p.s.broken."
    assert set(message["failed"]) == {"p.s.broken"}
    assert set(message["result"]) == {TABLE}


def test_it_runs_every_hour_by_itself() -> None:
    assert hourly_maintenance.cron_schedule == "17 * * * *"
    assert hourly_maintenance.default_status is dg.DefaultScheduleStatus.RUNNING
