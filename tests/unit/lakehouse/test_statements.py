"""Which DuckDB statements run: one query over tables named by id, with functions that compute from their arguments.

The kind of fault: a statement reaches something that is not a row of a table its caller may read, by a function, a
view of the system, another name of a relation, or another statement inside it; or it takes the process down.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import DeadlineExceeded, HeadwaterError, InvalidArgument, PermissionDenied, UnknownColumn, UnknownTable
from lakehouse.query import Query
from lakehouse.statements import check_statement
from lakehouse.tables import Tables
from tests.databases import with_tables
from tests.hostile_sql import DUCKDB_ATTACKS, SPARK_ATTACKS

CANARY = "canary-51c0"
WORDS = (
    *("current_user", "session_user", "system_user", "user", "current_role", "current_catalog", "current_schema"),
    *("current_database", "current_schemas", "current_query", "version", "txid_current", "pg_postmaster_start_time"),
    *(
        "current_setting",
        "getvariable",
        "inet_client_addr",
        "pg_backend_pid",
        "get_current_user",
        "getenv",
        "pragma_version",
    ),
)


@pytest.fixture(scope="module")
def query(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Query]:
    """Queries over two tables that no statement can change."""
    folder = tmp_path_factory.mktemp("read")
    database = with_tables(f"sqlite:///{folder / 'metadata.db'}")
    tables = Tables(str(folder / "lakehouse"), database)
    tables.append("t.in.view", pa.table({"value": ["harmless"], "n": [1]}))
    tables.append("t.in.other", pa.table({"value": [CANARY]}))
    before = {name: tables.snapshot(name).data_version for name in tables.list()}
    yield Query(tables)
    assert {name: tables.snapshot(name).data_version for name in tables.list()} == before
    database.close()


@pytest.mark.parametrize("statement", DUCKDB_ATTACKS)
def test_no_attack_runs(query: Query, tmp_path: Path, statement: str) -> None:
    file = tmp_path / "canary.txt"
    file.write_text(CANARY)
    statement = statement.format(file=file)
    try:
        result = query.sql(statement)
    except (InvalidArgument, PermissionDenied, UnknownTable) as refusal:
        outcome = refusal.detail
    else:
        outcome = repr(result.table.to_pylist())
        assert re.search(r"--|/\*", statement)  # its end is a comment
        assert set(result.inputs) <= {"t.in.view"}
    assert CANARY not in outcome


@pytest.mark.parametrize("word", WORDS)
def test_no_word_tells_of_the_engine(query: Query, word: str) -> None:
    """The kind: a word without parentheses that the engine takes for a function, since no column has that name."""
    answered = []
    for form in (word, f'"{word.upper()}"', f"lower({word})", f"main.{word}()"):
        for statement in (
            f"SELECT {form} AS x",
            f"SELECT n FROM t.in.view WHERE {form} IS NOT NULL",
            f"VALUES ({form})",
        ):
            with suppress(InvalidArgument, PermissionDenied, UnknownColumn):
                answered.append(query.sql(statement).table.to_pylist())
            with suppress(InvalidArgument, PermissionDenied, UnknownColumn):
                query.bind(statement, {"t.in.view": pa.schema([("value", pa.string()), ("n", pa.int64())])})
                answered.append(f"binds: {statement}")
    assert answered == []


def test_a_column_may_be_called_like_such_a_word(tables: Tables) -> None:
    tables.append("t.in.people", pa.table({"user": ["ana"], "current_user": ["ben"]}))
    rows = Query(tables).sql("SELECT user, current_user, p.user AS again FROM t.in.people p").table.to_pylist()
    assert rows == [{"user": "ana", "current_user": "ben", "again": "ana"}]


def test_no_attack_on_another_dialect_yields_a_row_of_anything_else(query: Query, tmp_path: Path) -> None:
    file = tmp_path / "canary.txt"
    file.write_text(CANARY)
    for statement in SPARK_ATTACKS:
        try:
            result = query.sql(statement.format(file=file, table=tmp_path).replace("FROM view", "FROM t.in.view"))
        except HeadwaterError as refusal:
            outcome = refusal.detail
        else:
            outcome = repr(result.table.to_pylist())
            # A caller who may read a table may name it by its id: `inputs` tells which were.
            outcome = "" if "t.in.other" in result.inputs else outcome
        assert CANARY not in outcome


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT value, 'it''s' AS a, E'\\n' AS b, $$x'y$$ AS c FROM t.in.view -- comment",
        'SELECT "value" AS "a""b" FROM "t"."in"."view"',
        "WITH view AS (SELECT * FROM t.in.view) SELECT * FROM view",
        "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 5) SELECT max(n) FROM r",
        "SELECT * EXCLUDE (n) REPLACE (upper(value) AS value) FROM t.in.view",
        "SELECT COLUMNS('v.*') FROM t.in.view",
        "SELECT list_transform([n, 2], lambda x: x + 1), [x * 2 FOR x IN [1, 2] IF x > 1], {'a': n}.a FROM t.in.view",
        "SELECT n::DECIMAL(10, 2), TRY_CAST(value AS INT), CAST(NULL AS STRUCT(x INT)[]) FROM t.in.view",
        "SELECT sum(n) OVER w, row_number() OVER (ORDER BY n) FROM t.in.view WINDOW w AS (PARTITION BY value)",
        "SELECT count(*) FILTER (WHERE n > 0), string_agg(value, ',' ORDER BY n) FROM t.in.view GROUP BY ALL",
        "SELECT * FROM t.in.view a ASOF JOIN t.in.view b ON a.value = b.value AND a.n >= b.n",
        "SELECT * FROM t.in.view PIVOT (sum(n) FOR value IN ('harmless', 'x'))",
        "SELECT * FROM t.in.view UNPIVOT (v FOR name IN (n))",
        "SELECT * FROM range(3) r(i), unnest([1, 2]) u(x), LATERAL (SELECT i + x) l ORDER BY ALL",
        "SELECT DISTINCT ON (n) value FROM t.in.view ORDER BY n DESC NULLS LAST LIMIT 50% OFFSET 0",
        "SELECT n FROM t.in.view UNION ALL BY NAME SELECT 2 AS n EXCEPT SELECT 3 INTERSECT SELECT 1 ORDER BY n",
        "SELECT DATE '2020-01-01' + INTERVAL 1 DAY, extract(year FROM DATE '2020-01-01'), now() > DATE '2000-01-01'",
        "SELECT value ~ 'h.*', value SIMILAR TO 'h%', value ILIKE 'H%' ESCAPE '!', value GLOB 'h*' FROM t.in.view",
        "SELECT value[1], value[1:2], value.upper(), ('{\"a\": 1}'::JSON)->>'a', x'ab', 1e3, -5, 0x10 FROM t.in.view",
        "SELECT CASE n WHEN 1 THEN 'x' END, n BETWEEN 0 AND 2, n IN (1, 2), EXISTS (FROM t.in.view) FROM t.in.view",
        "SELECT max(value) AS m FROM t.in.view HAVING count(*) = 1 QUALIFY row_number() OVER () = 1",
        "VALUES (1, 'a'), (2, 'b')",
        "FROM t.in.view",
        "TABLE t.in.view",
        "(SELECT 1) UNION (SELECT 1) ORDER BY 1;",
        "DESCRIBE t.in.view",
        "DESCRIBE SELECT 1 AS a, 'x' AS b",
        "SELECT column_name FROM (DESCRIBE t.in.view)",
        "SUMMARIZE t.in.view",
        "SHOW t.in.view",
        "SELECT value COLLATE NOCASE = 'HARMLESS' FROM t.in.view",
        "SELECT * FROM t.in.view TABLESAMPLE 100 PERCENT (bernoulli)",
        "SELECT TRY(CAST('x' AS INT)), typeof(n), hash(n) IS NOT NULL FROM t.in.view",
        "SELECT #1 FROM t.in.view",
    ],
)
def test_a_query_gives_what_it_gave(query: Query, statement: str) -> None:
    """Written from the tree it names the same columns, of the same types, with the same rows."""
    connection = duckdb.connect(":memory:")
    connection.execute("ATTACH ':memory:' AS t; CREATE SCHEMA t.in; SET TimeZone = 'UTC'")
    connection.register("rows", query.sql("FROM t.in.view").table)
    connection.execute("CREATE VIEW t.in.view AS FROM temp.main.rows")
    expected = connection.sql(statement).to_arrow_table()
    found = query.sql(statement).table
    assert found.schema == expected.schema
    assert found.to_pylist() == expected.to_pylist()


def test_show_tables_is_seen_in_the_tree(query: Query) -> None:
    for statement in ("SHOW TABLES", "show all tables;", "SHOW /* x */ TABLES -- y"):
        assert query.sql(statement).table["name"].to_pylist() == ["t.in.other", "t.in.view"]
        assert query.tables(statement) == []


@settings(deadline=None)
@given(st.text(alphabet=string.printable + "\u00a0é", max_size=40))
def test_any_tail_is_refused_or_reads_the_table(tail: str) -> None:
    """Property: whatever follows a sound query, what runs is stable and reads what it says."""
    with duckdb.connect(":memory:", config={"threads": 1}) as connection:
        try:
            first = check_statement(connection, f"SELECT value FROM t.in.view {tail}")
        except HeadwaterError:
            return
        again = check_statement(connection, first.text)
        assert again.tables == first.tables == ["t.in.view"]


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT count(*) FROM range(1000000) a, range(1000000) b, range(1000000) c WHERE a.range * b.range = c.range",
        "WITH RECURSIVE r AS (SELECT 1::HUGEINT AS n UNION ALL SELECT n + 1 FROM r) SELECT max(n) FROM r",
        "SELECT * FROM range(100000000000)",
        "SELECT * FROM range(1000000) a, range(1000000) b",
        "SELECT repeat('x', 10000000000)",
        "SELECT list(a.range) FROM range(1000000) a, range(1000000) b",
        "SELECT * FROM repeat('x', 1000000000000)",
        "SELECT range(0, 10000000000)",
        "SELECT list_resize([1], 100000000000)",
        "SELECT " + "(" * 20_000 + "1" + ")" * 20_000,
        "SELECT " + "1 + " * 20_000 + "1",
        "SELECT " + "[" * 5_000 + "]" * 5_000,
    ],
)
def test_no_statement_takes_the_process_down(tables: Tables, statement: str) -> None:
    """Time, memory and depth end a statement with an error; the process answers on."""
    small = Query(tables, timeout_seconds=2.0, memory_limit="100MB", result_bytes=50_000_000)
    with pytest.raises((DeadlineExceeded, InvalidArgument)):
        small.sql(statement)
    assert small.sql("SELECT 1 AS one").table.to_pylist() == [{"one": 1}]
