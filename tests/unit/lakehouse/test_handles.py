"""Kept handles under threads: nothing lost, nothing doubled, snapshots that stay what they are."""

from __future__ import annotations

import itertools
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from core.db import Database
from core.errors import WriteConflict
from lakehouse.tables import Tables

NAME = "shop.silver.orders"


def rows(*ids: int, n: int = 1) -> pa.Table:
    return pa.table({"id": pa.array(ids, pa.int64()), "n": pa.array([n] * len(ids), pa.int64())})


def test_importing_loads_no_engine_and_starts_no_thread() -> None:
    code = """
import os, sys
import lakehouse.tables, lakehouse.step, lakehouse.lineage, lakehouse.query, lakehouse.pins
heavy = {"pyarrow", "polars", "deltalake", "duckdb", "numpy", "pandas"} & set(sys.modules)
threads = len(os.listdir("/proc/self/task")) if sys.platform == "linux" else 1
print(sorted(heavy), threads)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path.cwd())
    assert done.stdout.split("\n")[0] == "[] 1"


def test_a_handle_is_kept_and_advanced(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    tables.append(NAME, rows(1))
    tables.snapshot(NAME)
    opened: list[object] = []
    original = DeltaTable.__init__

    def counting(self: DeltaTable, *args: object, **kwargs: object) -> None:
        opened.append(args)
        original(self, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(DeltaTable, "__init__", counting)
    for number in range(10):
        tables.append(NAME, rows(number))
        assert tables.snapshot(NAME).version == number + 1
    assert opened == []


def test_a_snapshot_in_use_is_not_advanced(tables: Tables) -> None:
    tables.append(NAME, rows(1))
    held = [tables.snapshot(NAME)]
    frames = [held[0].scan()]
    for number in range(2, 6):
        tables.append(NAME, rows(number))
        held.append(tables.snapshot(NAME))
        frames.append(tables.snapshot(NAME).scan())
    assert [snapshot.to_arrow().num_rows for snapshot in held] == [1, 2, 3, 4, 5]
    assert [frame.collect().height for frame in frames] == [1, 2, 3, 4, 5]


def test_what_another_process_commits_is_seen(root: Path, tables: Tables, database: Database) -> None:
    other = Tables(str(root), database)
    tables.append(NAME, rows(1))
    assert other.snapshot(NAME).row_count == 1
    for number in range(2, 6):
        tables.append(NAME, rows(number))
        assert other.snapshot(NAME).row_count == number
        other.append(NAME, rows(10 + number))
        tables.delete(NAME, f"id = {10 + number}")


@pytest.mark.parametrize("shared", [True, False], ids=["one Tables", "one Tables each"])
def test_appends_of_many_threads_all_stand(root: Path, tables: Tables, database: Database, shared: bool) -> None:
    tables.append(NAME, rows(-1))

    def write(worker: int) -> list[int]:
        own = tables if shared else Tables(str(root), database)
        return [own.append(NAME, rows(worker * 100 + number)).version for number in range(8)]

    with ThreadPoolExecutor(4) as pool:
        versions = [version for made in pool.map(write, range(4)) for version in made]
    assert sorted(versions) == list(range(1, 33))
    ids = tables.snapshot(NAME).to_arrow()["id"].to_pylist()
    assert sorted(ids) == sorted([-1, *(worker * 100 + number for worker in range(4) for number in range(8))])
    assert [commit.row_count for commit in reversed(tables.history(NAME))] == list(range(1, 34))
    assert tables.verify(NAME) == []


def test_writers_of_one_process_wait_for_each_other(tables: Tables) -> None:
    """Merges of one `Tables` never conflict: they wait in a queue."""
    tables.append(NAME, rows(1))

    def bump(number: int) -> None:
        tables.merge(NAME, rows(1, n=number + 2), ["id"])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(bump, range(12)))
    assert tables.snapshot(NAME).version == 12
    assert tables.snapshot(NAME).row_count == 1


def test_a_merge_that_meets_another_one_fails_clearly(root: Path, tables: Tables, database: Database) -> None:
    """Two writers that cannot see each other: each merge stands or says that it does not."""
    tables.append(NAME, rows(1, 2, 3))
    others = [Tables(str(root), database) for _ in range(3)]
    numbers = itertools.count(2)

    def merge(own: Tables) -> tuple[int, int]:
        done = conflicts = 0
        for _ in range(6):
            try:
                own.merge(NAME, rows(1, 2, 3, n=next(numbers)), ["id"])
                done += 1
            except WriteConflict as error:
                assert "Nothing was written" in error.detail  # noqa: PT017
                conflicts += 1
        return done, conflicts

    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(merge, others))
    done, conflicts = (sum(column) for column in zip(*results, strict=True))
    assert done + conflicts == 18
    assert tables.snapshot(NAME).version == done
    assert tables.snapshot(NAME).row_count == 3


def test_a_write_can_insist_on_the_version_it_read(root: Path, tables: Tables, database: Database) -> None:
    """Read, change, write back: no update is lost, however many do it."""
    tables.append(NAME, rows(1))

    def increment(_: int) -> int:
        own, done = Tables(str(root), database), 0
        while done < 5:
            snapshot = own.snapshot(NAME)
            count = snapshot.to_arrow()["n"].to_pylist()[0]
            try:
                own.merge(NAME, pa.table({"id": [1], "n": [count + 1]}), ["id"], if_version=snapshot.version)
                done += 1
            except WriteConflict:
                continue
        return done

    with ThreadPoolExecutor(3) as pool:
        assert sum(pool.map(increment, range(3))) == 15
    assert tables.snapshot(NAME).to_arrow()["n"].to_pylist() == [16]
    for write in (
        lambda: tables.append(NAME, rows(2), if_version=3),
        lambda: tables.overwrite(NAME, rows(2), if_version=3),
        lambda: tables.delete(NAME, "id = 1", if_version=3),
    ):
        with pytest.raises(WriteConflict, match="is at version 15, not at version 3"):
            write()
    assert tables.append(NAME, rows(2), if_version=15).version == 16


def test_appends_that_insist_on_a_version_never_follow_another(root: Path, tables: Tables, database: Database) -> None:
    tables.append(NAME, rows(0))

    def append(worker: int) -> bool:
        try:
            Tables(str(root), database).append(NAME, rows(worker), if_version=0)
        except WriteConflict:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(append, range(4))) == [False, False, False, True]
    assert tables.snapshot(NAME).version == 1


def test_racing_creators_make_one_table(root: Path, database: Database) -> None:
    def create(worker: int) -> int:
        return Tables(str(root), database).append(NAME, rows(worker)).version

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(create, range(4))) == [0, 1, 2, 3]
    snapshot = Tables(str(root), database).snapshot(NAME)
    assert sorted(snapshot.to_arrow()["id"].to_pylist()) == [0, 1, 2, 3]


def test_an_append_once_of_many_threads_happens_once(root: Path, tables: Tables, database: Database) -> None:
    tables.append(NAME, rows(0))

    def append(_: int) -> bool:
        return Tables(str(root), database).append(NAME, rows(7), once="batch").changed

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(append, range(4))) == [False, False, False, True]
    assert sorted(tables.snapshot(NAME).to_arrow()["id"].to_pylist()) == [0, 7]
