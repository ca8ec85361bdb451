"""Optimize, vacuum with pins, restore, clone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from deltalake import DeltaTable

from core.db import Database
from core.errors import Conflict, UnknownColumn, UnknownVersion
from lakehouse.pins import Pin, Pins
from lakehouse.tables import Snapshot, Tables

NAME = "shop.silver.orders"


def rows(*ids: int) -> pa.Table:
    return pa.table({"id": pa.array(ids, pa.int64()), "kind": pa.array(["a"] * len(ids), pa.string())})


def ids(snapshot: Snapshot) -> list[int]:
    return sorted(snapshot.to_arrow()["id"].to_pylist())


def data_files(root: Path) -> set[str]:
    return {file.name for file in (root / "shop/silver/orders").glob("*.parquet")}


class TestOptimize:
    def test_merges_small_files(self, tables: Tables) -> None:
        for number in range(10):
            tables.append(NAME, rows(number))
        commit = tables.optimize(NAME)
        snapshot = tables.snapshot(NAME)
        assert (commit.operation, commit.row_count, snapshot.file_count) == ("OPTIMIZE", 10, 1)
        assert ids(snapshot) == list(range(10))

    def test_commits_nothing_when_there_is_nothing_to_merge(self, tables: Tables) -> None:
        made = tables.append(NAME, rows(1))
        again = tables.optimize(NAME)
        assert (again.version, again.changed) == (made.version, False)

    def test_z_order_lays_rows_out_along_columns(self, tables: Tables) -> None:
        tables.append(NAME, rows(5, 1, 9))
        tables.append(NAME, rows(2, 8, 4))
        tables.optimize(NAME, zorder_by=["id"])
        assert tables.snapshot(NAME).to_arrow()["id"].to_pylist() == [1, 2, 4, 5, 8, 9]
        with pytest.raises(UnknownColumn, match="nope"):
            tables.optimize(NAME, zorder_by=["nope"])


class TestVacuum:
    def test_deletes_what_no_version_in_time_needs(self, tables: Tables, root: Path) -> None:
        tables.append(NAME, rows(1))
        (old,) = data_files(root)
        tables.overwrite(NAME, rows(2))
        assert tables.vacuum(NAME) == []  # a week has not passed
        assert tables.vacuum(NAME, retention_hours=0, dry_run=True) == [old]
        assert old in data_files(root)
        assert tables.vacuum(NAME, retention_hours=0) == [old]
        assert old not in data_files(root)
        assert ids(tables.snapshot(NAME)) == [2]

    def test_reading_a_vacuumed_version_says_so(self, tables: Tables) -> None:
        tables.append(NAME, rows(1))
        tables.overwrite(NAME, rows(2))
        tables.vacuum(NAME, retention_hours=0)
        with pytest.raises(UnknownVersion, match="because of a vacuum"):
            tables.snapshot(NAME, version=0).to_arrow()
        with pytest.raises(UnknownVersion, match="because of a vacuum"):
            tables.snapshot(NAME, version=0).to_arrow(limit=1)
        with pytest.raises(UnknownVersion, match="because of a vacuum"):
            tables.restore(NAME, 0)

    def test_keeps_the_files_of_pinned_versions(self, tables: Tables, root: Path) -> None:
        for number in range(4):
            tables.overwrite(NAME, rows(number, number + 10))
        tables.append(NAME, rows(99))
        tables.optimize(NAME)
        tables.pins.pin("model:delay", NAME, 1)
        tables.pins.pin("hold:audit", NAME, 4)
        pinned = {path for version in (1, 4) for path in tables.snapshot(NAME, version=version).paths}
        deleted = tables.vacuum(NAME, retention_hours=0)
        assert deleted
        assert not pinned & set(deleted)
        assert pinned <= data_files(root)
        fresh = Tables(str(root), tables.pins.database)
        assert ids(fresh.snapshot(NAME, version=1)) == [1, 11]
        assert ids(fresh.snapshot(NAME, version=4)) == [3, 13, 99]
        assert fresh.snapshot(NAME, version=1).scan().select(pl.col("id").sum()).collect().item() == 12
        with pytest.raises(UnknownVersion):
            fresh.snapshot(NAME, version=2).to_arrow()
        assert fresh.diff(NAME, 1, 4).added_count == 3

    def test_deletes_them_once_unpinned(self, tables: Tables) -> None:
        tables.append(NAME, rows(1))
        tables.overwrite(NAME, rows(2))
        tables.pins.pin("model", NAME, 0)
        assert tables.vacuum(NAME, retention_hours=0) == []
        tables.pins.unpin("model")
        assert len(tables.vacuum(NAME, retention_hours=0)) == 1

    def test_deletes_what_a_killed_writer_left_behind(self, tables: Tables, root: Path) -> None:
        tables.append(NAME, rows(1))
        orphan = root / "shop/silver/orders" / "part-orphan.parquet"
        orphan.write_bytes(b"torn")
        assert tables.vacuum(NAME) == []  # it may be a write in progress
        os.utime(orphan, (0, 0))
        assert tables.vacuum(NAME) == ["part-orphan.parquet"]
        assert not orphan.exists()

    def test_commits_nothing_when_there_is_nothing_to_delete(self, tables: Tables) -> None:
        tables.append(NAME, rows(1))
        tables.vacuum(NAME, retention_hours=0)
        assert tables.snapshot(NAME).version == 0

    def test_removes_expired_log_files_unless_a_version_is_pinned(self, tables: Tables, root: Path) -> None:
        properties = {"delta.checkpointInterval": "2", "delta.logRetentionDuration": "interval 0 days"}
        tables.create(NAME, rows().schema, properties=properties)
        for number in range(6):
            tables.overwrite(NAME, rows(number))
        log = root / "shop/silver/orders/_delta_log"
        for file in log.iterdir():
            os.utime(file, (0, 0))
        tables.pins.pin("model", NAME, 3)
        tables.vacuum(NAME, retention_hours=0)
        assert ids(tables.snapshot(NAME, version=3)) == [2]
        tables.pins.unpin("model")
        tables.overwrite(NAME, rows(7))
        for file in log.iterdir():
            os.utime(file, (0, 0))
        tables.vacuum(NAME, retention_hours=0)
        assert not (log / f"{0:020}.json").exists()
        fresh = Tables(str(root), tables.pins.database)
        assert ids(fresh.snapshot(NAME)) == [7]
        with pytest.raises(UnknownVersion, match=r"no version 1: it has versions \d+ to"):
            fresh.snapshot(NAME, version=1)
        assert fresh.verify(NAME) == []
        assert fresh.history(NAME)[-1].version > 1

    def test_a_pin_of_a_version_that_never_was_does_not_stop_it(
        self, tables: Tables, caplog: pytest.LogCaptureFixture
    ) -> None:
        tables.append(NAME, rows(1))
        tables.overwrite(NAME, rows(2))
        tables.pins.pin("model", NAME, 77)
        assert len(tables.vacuum(NAME, retention_hours=0)) == 1
        assert "pinned version 77" in caplog.text


class TestRestore:
    def test_brings_an_earlier_content_back_as_a_new_version(self, tables: Tables) -> None:
        tables.append(NAME, rows(1))
        tables.overwrite(NAME, rows(2, 3))
        commit = tables.restore(NAME, 0)
        assert (commit.operation, commit.version, commit.row_count) == ("RESTORE", 2, 1)
        assert ids(tables.snapshot(NAME)) == [1]
        assert ids(tables.snapshot(NAME, version=1)) == [2, 3]

    def test_names_the_versions_that_exist(self, tables: Tables) -> None:
        tables.append(NAME, rows(1))
        with pytest.raises(UnknownVersion, match="versions 0 to 0"):
            tables.restore(NAME, 5)


class TestClone:
    def test_copies_a_version_with_its_properties(self, tables: Tables) -> None:
        schema = pa.schema([pa.field("id", pa.int64(), nullable=False), ("kind", pa.string())])
        tables.create(NAME, schema, partition_by=["kind"], constraints={"positive": "id > 0"}, description="orders")
        tables.append(NAME, rows(1, 2).cast(schema))
        tables.append(NAME, rows(3).cast(schema))
        tables.clone(NAME, "shop.archive.orders", version=2)
        copy = tables.snapshot("shop.archive.orders")
        assert ids(copy) == [1, 2]
        assert (copy.schema, copy.partition_columns, copy.description) == (schema, ["kind"], "orders")
        assert copy.constraints == {"positive": "id > 0"}
        assert copy.table_id != tables.snapshot(NAME).table_id
        tables.overwrite(NAME, rows(9).cast(schema))
        tables.vacuum(NAME, retention_hours=0)
        assert ids(tables.snapshot("shop.archive.orders")) == [1, 2]

    def test_refuses_a_taken_name(self, tables: Tables) -> None:
        tables.append(NAME, rows(1))
        with pytest.raises(Conflict, match="already exists"):
            tables.clone(NAME, NAME)


class TestPins:
    def test_are_held_by_holders(self, any_database: Database) -> None:
        pins = Pins(any_database)
        for holder, table, version in [
            ("a", NAME, 1),
            ("a", NAME, 1),
            ("a", NAME, 2),
            ("b", NAME, 1),
            ("b", "x.y.z", 3),
        ]:
            pins.pin(holder, table, version)
        assert [(p.holder, p.version) for p in pins.pins(NAME)] == [("a", 1), ("b", 1), ("a", 2)]
        assert pins.versions(NAME) == [1, 2]
        assert [(p.table, p.version) for p in pins.pins(holder="b")] == [(NAME, 1), ("x.y.z", 3)]
        assert pins.unpin("a", NAME, 2) == 1
        assert pins.unpin("b") == 2
        (left,) = pins.pins()
        assert isinstance(left, Pin)
        assert (left.holder, left.table, left.version, left.at.tzinfo is not None) == ("a", NAME, 1, True)


class TestVacuumGuards:
    def test_it_stops_where_the_engine_would_delete_what_is_pinned(
        self, tables: Tables, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The last look before files are deleted does not trust the engine to keep pinned versions."""
        tables.append(NAME, rows(1))
        tables.overwrite(NAME, rows(2))
        tables.pins.pin("model", NAME, 0)
        before, vacuum = data_files(root), DeltaTable.vacuum

        def careless(delta: DeltaTable, **options: Any) -> Any:
            return vacuum(delta, **options | {"keep_versions": None})

        monkeypatch.setattr(DeltaTable, "vacuum", careless)
        with pytest.raises(Conflict, match=r"1 files of pinned versions\. Nothing was deleted"):
            tables.vacuum(NAME, retention_hours=0)
        assert data_files(root) == before
        assert tables.snapshot(NAME).version == 1
        assert ids(tables.snapshot(NAME, version=0)) == [1]

    def test_a_dry_run_deletes_and_commits_nothing(self, tables: Tables, root: Path) -> None:
        tables.append(NAME, rows(1))
        tables.overwrite(NAME, rows(2))
        before = data_files(root)
        assert len(tables.vacuum(NAME, retention_hours=0, dry_run=True)) == 1
        assert (data_files(root), tables.snapshot(NAME).version) == (before, 1)
