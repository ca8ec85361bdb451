"""Small appends that we write ourselves are read as those of delta-rs, by every reader and under every filter."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from core.errors import ConstraintViolated, SchemaMismatch
from lakehouse import small_appends
from lakehouse.tables import Tables

NAME = "shop.silver.orders"
SCHEMA = pa.schema(
    [
        ("i", pa.int64()),
        ("small", pa.int16()),
        ("x", pa.float64()),
        ("single", pa.float32()),
        ("s", pa.string()),
        ("at", pa.timestamp("us", tz="UTC")),
        ("local", pa.timestamp("us")),
        ("day", pa.date32()),
        ("flag", pa.bool_()),
        ("raw", pa.binary()),
        ("amount", pa.decimal128(10, 2)),
    ]
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_INSTANTS = st.integers(-(2**50), 2**51).map(lambda us: _EPOCH + timedelta(microseconds=us))
_ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "i": st.none() | st.integers(-(2**63), 2**63 - 1),
            "small": st.none() | st.integers(-(2**15), 2**15 - 1),
            "x": st.none() | st.floats(),
            "single": st.none() | st.floats(width=32),
            "s": st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=50),
            "at": st.none() | _INSTANTS,
            "local": st.none() | _INSTANTS.map(lambda moment: moment.replace(tzinfo=None)),
            "day": st.none() | st.dates(date(1, 1, 1), date(9999, 12, 31)),
            "flag": st.none() | st.booleans(),
            "raw": st.none() | st.binary(max_size=4),
            "amount": st.none() | st.decimals(-9999, 9999, places=2),
        }
    ),
    min_size=1,
    max_size=6,
)


def written_by_us(root: Path, version: int) -> bool:
    """delta-rs measures its own writes; ours has no plan to measure."""
    log = (root / "shop/silver/orders/_delta_log" / f"{version:020}.json").read_text()
    return "execution_time_ms" not in json.loads(log.splitlines()[0])["commitInfo"]["operationMetrics"]


def same(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> bool:
    """Equality in which NaN equals NaN."""
    return sorted(map(repr, one)) == sorted(map(repr, other))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=_ROWS)
@example(rows=[dict.fromkeys(SCHEMA.names) | {"x": math.nan, "single": math.inf, "s": "ÿ" * 40}])
def test_rows_and_their_statistics_enclose_each_other(rows: list[dict[str, Any]]) -> None:
    data = pa.Table.from_pylist(rows, SCHEMA)
    found = small_appends.statistics(data)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["numRecords"] == len(rows)
    for name in SCHEMA.names:
        values = [row[name] for row in rows if row[name] is not None]
        assert found["nullCount"][name] == len(rows) - len(values)
        if name not in found["minValues"]:
            continue
        low, high = found["minValues"][name], found["maxValues"][name]
        if name in ("at", "local"):
            least, most = (datetime.fromisoformat(text) for text in (low, high))
            assert least <= min(values) < least + timedelta(milliseconds=1)
            assert most - timedelta(milliseconds=1) < max(values) <= most
        elif name == "day":
            assert (low, high) == (min(values).isoformat(), max(values).isoformat())
        elif name == "s":
            assert low == min(values)[:32]
            assert high == max(values)
        else:
            assert (low, high) == (min(values), max(values))


class TestAgainstDeltaRs:
    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(rows=_ROWS, other=_ROWS)
    def test_every_reader_and_filter_agrees(
        self, tables: Tables, root: Path, rows: list[dict[str, Any]], other: list[dict[str, Any]]
    ) -> None:
        data, extra = pa.Table.from_pylist(rows, SCHEMA), pa.Table.from_pylist(other, SCHEMA)
        tables.overwrite(NAME, data.slice(0, 0))
        for batch in (data, extra):
            version = tables.append(NAME, batch).version
            assert written_by_us(root, version)
        snapshot, everything = tables.snapshot(NAME), [*rows, *other]
        assert same(snapshot.to_arrow().to_pylist(), pa.concat_tables([data, extra]).to_pylist())
        delta = DeltaTable(tables.uri(NAME))
        for name in ("i", "s", "at", "day", "x"):
            pivot = next((row[name] for row in everything if row[name] is not None and row[name] == row[name]), None)
            if pivot is None:
                continue
            expected = sum(row[name] is not None and row[name] >= pivot for row in everything)
            if name == "x":  # NaN is greater than everything to Polars and DuckDB
                expected += sum(row[name] is not None and row[name] != row[name] for row in everything)
            polars = snapshot.scan().filter(pl.col(name) >= pl.lit(pivot, dtype=snapshot.scan().collect_schema()[name]))
            assert polars.collect().height == expected
            with duckdb.connect() as connection:
                connection.register("t", snapshot.dataset())
                kind = connection.table("t").dtypes[SCHEMA.names.index(name)]
                query = f'SELECT count(*) FROM t WHERE "{name}" >= ?::{kind}'
                assert connection.execute(query, [pivot]).fetchall() == [(expected,)]
        for name, pivot in (("i", 0), ("day", "DATE '2000-01-01'")):
            exact = date(2000, 1, 1) if name == "day" else pivot
            found = pa.table(delta.scan(predicate=f"{name} < {pivot}").read_all()).num_rows
            assert found == sum(row[name] is not None and row[name] < exact for row in everything)

    def test_other_writes_follow(self, tables: Tables, root: Path) -> None:
        rows = {"id": [1, 2], "name": ["a", "b"]}
        tables.append(NAME, pa.table(rows))
        tables.append(NAME, pa.table({"id": [3], "name": ["c"]}))
        assert written_by_us(root, 1)
        tables.merge(NAME, pa.table({"id": [3, 4], "name": ["C", "d"]}), ["id"])
        tables.delete(NAME, "id = 1")
        tables.optimize(NAME)
        assert sorted(tables.snapshot(NAME).to_arrow()["name"].to_pylist()) == ["C", "b", "d"]
        write_deltalake(tables.uri(NAME), pa.table({"id": [5], "name": ["e"]}), mode="append")
        tables.append(NAME, pa.table({"id": [6], "name": ["f"]}))
        assert tables.snapshot(NAME).row_count == 5
        feed = tables.changes(NAME, 1, 1)
        assert feed.select(["id", "name", "_change_type"]).to_pylist() == [
            {"id": 3, "name": "c", "_change_type": "insert"}
        ]

    def test_many_of_them_are_checkpointed(self, tables: Tables, root: Path) -> None:
        for number in range(45):
            tables.append(NAME, pa.table({"id": [number]}))
        assert len(list((root / "shop/silver/orders/_delta_log").glob("*.checkpoint.parquet"))) == 4
        assert sorted(DeltaTable(tables.uri(NAME)).to_pyarrow_table()["id"].to_pylist()) == list(range(45))


class TestGeneralWay:
    """What is more than plain goes through delta-rs."""

    @pytest.mark.parametrize(
        "options",
        [{"partition_by": ["kind"]}, {"constraints": {"positive": "id > 0"}}],
        ids=["partitions", "constraints"],
    )
    def test_for_tables_that_are_more_than_plain(self, tables: Tables, root: Path, options: dict[str, Any]) -> None:
        rows = pa.table({"id": [1], "kind": ["a"]})
        tables.create(NAME, rows.schema, **options)
        version = tables.append(NAME, rows).version
        assert not written_by_us(root, version)
        assert tables.snapshot(NAME).to_arrow().to_pylist() == rows.to_pylist()

    @pytest.mark.parametrize(
        "rows",
        [
            pa.table({"tags": [["a"]]}),
            pa.table({"at": [{"x": 1}]}),
            pa.table({"id": list(range(60_000))}),
            pa.table({"text": ["x" * 9_000_000]}),
        ],
        ids=["list", "struct", "many rows", "many bytes"],
    )
    def test_for_data_that_is_more_than_small_and_plain(self, tables: Tables, root: Path, rows: pa.Table) -> None:
        tables.create(NAME, rows.schema)
        version = tables.append(NAME, rows).version
        assert not written_by_us(root, version)
        assert tables.snapshot(NAME).row_count == rows.num_rows

    def test_for_schemas_that_grow(self, tables: Tables) -> None:
        tables.append(NAME, pa.table({"id": [1]}))
        tables.append(NAME, pa.table({"id": [2], "note": ["x"]}), evolve_schema=True)
        tables.append(NAME, pa.table({"id": [3]}), evolve_schema=True)
        assert tables.snapshot(NAME).scan().sort("id").collect()["note"].to_list() == [None, "x", None]

    def test_checks_nulls_and_types_before_it_writes(self, tables: Tables, root: Path) -> None:
        schema = pa.schema([pa.field("id", pa.int64(), nullable=False), ("name", pa.string())])
        tables.create(NAME, schema)
        with pytest.raises(ConstraintViolated, match="id"):
            tables.append(NAME, pa.table({"id": pa.array([None], pa.int64()), "name": ["a"]}))
        with pytest.raises(SchemaMismatch):
            tables.append(NAME, pa.table({"id": ["1"], "name": ["a"]}))
        version = tables.append(NAME, pa.table({"id": pa.array([1], pa.int8()), "name": ["a"]})).version
        assert written_by_us(root, version)
        assert tables.snapshot(NAME).schema == schema


def test_a_file_that_was_not_committed_is_taken_back(tables: Tables, root: Path) -> None:
    """The schema changed under a stale handle: the commit fails, is tried again, and leaves no file behind."""
    tables.append(NAME, pa.table({"id": [1]}))
    delta = DeltaTable(tables.uri(NAME))
    tables.add_columns(NAME, [pa.field("note", pa.string())])
    files = tables.storage.filesystem(NAME)
    assert files is not None
    from deltalake import CommitProperties
    from deltalake.exceptions import CommitFailedError

    from lakehouse.writes import hooks, schema_of

    before = set((root / "shop/silver/orders").iterdir())
    with pytest.raises(CommitFailedError, match="Metadata changed"):
        small_appends.append(delta, pa.table({"id": [2]}), schema_of(delta), files, CommitProperties(), hooks())
    assert set((root / "shop/silver/orders").iterdir()) == before
