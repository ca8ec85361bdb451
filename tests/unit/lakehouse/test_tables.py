"""Create, append, overwrite, merge, delete, read: by effect."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

from core.db import Database
from core.errors import (
    Conflict,
    ConstraintViolated,
    InvalidArgument,
    InvalidPayload,
    UnknownColumn,
    UnknownTable,
    UnknownVersion,
)
from core.settings import Settings
from lakehouse.tables import Tables
from tests.unit.lakehouse.orders import NAME, SCHEMA, ids, orders


class TestCreate:
    def test_makes_an_empty_table_with_its_properties(self, tables: Tables) -> None:
        commit = tables.create(NAME, SCHEMA, partition_by=["kind"], description="what was bought")
        snapshot = tables.snapshot(NAME)
        assert (commit.version, commit.row_count, commit.operation) == (0, 0, "CREATE TABLE")
        assert snapshot.schema == SCHEMA
        assert snapshot.partition_columns == ["kind"]
        assert snapshot.description == "what was bought"
        assert snapshot.properties["delta.enableChangeDataFeed"] == "true"
        assert tables.exists(NAME)
        assert tables.list() == [NAME]

    def test_refuses_a_taken_name(self, tables: Tables) -> None:
        tables.create(NAME, SCHEMA)
        with pytest.raises(Conflict, match="already exists"):
            tables.create(NAME, SCHEMA)

    @pytest.mark.parametrize(
        "name", ["orders", "../../etc/passwd", "a.b", "a.b.c.d", "Shop.silver.orders", "a.b./x", ""]
    )
    def test_refuses_a_name_that_is_no_asset_id(self, tables: Tables, name: str, root: Path) -> None:
        with pytest.raises(InvalidArgument, match=r"project\.schema\.table"):
            tables.create(name, SCHEMA)
        with pytest.raises(InvalidArgument):
            tables.snapshot(name)
        with pytest.raises(InvalidArgument):
            tables.exists(name)
        assert not root.exists()

    def test_settings_place_the_lakehouse(self, tmp_path: Path, database: Database) -> None:
        tables = Tables.from_settings(Settings(home=tmp_path / "home"), database)
        assert tables.uri(NAME) == str(tmp_path / "home" / "lakehouse" / "shop" / "silver" / "orders")


class TestAppend:
    def test_adds_rows(self, tables: Tables) -> None:
        tables.create(NAME, SCHEMA)
        first, second = tables.append(NAME, orders(1, 2)), tables.append(NAME, orders(3))
        assert (first.row_count, second.row_count, second.version) == (2, 3, 2)
        assert second.metrics["num_added_rows"] == 1
        assert ids(tables.snapshot(NAME)) == [1, 2, 3]

    def test_makes_a_missing_table_in_one_commit(self, tables: Tables) -> None:
        commit = tables.append(NAME, orders(1))
        assert (commit.version, commit.row_count) == (0, 1)
        assert tables.snapshot(NAME).properties["delta.enableChangeDataFeed"] == "true"

    @pytest.mark.parametrize(
        "shape",
        [
            lambda table: table,
            lambda table: table.to_reader(),
            pl.DataFrame,
            lambda table: pl.DataFrame(table).lazy(),
        ],
        ids=["table", "reader", "frame", "lazy frame"],
    )
    def test_takes_every_shape_of_data(self, tables: Tables, shape: Callable[[pa.Table], object]) -> None:
        tables.append(NAME, shape(orders(1)))  # type: ignore[arg-type]
        tables.append(NAME, shape(orders(2)))  # type: ignore[arg-type]
        assert ids(tables.snapshot(NAME)) == [1, 2]
        assert tables.snapshot(NAME).to_arrow().schema.names == ["id", "kind", "price"]

    def test_matches_columns_by_name(self, tables: Tables) -> None:
        tables.append(NAME, orders(1))
        tables.append(NAME, orders(2).select(["price", "id", "kind"]))
        assert tables.snapshot(NAME).scan().filter(pl.col("id") == 2).collect().rows() == [(2, "book", 1.0)]

    def test_once_appends_a_batch_only_once(self, tables: Tables) -> None:
        first = tables.append(NAME, orders(1))
        done = tables.append(NAME, orders(2), once="file-a")
        tables.append(NAME, orders(3), once="file-b")
        again = tables.append(NAME, orders(2), once="file-a")
        assert first.changed
        assert done.changed
        assert not again.changed
        assert again.version == done.version
        assert ids(tables.snapshot(NAME)) == [1, 2, 3]

    def test_once_counts_for_the_append_that_makes_the_table(self, tables: Tables) -> None:
        made = tables.append(NAME, orders(1), once="file-a")
        again = tables.append(NAME, orders(1), once="file-a")
        assert (made.version, again.version, again.changed) == (0, 0, False)
        assert ids(tables.snapshot(NAME)) == [1]

    def test_an_empty_batch_changes_no_row(self, tables: Tables) -> None:
        tables.append(NAME, orders(1))
        tables.append(NAME, orders())
        assert ids(tables.snapshot(NAME)) == [1]


class TestOverwrite:
    def test_replaces_all_rows(self, tables: Tables) -> None:
        tables.append(NAME, orders(1, 2))
        commit = tables.overwrite(NAME, orders(3))
        assert commit.row_count == 1
        assert ids(tables.snapshot(NAME)) == [3]

    def test_replaces_the_rows_that_match(self, tables: Tables) -> None:
        tables.append(NAME, orders(1, 2))
        tables.append(NAME, orders(3, kind="pen"))
        commit = tables.overwrite(NAME, orders(4, kind="pen"), where="kind = 'pen'")
        assert commit.row_count == 3
        assert ids(tables.snapshot(NAME)) == [1, 2, 4]

    def test_refuses_rows_outside_of_the_condition(self, tables: Tables) -> None:
        tables.append(NAME, orders(1))
        with pytest.raises(ConstraintViolated, match="must match it"):
            tables.overwrite(NAME, orders(2), where="kind = 'pen'")
        with pytest.raises(UnknownColumn, match="color"):
            tables.overwrite(NAME, orders(2), where="color = 'red'")
        with pytest.raises(InvalidArgument, match="not valid SQL"):
            tables.overwrite(NAME, orders(2), where="kind = = 1")
        assert ids(tables.snapshot(NAME)) == [1]

    def test_replaces_schema_and_partitioning_when_asked(self, tables: Tables) -> None:
        tables.overwrite(NAME, orders(1), partition_by=["kind"])
        with pytest.raises(InvalidArgument, match="is partitioned by"):
            tables.overwrite(NAME, orders(1), partition_by=["price"])
        tables.overwrite(NAME, pa.table({"z": [1], "y": ["a"]}), evolve_schema=True)
        snapshot = tables.snapshot(NAME)
        assert (snapshot.schema.names, snapshot.partition_columns) == (["z", "y"], [])
        tables.overwrite(NAME, pa.table({"z": [1], "y": ["a"]}), evolve_schema=True, partition_by=["y"])
        assert tables.snapshot(NAME).partition_columns == ["y"]

    def test_names_an_unknown_partition_column(self, tables: Tables) -> None:
        with pytest.raises(UnknownColumn, match="color"):
            tables.overwrite(NAME, orders(1), partition_by=["color"])


class TestMerge:
    def test_updates_and_inserts(self, tables: Tables) -> None:
        tables.merge(NAME, orders(1, 2), ["id"])
        commit = tables.merge(NAME, orders(2, 3, price=9.0), ["id"])
        assert (commit.operation, commit.row_count) == ("MERGE", 3)
        rows = tables.snapshot(NAME).scan().sort("id").select("id", "price").collect().rows()
        assert rows == [(1, 1.0), (2, 9.0), (3, 9.0)]

    def test_deletes_what_the_data_lacks_when_asked(self, tables: Tables) -> None:
        tables.append(NAME, orders(1, 2))
        tables.merge(NAME, orders(2, 3), ["id"], delete_missing=True)
        assert ids(tables.snapshot(NAME)) == [2, 3]

    def test_matches_on_several_columns(self, tables: Tables) -> None:
        tables.append(NAME, orders(1))
        tables.merge(NAME, orders(1, kind="pen"), ["id", "kind"])
        assert tables.snapshot(NAME).row_count == 2

    def test_evolves_when_asked(self, tables: Tables) -> None:
        tables.append(NAME, orders(1))
        tables.merge(NAME, orders(1, 2).append_column("note", pa.array(["a", "b"])), ["id"], evolve_schema=True)
        assert sorted(tables.snapshot(NAME).to_arrow()["note"].to_pylist()) == ["a", "b"]

    def test_refuses_a_key_that_occurs_twice(self, tables: Tables) -> None:
        tables.append(NAME, orders(1))
        with pytest.raises(InvalidPayload, match="same key"):
            tables.merge(NAME, orders(1, 1), ["id"])

    def test_refuses_unknown_and_missing_keys(self, tables: Tables) -> None:
        tables.append(NAME, orders(1))
        with pytest.raises(UnknownColumn, match="nope"):
            tables.merge(NAME, orders(1), ["nope"])
        with pytest.raises(InvalidArgument, match="key column"):
            tables.merge(NAME, orders(1), [])


class TestDelete:
    def test_deletes_the_rows_that_match(self, tables: Tables) -> None:
        tables.append(NAME, orders(1, 2, 3))
        commit = tables.delete(NAME, "id >= 2")
        assert (commit.operation, commit.row_count) == ("DELETE", 1)
        assert ids(tables.snapshot(NAME)) == [1]

    def test_commits_nothing_when_nothing_matches(self, tables: Tables) -> None:
        made = tables.append(NAME, orders(1))
        commit = tables.delete(NAME, "id = 99")
        assert (commit.version, commit.changed) == (made.version, False)

    def test_names_what_exists_instead(self, tables: Tables) -> None:
        tables.append(NAME, orders(1))
        with pytest.raises(UnknownColumn) as caught:
            tables.delete(NAME, "weight > 1")
        assert caught.value.metadata["existing"] == ["id", "kind", "price"]
        with pytest.raises(UnknownTable, match=r"no table shop\.silver\.order\."):
            tables.delete("shop.silver.order", "id = 1")


class TestSnapshot:
    def test_reads_a_version_and_an_instant(self, tables: Tables) -> None:
        first = tables.append(NAME, orders(1))
        second = tables.append(NAME, orders(2))
        assert ids(tables.snapshot(NAME, version=0)) == [1]
        assert ids(tables.snapshot(NAME, version=1)) == [1, 2]
        assert tables.snapshot(NAME, timestamp=first.committed_at).version == 0
        assert tables.snapshot(NAME, timestamp=second.committed_at + timedelta(days=1)).version == 1
        assert tables.snapshot(NAME).data_version == second.data_version == f"{second.table_id}@1"

    def test_says_which_versions_exist(self, tables: Tables) -> None:
        made = tables.append(NAME, orders(1))
        for version in (-1, 1, 99):
            with pytest.raises(UnknownVersion, match=f"no version {version}: it has versions 0 to 0"):
                tables.snapshot(NAME, version=version)
        with pytest.raises(UnknownVersion, match="begins with version 0"):
            tables.snapshot(NAME, timestamp=made.committed_at - timedelta(seconds=1))

    def test_says_which_tables_and_columns_exist(self, tables: Tables) -> None:
        tables.append(NAME, orders(1))
        with pytest.raises(UnknownTable, match=r"There is no table shop\.silver"):
            tables.snapshot("shop.silver.ordres")
        with pytest.raises(UnknownColumn, match=r"no column color\. It has id, kind, price"):
            tables.snapshot(NAME).to_arrow(columns=["color"])

    def test_never_changes(self, tables: Tables) -> None:
        tables.append(NAME, orders(1))
        snapshot = tables.snapshot(NAME)
        frame, dataset = snapshot.scan(), snapshot.dataset()
        tables.append(NAME, orders(2))
        tables.overwrite(NAME, orders(3))
        assert ids(tables.snapshot(NAME)) == [3]
        assert (snapshot.version, snapshot.row_count, ids(snapshot)) == (0, 1, [1])
        assert frame.collect()["id"].to_list() == [1]
        assert dataset.to_table()["id"].to_pylist() == [1]

    def test_pages_with_the_types_of_the_table(self, tables: Tables) -> None:
        tables.append(NAME, orders(*range(10)))
        page = tables.snapshot(NAME).to_arrow(columns=["kind", "id"], limit=3, offset=4)
        assert page["id"].to_pylist() == [4, 5, 6]
        assert page.schema.types == [pa.string(), pa.int64()]
        assert tables.snapshot(NAME).to_arrow(limit=5, offset=8).num_rows == 2

    def test_counts_rows_bytes_and_files(self, tables: Tables, root: Path) -> None:
        tables.append(NAME, orders(1, 2))
        tables.append(NAME, orders(3))
        snapshot = tables.snapshot(NAME)
        files = list((root / "shop/silver/orders").glob("*.parquet"))
        assert (snapshot.row_count, snapshot.file_count) == (3, 2)
        assert snapshot.size_bytes == sum(file.stat().st_size for file in files)

    def test_reads_partitions_with_odd_names(self, tables: Tables) -> None:
        for name in ("a/b", "ü ö", "x=y", "100%"):
            tables.overwrite(NAME, orders(1, kind=name), where=f"kind = '{name}'", partition_by=["kind"])
        kinds = {"a/b", "ü ö", "x=y", "100%"}
        snapshot = tables.snapshot(NAME)
        assert set(snapshot.to_arrow()["kind"].to_pylist()) == kinds
        assert set(snapshot.scan().collect()["kind"]) == kinds
        assert tables.verify(NAME) == []


def test_lists_tables_by_prefix(tables: Tables) -> None:
    for name in ("shop.silver.orders", "shop.silver.items", "shop.gold.sales", "other.gold.sales"):
        tables.append(name, orders(1))
    assert tables.list() == ["other.gold.sales", "shop.gold.sales", "shop.silver.items", "shop.silver.orders"]
    assert tables.list("shop.silver") == ["shop.silver.items", "shop.silver.orders"]
    assert tables.list("shop.silver.o") == ["shop.silver.orders"]
    assert tables.list("nothing") == []
