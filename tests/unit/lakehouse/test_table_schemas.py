"""Columns and constraints of a table: what is written must match them, by effect."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import pyarrow as pa
import pytest

from core.errors import (
    Conflict,
    ConstraintViolated,
    SchemaMismatch,
    UnknownColumn,
)
from lakehouse.tables import Tables
from tests.unit.lakehouse.orders import NAME, SCHEMA, orders


class TestSchema:
    def test_names_the_columns_that_do_not_fit(self, tables: Tables) -> None:
        tables.append(NAME, orders(1))
        odd = pa.table({"id": ["x"], "color": ["red"], "price": [1.0]})
        with pytest.raises(SchemaMismatch) as caught:
            tables.append(NAME, odd)
        assert caught.value.metadata["columns"] == ["color", "kind", "id"]
        assert {error["pointer"] for error in caught.value.errors} == {"/color", "/kind", "/id"}
        assert tables.snapshot(NAME).version == 0

    def test_evolves_only_when_asked(self, tables: Tables) -> None:
        tables.append(NAME, orders(1))
        wider = orders(2).append_column("note", pa.array(["new"]))
        with pytest.raises(SchemaMismatch, match="note is not a column"):
            tables.append(NAME, wider)
        tables.append(NAME, wider, evolve_schema=True)
        rows = tables.snapshot(NAME).scan().sort("id").select("id", "note").collect().rows()
        assert rows == [(1, None), (2, "new")]

    def test_evolving_never_changes_a_type(self, tables: Tables) -> None:
        tables.append(NAME, orders(1))
        with pytest.raises(SchemaMismatch, match="price is string in the data and double in the table"):
            tables.append(NAME, pa.table({"id": [2], "kind": ["x"], "price": ["1.0"]}), evolve_schema=True)

    def test_text_is_not_taken_for_a_number(self, tables: Tables) -> None:
        tables.append(NAME, pa.table({"id": [1]}))
        with pytest.raises(SchemaMismatch, match="id is string"):
            tables.append(NAME, pa.table({"id": ["2"]}))

    def test_merge_checks_columns_as_append_does(self, tables: Tables) -> None:
        tables.append(NAME, orders(1))
        with pytest.raises(SchemaMismatch, match="note is not a column"):
            tables.merge(NAME, orders(1).append_column("note", pa.array(["x"])), ["id"])
        with pytest.raises(SchemaMismatch, match="price is missing"):
            tables.merge(NAME, orders(1).drop_columns(["price"]), ["id"])

    def test_unsigned_integers_keep_their_values(self, tables: Tables) -> None:
        values = {
            "a": pa.array([255], pa.uint8()),
            "b": pa.array([65535], pa.uint16()),
            "c": pa.array([2**32 - 1], pa.uint32()),
        }
        tables.append(NAME, pa.table(values))
        tables.append(NAME, pa.table(values))
        assert tables.snapshot(NAME).to_arrow().to_pylist() == [{"a": 255, "b": 65535, "c": 2**32 - 1}] * 2
        with pytest.raises(SchemaMismatch, match="not in range"):
            tables.append("shop.silver.big", pa.table({"a": pa.array([2**64 - 1], pa.uint64())}))

    @pytest.mark.parametrize("kind", [pa.time64("us"), pa.duration("s"), pa.null()])
    def test_refuses_types_that_delta_lacks(self, tables: Tables, kind: pa.DataType) -> None:
        with pytest.raises(SchemaMismatch, match="can't store the columns when"):
            tables.append(NAME, pa.table({"when": pa.nulls(1, kind)}))
        assert not tables.exists(NAME)

    def test_a_column_of_nulls_takes_the_type_of_the_table(self, tables: Tables) -> None:
        tables.append(NAME, pa.table({"id": [1], "kind": ["a"]}))
        tables.append(NAME, pa.table({"id": [2], "kind": pa.nulls(1)}))
        assert tables.snapshot(NAME).scan().sort("id").collect().rows() == [(1, "a"), (2, None)]

    def test_instants_without_a_zone_are_not_taken_for_utc(self, tables: Tables) -> None:
        tables.append(NAME, pl.DataFrame({"at": [datetime(2024, 1, 1, tzinfo=UTC)]}))
        with pytest.raises(SchemaMismatch, match="at is timestamp"):
            tables.append(NAME, pa.table({"at": pa.array([0], pa.timestamp("us"))}))

    def test_instants_without_a_zone_can_be_stored(self, tables: Tables) -> None:
        naive = pa.table({"at": pa.array([0], pa.timestamp("us"))})
        tables.create(NAME, naive.schema)
        tables.append(NAME, naive)
        assert tables.snapshot(NAME).to_arrow() == naive

    def test_adding_columns_keeps_rows(self, tables: Tables) -> None:
        tables.append(NAME, orders(1))
        tables.add_columns(NAME, [pa.field("note", pa.string())])
        assert tables.snapshot(NAME).to_arrow().to_pylist()[0]["note"] is None
        with pytest.raises(Conflict, match="note"):
            tables.add_columns(NAME, [pa.field("note", pa.string())])


class TestConstraints:
    def test_names_the_constraint_that_rows_break(self, tables: Tables) -> None:
        tables.create(NAME, SCHEMA, constraints={"price_positive": "price > 0", "known": "kind in ('book','pen')"})
        with pytest.raises(ConstraintViolated, match=r"price_positive \(price > 0\) by 2 rows") as caught:
            tables.append(NAME, orders(1, 2, price=-1.0))
        assert caught.value.metadata["constraints"] == ["price_positive"]
        with pytest.raises(ConstraintViolated, match="known"):
            tables.merge(NAME, orders(1, kind="car"), ["id"])
        assert tables.snapshot(NAME).row_count == 0

    def test_names_the_column_that_must_not_be_null(self, tables: Tables) -> None:
        tables.create(NAME, SCHEMA)
        with pytest.raises(ConstraintViolated, match='"id" IS NOT NULL'):
            tables.append(NAME, pa.table({"id": pa.array([None], pa.int64()), "kind": ["a"], "price": [1.0]}))

    def test_names_the_constraints_of_streamed_data(self, tables: Tables) -> None:
        tables.create(NAME, SCHEMA, constraints={"price_positive": "price > 0"})
        with pytest.raises(ConstraintViolated, match="price_positive"):
            tables.append(NAME, orders(1, price=-1.0).to_reader())

    def test_is_not_added_over_rows_that_break_it(self, tables: Tables) -> None:
        tables.append(NAME, orders(1, price=-1.0))
        with pytest.raises(ConstraintViolated, match="existing rows violate it"):
            tables.add_constraint(NAME, "price_positive", "price > 0")
        with pytest.raises(UnknownColumn, match=r"has no column weight\. It has id, kind, price"):
            tables.add_constraint(NAME, "heavy", "weight > 0")
        assert tables.snapshot(NAME).constraints == {}

    def test_can_be_dropped(self, tables: Tables) -> None:
        tables.create(NAME, SCHEMA, constraints={"price_positive": "price > 0"})
        with pytest.raises(Conflict, match="price_positive"):
            tables.add_constraint(NAME, "price_positive", "price > 1")
        tables.drop_constraint(NAME, "price_positive")
        tables.append(NAME, orders(1, price=-1.0))
        assert tables.snapshot(NAME).row_count == 1
