"""The whole sample year through bronze, silver and gold: every figure that the documentation gives."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from dagster_project.definitions import defs
from jobs.selections import TABLES
from tests import slices

pytestmark = pytest.mark.slow


def test_the_whole_year(home: Path) -> None:
    tables = slices.open_tables()
    with dg.DagsterInstance.ephemeral() as instance:
        local = dg.AssetSelection.groups("bronze", "silver", "gold") - dg.AssetSelection.kind("spark")
        job = dg.define_asset_job("local_engines", local & TABLES)
        merged = dg.Definitions.merge(defs(), dg.Definitions(jobs=[job]))
        result = merged.resolve_job_def("local_engines").execute_in_process(instance=instance)
    checks = {
        f"{check.asset_key.path[-1]}.{check.check_name}": check
        for check in result.get_asset_check_evaluations()
        if check.asset_key.path[1] == "silver"
    }
    counts = {name: tables.snapshot(f"flights.silver.{name}").row_count for name in ("flights", "weather", "planes")}
    assert counts == {"flights": 336_776, "weather": 26_115, "planes": 3_322}
    silver = tables.snapshot("flights.silver.flights").scan().collect()
    assert (silver["cancelled"].sum(), silver["diverted"].sum()) == (8_255, 1_175)

    # One of 336,776 flights shows another clock time than the source says: it landed in an hour that did not exist.
    assert checks["flights.clocks_agree"].metadata["failing_rows"].value == 1
    assert checks["flights.references_dest"].metadata["failing_rows"].value == 7_602
    assert checks["flights.references_tailnum"].metadata["failing_rows"].value == 50_094
    assert [name for name, check in checks.items() if not check.passed and check.blocking] == []

    # Time on the ground between the gates is at least 5 and at most 235 minutes: no arrival is a zone or a day off.
    ground = (pl.col("arrived_at") - pl.col("departed_at")).dt.total_minutes() - pl.col("air_time")
    low, high = silver.select(ground.min().alias("low"), ground.max().alias("high")).row(0)
    assert (low, high) == (5, 235)

    punctuality = tables.snapshot("flights.gold.carrier_punctuality").scan().collect()
    assert punctuality["flights"].sum() == 336_776
    assert punctuality.height == 185
    congestion = tables.snapshot("flights.gold.airport_congestion").scan().collect()
    assert congestion["departures"].sum() == 336_776 - 8_255
