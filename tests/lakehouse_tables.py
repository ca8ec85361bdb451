"""Small real tables with versions and lineage, under the ids of the fake orchestrator's assets."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pyarrow as pa

from core.db import Database
from core.settings import Settings
from lakehouse.lineage import Lineage
from lakehouse.step import Step
from lakehouse.tables import Tables

BRONZE = "flights.bronze.flights"
SILVER = "flights.silver.flights"


def bronze(start: int, count: int) -> pa.Table:
    numbers = list(range(start, start + count))
    return pa.table(
        {
            "id": pa.array(numbers, pa.int64()),
            "carrier": [f"C{number % 3}" for number in numbers],
            "delay": pa.array(
                [None if n % 4 == 0 else float("nan") if n % 4 == 1 else n / 2 for n in numbers], pa.float64()
            ),
            "price": pa.array([Decimal(number) / 100 for number in numbers], pa.decimal128(10, 2)),
            "at": pa.array(
                [datetime(2013, 1, 1, 5, number % 60, tzinfo=UTC) for number in numbers], pa.timestamp("us", "UTC")
            ),
            "raw": pa.array([bytes([number % 256, 255]) for number in numbers], pa.binary()),
        }
    )


def make_tables(settings: Settings, database: Database) -> Tables:
    """Bronze in two versions of 10 and 25 rows; silver made from both, with one row changed and one dropped between."""
    tables, lineage = Tables.from_settings(settings, database), Lineage(database)

    def step(asset: str, run: str) -> Step:
        return Step(
            tables, lineage, asset=asset, run=run, step="make", code_version="1", engine="test 1", principal="editor"
        )

    step(BRONZE, "run-a").overwrite(bronze(0, 10))
    silver = step(SILVER, "run-b")
    silver.overwrite(pa.table({"id": [1, 2, 3], "carrier": ["A", "B", "C"]}) if silver.read(BRONZE) else None)
    step(BRONZE, "run-c").append(bronze(10, 15))
    silver = step(SILVER, "run-d")
    silver.read(BRONZE, columns=["id", "carrier"])
    silver.overwrite(pa.table({"id": [1, 2, 4], "carrier": ["A", "X", "D"]}))
    return tables
