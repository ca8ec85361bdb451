"""Kind of fault: statistics of another writer hide rows from a filter."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from lakehouse.query import Query
from lakehouse.tables import Tables
from tests.foreign_tables.hand_written import NAME, column, hand_written

STATISTICS: dict[str, object] = {
    "none": None,
    "no JSON": "nonsense",
    "of wrong types": {"numRecords": "x", "minValues": {"id": "a"}},
    "without a null count": {
        "numRecords": 3,
        "minValues": {"id": 1, "t": "a", "x": -0.0},
        "maxValues": {"id": 2, "x": 0.0},
    },
    "without a row count": {"minValues": {"id": 1}, "maxValues": {"id": 2}, "nullCount": {"id": 1}},
    "the wrong way round": {
        "numRecords": 3,
        "minValues": {"id": 2, "t": "b"},
        "maxValues": {"id": 1, "t": "a"},
        "nullCount": {"id": 1, "t": 1},
    },
    "cut off": {"numRecords": 3, "minValues": {"t": "a"}, "maxValues": {"t": "z" * 32}, "nullCount": {"t": 1}},
    "of null": {"numRecords": 3, "minValues": {"id": None}, "maxValues": {"id": None}, "nullCount": {"id": None}},
}


@pytest.mark.parametrize("statistics", STATISTICS.values(), ids=STATISTICS)
def test_statistics_that_promise_too_much_hide_no_row(tables: Tables, place: Path, statistics: object) -> None:
    """The kind: a filter skips a file because of a bound that the file does not keep, or that says nothing of nulls."""
    rows = pa.table({"id": [1, 2, None], "t": ["a", "z" * 40, None], "x": [float("nan"), -0.0, None]})
    stats = statistics if isinstance(statistics, str | None) else json.dumps(statistics)
    hand_written(
        place,
        fields=[column("long"), column("string", "t"), column("double", "x")],
        add={"stats": stats} if stats is not None else {},
        rows=rows,
    )
    # Two files, so that skipping one is worth while.
    tables.append(NAME, pa.table({"id": [100], "t": ["q"], "x": [1.0]}))
    for condition, expected in {
        "id IS NULL": [None],
        "id = 2": [2],
        "t IS NULL": [None],
        f"t = '{'z' * 40}'": [2],
        "t > 'zz'": [2],
        "isnan(x)": [1],
        "x = 0": [2],
        "x IS NULL": [None],
        "id = 100": [100],
    }.items():
        assert (condition, _sql(tables, condition)) == (condition, expected)
        assert (condition, _polars(tables, condition)) == (condition, expected)


def _sql(tables: Tables, condition: str) -> list[Any]:
    return Query(tables).sql(f"SELECT id FROM {NAME} WHERE {condition}").table["id"].to_pylist()


def _polars(tables: Tables, condition: str) -> list[Any]:
    nan = condition == "isnan(x)"
    stored = pl.col("x").is_nan() if nan else pl.sql_expr(condition)
    return tables.snapshot(NAME).scan().filter(stored).collect()["id"].to_list()
