"""Rows of PostgreSQL: every type, in one snapshot, refused by column, and read only while a reader exists."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa

from connectors.connector import Selection
from connectors.egress import Egress
from connectors.registry import CONNECTORS
from connectors.rows import Rows
from core.errors import Conflict
from tests.remote_postgresql import RemotePostgreSql, remote_postgresql

KIND = CONNECTORS["postgresql"]


@pytest.fixture
def remote(postgresql_url: str) -> Iterator[RemotePostgreSql]:
    """A remote database."""
    with remote_postgresql(postgresql_url) as database:
        yield database


def execute(remote: RemotePostgreSql, *statements: str) -> None:
    engine = sa.create_engine(remote.url, poolclass=sa.pool.NullPool)
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def opened(remote: RemotePostgreSql, selection: Selection) -> Rows:
    config = KIND.config.completed(remote.config, {"password": remote.password})
    return Rows(KIND, config, Egress(private=True), selection)


def read(remote: RemotePostgreSql, **selection: Any) -> pa.Table:
    with opened(remote, Selection(**selection)) as rows:
        return pa.Table.from_batches(rows.batches(), rows.schema)


def refused(remote: RemotePostgreSql, **selection: Any) -> tuple[str, str]:
    with pytest.raises(Conflict) as caught:
        read(remote, **selection)
    return str((caught.value.metadata or {})["cause"]), caught.value.detail


VALUES = {
    "yes": ("boolean", "true", pa.bool_(), True),
    "small": ("smallint", "-32768", pa.int16(), -32768),
    "middle": ("integer", "2147483647", pa.int32(), 2147483647),
    "big": ("bigint", "-9223372036854775808", pa.int64(), -(2**63)),
    "object": ("oid", "4294967295", pa.int64(), 4294967295),
    "real_number": ("real", "'0.1'", pa.float32(), pytest.approx(0.1)),
    "precise": ("double precision", "'0.1'", pa.float64(), 0.1),
    "infinite": ("double precision", "'-Infinity'", pa.float64(), float("-inf")),
    "price": ("numeric(38, 10)", "9999999999999999999999999999.0000000001", pa.decimal128(38, 10), None),
    "unlimited": ("numeric", "12345678901234567890123456789012345678901234567890.5", pa.string(), None),
    "rounded": ("numeric(5, -2)", "123456", pa.string(), "123500"),
    "letters": ("text", "E'a \"b\", c\\nd\\\\ \u00fc'", pa.string(), 'a "b", c\nd\\ ü'),
    "blank": ("text", "''", pa.string(), ""),
    "padded": ("char(3)", "'a'", pa.string(), "a  "),
    "identity": ("uuid", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", pa.string(), None),
    "document": ("jsonb", "'{\"a\": [1, null]}'", pa.string(), '{"a": [1, null]}'),
    "content": ("bytea", "'\\x00ff5c22'::bytea", pa.binary(), b'\x00\xff\\"'),
    "no_content": ("bytea", "''::bytea", pa.binary(), b""),
    "day": ("date", "'0001-01-01'", pa.date32(), date(1, 1, 1)),
    "local_time": ("timestamp", "'2024-02-29 23:59:59.000001'", pa.timestamp("us"), None),
    "instant": (
        "timestamptz",
        "'2024-03-31 02:30:00.5+05:30'",
        pa.timestamp("us", tz="UTC"),
        datetime(2024, 3, 30, 21, 0, 0, 500000, tzinfo=UTC),
    ),
    "time_of_day": ("time", "'24:00:00'", pa.string(), "24:00:00"),
    "duration": ("interval", "'1 month -2 days 3.5 seconds'", pa.string(), "P1M-2DT3.5S"),
    "list": ("integer[]", "'{{1,NULL},{3,4}}'", pa.string(), "{{1,NULL},{3,4}}"),
    "span": ("int4range", "'[1,5)'", pa.string(), "[1,5)"),
    "address": ("inet", "'10.0.0.1/8'", pa.string(), "10.0.0.1/8"),
}


def test_each_type_arrives_with_its_exact_value_and_null_as_null(remote: RemotePostgreSql) -> None:
    columns = ", ".join(f'"{name}" {kind}' for name, (kind, *_) in VALUES.items())
    values = ", ".join(value for _, value, *_ in VALUES.values())
    execute(
        remote,
        f'CREATE TABLE public."All Types" ({columns})',
        f'INSERT INTO public."All Types" VALUES ({values})'.replace("%", "%%"),
        f'INSERT INTO public."All Types" VALUES ({", ".join(["NULL"] * len(VALUES))})',
        'GRANT SELECT ON public."All Types" TO PUBLIC',
    )
    table = read(remote, table=("public", "All Types"))
    assert table.schema == pa.schema([(name, kind) for name, (_, _, kind, _) in VALUES.items()])
    full, empty = table.to_pylist()
    expected = {name: value for name, (*_, value) in VALUES.items()} | {
        "price": Decimal("9999999999999999999999999999.0000000001"),
        "unlimited": "12345678901234567890123456789012345678901234567890.5",
        "identity": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        "local_time": datetime.fromisoformat("2024-02-29T23:59:59.000001"),
    }
    assert full == expected
    assert empty == dict.fromkeys(VALUES)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("date", "infinity"),
        ("date", "10000-01-01"),
        ("date", "0044-03-15 BC"),
        ("timestamp", "-infinity"),
        ("timestamptz", "infinity"),
        ("timestamptz", "12000-01-01"),
        ("numeric(5, 2)", "NaN"),
    ],
)
def test_a_value_that_no_table_can_hold_is_refused_by_its_column(
    remote: RemotePostgreSql, kind: str, value: str
) -> None:
    reason, detail = refused(remote, query=f"SELECT 1 AS id, '{value}'::{kind} AS due")
    assert reason == "VALUE_NOT_STORABLE"
    assert detail.startswith("due (")
    text = read(remote, query=f"SELECT ('{value}'::{kind})::text AS due")
    assert str(text.column("due")[0].as_py()).startswith(value)


def test_rows_without_a_value_in_their_only_column_count(remote: RemotePostgreSql) -> None:
    assert read(remote, query="SELECT NULL::text AS a FROM generate_series(1, 3)").num_rows == 3
    assert read(remote, query="SELECT 1 AS a WHERE false").schema == pa.schema([("a", pa.int32())])


def test_all_rows_are_of_one_snapshot_whose_position_is_known(remote: RemotePostgreSql) -> None:
    execute(
        remote,
        "CREATE TABLE public.orders AS SELECT n, repeat('x', 1000) AS text FROM generate_series(1, 40000) AS n",
        "GRANT SELECT ON public.orders TO PUBLIC",
    )
    with opened(remote, Selection(table=("public", "orders"))) as rows:
        batches = rows.batches()
        count = next(batches).num_rows
        execute(remote, "DELETE FROM public.orders WHERE n > 10")
        count += sum(batch.num_rows for batch in batches)
        first = rows.version
    assert count == 40000
    with opened(remote, Selection(table=("public", "orders"))) as rows:
        assert sum(batch.num_rows for batch in rows.batches()) == 10
        assert rows.version > first
    assert first.startswith("lsn:")


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("SELECT 1 AS a, 2 AS a", "DUPLICATE_COLUMN"),
        ("SELECT 1 AS a) AS x; DROP TABLE public.orders; SELECT * FROM (SELECT 1 AS a", "INVALID_QUERY"),
        ("SELECT 1 AS a; SELECT 2 AS a", "INVALID_QUERY"),
        ("SELECT 1 AS a) TO PROGRAM 'true' --", "INVALID_QUERY"),
        ("SELECT $1::int AS a", "INVALID_QUERY"),
        ("WITH gone AS (DELETE FROM public.orders RETURNING n) SELECT * FROM gone", "INVALID_QUERY"),
        ("SELECT nextval('public.numbers') AS a", "FUNCTION_DENIED"),
        ("SELECT pg_advisory_lock(1) AS a", "FUNCTION_DENIED"),
        ("SELECT 1 AS a -- all", "INVALID_QUERY"),
        ("SELECT * FROM public.absent", "UNKNOWN_TABLE"),
        ("SELECT * FROM public.closed", "PERMISSION_DENIED"),
        ("SELECT 1 / (n - 20000) AS a FROM generate_series(1, 40000) AS n", "READ_FAILED"),
    ],
)
def test_a_query_reads_only_and_says_why_it_failed(remote: RemotePostgreSql, query: str, reason: str) -> None:
    execute(
        remote,
        "CREATE TABLE public.orders (n int)",
        "CREATE TABLE public.closed (n int)",
        "CREATE SEQUENCE public.numbers",
        "GRANT ALL ON public.orders, public.numbers TO PUBLIC",
    )
    assert refused(remote, query=query)[0] == reason
    assert read(remote, query="SELECT count(*) AS n FROM public.orders;").to_pylist() == [{"n": 0}]


def test_rows_from_a_value_of_the_cursor_on_are_read(remote: RemotePostgreSql) -> None:
    query = "SELECT n, '2024-01-01'::timestamptz + n * interval '1 us' AS at FROM generate_series(1, 9) AS n"
    assert read(remote, query=query, cursor="n", since="8").column("n").to_pylist() == [8, 9]
    assert read(remote, query=query, cursor="at", since="2024-01-01T00:00:00.000008+00:00").num_rows == 2
    assert read(remote, query=query, cursor="at").num_rows == 9


@pytest.mark.parametrize(
    ("column", "reason"),
    [("NULL::int", "NULL_CURSOR"), ("'a'::text", "UNORDERED_CURSOR"), ("1::numeric", "UNORDERED_CURSOR")],
)
def test_a_column_without_order_or_with_null_is_no_cursor(remote: RemotePostgreSql, column: str, reason: str) -> None:
    assert refused(remote, query=f"SELECT {column} AS c", cursor="c")[0] == reason
    assert refused(remote, query=f"SELECT {column} AS c", cursor="d")[0] == "UNKNOWN_CURSOR"


def test_no_statement_runs_after_its_reader_has_ended(remote: RemotePostgreSql) -> None:
    engine = sa.create_engine(remote.url, poolclass=sa.pool.NullPool)
    active = sa.text("SELECT count(*) FROM pg_stat_activity WHERE usename = :user")
    with opened(remote, Selection(query="SELECT repeat('x', 1000) AS x FROM generate_series(1, 10000000)")) as rows:
        next(rows.batches())
        with engine.connect() as connection:
            assert connection.scalar(active, {"user": remote.user}) == 1
    with engine.connect() as connection:
        while connection.scalar(active, {"user": remote.user}):
            connection.rollback()


def test_a_store_has_no_rows_and_an_address_that_is_refused_sends_none(remote: RemotePostgreSql) -> None:
    store = CONNECTORS["s3"]
    config = store.config.completed(
        {"bucket": "sales", "access_key_id": "a"}, {"secret_access_key": "not a real secret"}
    )
    with pytest.raises(Conflict) as caught, Rows(store, config, Egress(), Selection(table=("a", "b"))):
        pass
    assert (caught.value.metadata or {})["cause"] == "NOT_READABLE"
    config = KIND.config.completed(remote.config, {"password": remote.password})
    with pytest.raises(Conflict) as caught, Rows(KIND, config, Egress(), Selection(query="SELECT 1 AS a")):
        pass
    assert (caught.value.metadata or {})["cause"] == "EGRESS_DENIED"
