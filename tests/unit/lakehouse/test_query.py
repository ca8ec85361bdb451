"""SQL over the lakehouse: right answers, exact inputs, and nothing but reading."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from core.errors import (
    DeadlineExceeded,
    HeadwaterError,
    InvalidArgument,
    PermissionDenied,
    UnknownColumn,
    UnknownTable,
    UnknownVersion,
)
from lakehouse import query as module
from lakehouse.query import Query, _seal
from lakehouse.tables import Tables

ORDERS, ITEMS = "shop.silver.orders", "shop.gold.items"


@pytest.fixture
def query(tables: Tables) -> Query:
    tables.append(ORDERS, pa.table({"id": [1, 2], "item": [10, 20]}))
    tables.append(ORDERS, pa.table({"id": [3], "item": [10]}))
    tables.append(ITEMS, pa.table({"item": [10, 20], "name": ["book", "pen"]}))
    return Query(tables)


class TestAnswers:
    def test_joins_tables_by_their_ids(self, query: Query, tables: Tables) -> None:
        result = query.sql(
            "SELECT name, count(*) AS n FROM shop.silver.orders JOIN shop.gold.items USING (item) "
            "GROUP BY name ORDER BY name"
        )
        assert result.table.to_pylist() == [{"name": "book", "n": 2}, {"name": "pen", "n": 1}]
        assert {name: snapshot.data_version for name, snapshot in result.inputs.items()} == {
            ORDERS: tables.snapshot(ORDERS).data_version,
            ITEMS: tables.snapshot(ITEMS).data_version,
        }
        assert not result.truncated

    def test_reads_the_versions_it_is_told(self, query: Query) -> None:
        result = query.sql("SELECT count(*) AS n FROM shop.silver.orders", versions={ORDERS: 0})
        assert result.table.to_pylist() == [{"n": 2}]
        assert result.inputs[ORDERS].version == 0
        with pytest.raises(UnknownVersion, match="versions 0 to 1"):
            query.sql("SELECT * FROM shop.silver.orders", versions={ORDERS: 7})
        with pytest.raises(InvalidArgument, match="doesn't read"):
            query.sql("SELECT * FROM shop.silver.orders", versions={ITEMS: 0})

    def test_reads_the_snapshots_it_is_given(self, query: Query, tables: Tables) -> None:
        old = tables.snapshot(ORDERS, version=0)
        result = query.sql("SELECT count(*) AS n FROM shop.silver.orders", inputs={ORDERS: old})
        assert (result.table.to_pylist(), result.inputs[ORDERS]) == ([{"n": 2}], old)

    @pytest.mark.parametrize(
        "statement",
        [
            "WITH o AS (SELECT * FROM shop.silver.orders) SELECT * FROM o",
            "FROM shop.silver.orders",
            "TABLE shop.silver.orders",
            "select * from SHOP.Silver.ORDERS -- a comment",
            'SELECT * FROM "shop"."silver"."orders";',
            "SELECT * FROM shop.silver.orders WHERE item IN (SELECT item FROM shop.gold.items)",
        ],
    )
    def test_takes_every_form_of_select(self, query: Query, statement: str) -> None:
        assert query.sql(statement).table.num_rows == 3

    def test_limits_rows_and_says_so(self, query: Query) -> None:
        result = query.sql("SELECT id FROM shop.silver.orders ORDER BY id DESC", limit=2)
        assert (result.table["id"].to_pylist(), result.truncated) == ([3, 2], True)
        assert not query.sql("SELECT id FROM shop.silver.orders", limit=3).truncated

    def test_shows_and_describes(self, query: Query) -> None:
        assert query.sql("SHOW TABLES;").table.to_pylist() == [{"name": ITEMS}, {"name": ORDERS}]
        assert query.sql("show all tables", limit=1).truncated
        described = query.sql("DESCRIBE shop.gold.items").table.to_pylist()
        assert [(row["column_name"], row["column_type"]) for row in described] == [
            ("item", "BIGINT"),
            ("name", "VARCHAR"),
        ]

    def test_needs_no_table(self, query: Query) -> None:
        result = query.sql("SELECT 1 AS one")
        assert (result.table.to_pylist(), dict(result.inputs)) == ([{"one": 1}], {})

    def test_tells_which_tables_it_reads(self, query: Query) -> None:
        assert query.tables(
            "SELECT * FROM shop.silver.orders o, shop.gold.items i, (SELECT * FROM shop.gold.items)"
        ) == [
            ITEMS,
            ORDERS,
        ]
        assert query.tables("WITH x AS (SELECT 1) SELECT * FROM x") == []
        assert query.tables("SHOW TABLES") == []

    def test_reads_partitioned_tables(self, query: Query, tables: Tables) -> None:
        tables.overwrite("shop.gold.parts", pa.table({"k": ["a", "b"], "v": [1, 2]}), partition_by=["k"])
        assert query.sql("SELECT v FROM shop.gold.parts WHERE k = 'b'").table["v"].to_pylist() == [2]


class TestLimits:
    @pytest.mark.parametrize(
        "statement",
        [
            "INSERT INTO shop.silver.orders VALUES (1, 1)",
            "UPDATE shop.silver.orders SET id = 1",
            "DELETE FROM shop.silver.orders",
            "CREATE TABLE t (a INT)",
            "DROP TABLE shop.silver.orders",
            "COPY shop.silver.orders TO '/tmp/out.csv'",
            "ATTACH '/tmp/x.db'",
            "SET threads = 1",
            "PRAGMA database_list",
            "INSTALL httpfs",
            "LOAD httpfs",
            "EXPORT DATABASE '/tmp/x'",
            "CALL pragma_version()",
            "EXPLAIN ANALYZE SELECT 1",
            "SELECT 1; SELECT 2",
            "SELECT 1; DROP TABLE shop.silver.orders",
            "",
            "hello",
            "SELECT",
        ],
    )
    def test_refuses_whatever_is_not_one_select(self, query: Query, tables: Tables, statement: str) -> None:
        with pytest.raises(InvalidArgument):
            query.sql(statement)
        assert tables.snapshot(ORDERS).version == 1

    @pytest.mark.parametrize(
        "source",
        [
            "read_csv('{file}')",
            "read_text('{file}')",
            "read_blob('{file}')",
            "read_parquet('{file}')",
            "read_json('{file}')",
            "glob('{file}')",
            "parquet_scan('{file}')",
            "delta_scan('{file}')",
            "sqlite_scan('{file}', 'x')",
            "read_csv('http://127.0.0.1:9/x')",
            "'{file}'",
        ],
    )
    def test_reads_no_file_and_no_network(self, query: Query, tmp_path: Path, source: str) -> None:
        secret = tmp_path / "secret.csv"
        secret.write_text("canary")
        with pytest.raises((PermissionDenied, UnknownTable, InvalidArgument)) as caught:
            query.sql(f"SELECT * FROM {source.format(file=secret)}")
        assert "canary" not in caught.value.detail

    def test_sees_no_variable_of_this_program(self, query: Query) -> None:
        secret = pa.table({"canary": [1]})
        assert secret.num_rows == 1
        with pytest.raises(UnknownTable):
            query.sql("SELECT * FROM secret")

    def test_stops_after_its_time(self, tables: Tables, query: Query) -> None:
        tables.append("shop.gold.many", pa.table({"n": list(range(20_000))}))
        with pytest.raises(DeadlineExceeded, match=r"0\.3 seconds"):
            Query(tables, timeout_seconds=0.3).sql(
                "SELECT count(*) FROM shop.gold.many a, shop.gold.many b, shop.gold.many c "
                "WHERE a.n * b.n % 7 = c.n % 5"
            )

    def test_is_bounded_in_memory(self, tables: Tables, query: Query) -> None:
        with pytest.raises(InvalidArgument, match="more memory"):
            Query(tables, memory_limit="20MB").sql("SELECT list(range) FROM range(50_000_000)")


class TestErrors:
    def test_name_what_exists(self, query: Query) -> None:
        with pytest.raises(UnknownColumn, match=r"does not exist: price\. It has, for example, i"):
            query.sql("SELECT price FROM shop.silver.orders")
        with pytest.raises(UnknownTable, match=r"There is no table shop\.silver"):
            query.sql("SELECT * FROM shop.silver.order")
        with pytest.raises(UnknownTable, match=r"project\.schema\.table"):
            query.sql("SELECT * FROM orders")
        with pytest.raises(InvalidArgument, match="not valid SQL"):
            query.sql("SELEC 1")
        with pytest.raises(HeadwaterError, match="Could not convert string"):
            query.sql("SELECT CAST(name AS INT) FROM shop.gold.items")


class TestSealed:
    def test_no_setting_changes_once_statements_may_run(self, query: Query) -> None:
        """The parser refuses settings already; the engine itself refuses them too, should one get past it."""
        with query._connection() as connection:
            _seal(connection)
            for setting in (
                "SET disabled_filesystems = ''",
                "RESET disabled_filesystems",
                "SET threads = 8",
                "SET lock_configuration = false",
                "PRAGMA memory_limit='8GB'",
            ):
                with pytest.raises(duckdb.Error, match=r"lock|configuration"):
                    connection.execute(setting)
            for reach in ("SELECT * FROM read_text('/etc/hostname')", "COPY (SELECT 1) TO '/tmp/x.csv'"):
                with pytest.raises(duckdb.Error):
                    connection.execute(reach)

    def test_statements_run_sealed_and_are_bound_sealed(self, query: Query, monkeypatch: pytest.MonkeyPatch) -> None:
        sealed: list[bool] = []
        monkeypatch.setattr(module, "_seal", lambda connection: sealed.append(True))
        query.sql("SELECT id FROM shop.silver.orders")
        query.bind("SELECT id FROM shop.silver.orders", {ORDERS: pa.schema([("id", pa.int64())])})
        assert sealed == [True, True]

    def test_hours_are_those_of_utc_wherever_the_machine_is(
        self, tables: Tables, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        instant = pa.array([datetime(2026, 1, 1, 23, 30, tzinfo=UTC)], pa.timestamp("us", "UTC"))
        tables.append(ORDERS, pa.table({"seen": instant}))
        connect = duckdb.connect

        def elsewhere(*args: Any, **options: Any) -> Any:
            connection = connect(*args, **options)
            connection.execute("SET TimeZone = 'Asia/Tokyo'")
            return connection

        monkeypatch.setattr(duckdb, "connect", elsewhere)
        found = Query(tables).sql("SELECT hour(seen) AS h, day(seen) AS d FROM shop.silver.orders").table
        assert found.to_pylist() == [{"h": 23, "d": 1}]
