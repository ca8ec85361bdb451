"""Statements that need too much end their own process, and only that.

The kind of fault: a limit that the engine does not keep. Each statement here is valid, cheap to write, and was seen to
take gigabytes or minutes in spite of DuckDB's memory limit and interrupt.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import pyarrow as pa
import pytest

from core.errors import DeadlineExceeded, InvalidArgument, UnknownColumn
from core.settings import load_settings
from lakehouse.query_process import QueryProcesses
from lakehouse.tables import Tables
from tests.databases import with_tables

TABLE = "shop.gold.orders"
MEMORY = 1_500_000_000


@pytest.fixture
def processes(home: Path) -> Iterator[QueryProcesses]:
    settings = load_settings()
    database = with_tables(settings.effective_database_url)
    Tables.from_settings(settings, database).create_with(TABLE, pa.table({"id": [1, 2, 3]}))
    started = QueryProcesses(settings, processes=1, timeout_seconds=10, memory_bytes=MEMORY, result_bytes=10_000_000)
    yield started
    started.close()
    database.close()


def ids(processes: QueryProcesses) -> list[int]:
    table, truncated = processes.run(f"SELECT id FROM {TABLE} ORDER BY id", {TABLE: 0}, 10)
    assert not truncated
    return list(table["id"].to_pylist())


def test_rows_and_errors_pass_through(processes: QueryProcesses) -> None:
    assert ids(processes) == [1, 2, 3]
    table, truncated = processes.run(f"SELECT id FROM {TABLE}", {TABLE: 0}, 2)
    assert (table.num_rows, truncated) == (2, True)
    with pytest.raises(UnknownColumn, match="nothing") as caught:
        processes.run(f"SELECT nothing FROM {TABLE}", {TABLE: 0}, 10)
    assert caught.value.metadata["column"] == "nothing"


@pytest.mark.slow
@pytest.mark.parametrize(
    "statement",
    [
        "SELECT sum(length(repeat(repeat('x', 1000000), 4000))) FROM range(1000)",
        "SELECT length(string_agg(repeat('x', 1000000), '')) FROM range(100000)",
        "SELECT len(list(repeat('x', 100000))) FROM range(1000000)",
        "SELECT max(a.range * b.range) FROM range(10000000) AS a, range(10000000) AS b",
        "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT count(*) FROM t",
    ],
)
def test_what_needs_too_much_is_ended_and_the_next_query_runs(processes: QueryProcesses, statement: str) -> None:
    assert ids(processes) == [1, 2, 3]
    with pytest.raises((InvalidArgument, DeadlineExceeded)):
        processes.run(statement, {}, 10)
    children = psutil.Process(os.getpid()).children(recursive=True)
    assert all(child.memory_info().rss < 2 * MEMORY for child in children if child.is_running())
    assert ids(processes) == [1, 2, 3]


def test_closing_ends_the_processes(processes: QueryProcesses) -> None:
    assert ids(processes) == [1, 2, 3]
    before = {child.pid for child in psutil.Process(os.getpid()).children()}
    processes.close()
    assert {child.pid for child in psutil.Process(os.getpid()).children()} < before
