"""Which Spark SQL a component runs: one query over its inputs, and nothing beside them."""

from __future__ import annotations

import pytest

from assets.datasets.spark_sql import prepared, view_names
from core.errors import InvalidPayload

VIEWS = view_names(["p.silver.flights", "p.silver.airports"])


def test_inputs_are_views_named_by_their_table() -> None:
    assert VIEWS == {"p.silver.flights": "flights", "p.silver.airports": "airports"}
    assert view_names(["p.bronze.a", "p.silver.a"]) == {"p.bronze.a": "bronze_a", "p.silver.a": "silver_a"}


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("SELECT 1.5e3 <= a->b FROM flights;", "SELECT 1.5e3 <= a->b FROM flights"),
        ("SELECT f.origin FROM p.silver.flights AS f", "SELECT f.origin FROM flights AS f"),
        ("SELECT p.silver.flights.origin FROM `p`.silver.flights", "SELECT flights.origin FROM flights"),
        ("SELECT 'p.silver.flights' FROM flights", "SELECT 'p.silver.flights' FROM flights"),
    ],
)
def test_asset_ids_become_views(statement: str, expected: str) -> None:
    assert prepared(statement, VIEWS) == expected


@pytest.mark.parametrize(
    "statement",
    [
        "WITH late AS (SELECT * FROM flights) SELECT * FROM late JOIN airports ON true",
        "SELECT * FROM (SELECT * FROM flights) x, airports a WHERE EXTRACT(YEAR FROM x.d) = 2013",
        "SELECT * FROM flights, LATERAL (SELECT max(y) FROM airports)",
        "SELECT a IS DISTINCT FROM b, trim(BOTH ' ' FROM c) FROM flights",
        "SELECT * FROM (flights JOIN (airports) ON true)",
        "SELECT id FROM range(10) UNION ALL SELECT 1 FROM flights",
        "SELECT `delete`, 'insert into' FROM flights -- delete from flights",
        "(SELECT transform(xs, x -> x + 1) FROM flights) UNION (SELECT 1 FROM airports)",
        "SELECT * FROM flights JOIN airports USING (faa)",
    ],
)
def test_queries_over_the_inputs_pass(statement: str) -> None:
    assert prepared(statement, VIEWS) == statement.strip()


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("", "one SELECT"),
        ("DROP TABLE flights", "one SELECT"),
        ("SELECT 1 FROM flights; DROP TABLE flights", "; has no place"),
        ("WITH x AS (SELECT 1) INSERT INTO flights SELECT * FROM x", "INSERT has no place"),
        ("SELECT * FROM p.silver.planes", "reads p.silver.planes, which is not among the inputs"),
        ("SELECT * FROM flights.silver.planes", "reads flights.silver.planes"),
        ("SELECT * FROM planes", "reads planes"),
        ("SELECT * FROM (planes)", "reads planes"),
        ("SELECT * FROM ((read_files('/etc/passwd')))", "reads read_files"),
        ("SELECT * FROM flights, planes", "reads planes"),
        ("SELECT * FROM (SELECT 1) a, planes", "reads planes"),
        ("SELECT * FROM flights JOIN (SELECT * FROM planes)", "reads planes"),
        ("SELECT * FROM parquet.`/etc/x`", "by path"),
        ("SELECT * FROM flights, text.passwd", "by path"),
        ("SELECT * FROM flights, `org.x`.`/etc/passwd`", "by path"),
        ("SELECT * FROM read_files('/etc/passwd')", "reads read_files"),
        ("SELECT * FROM flights, read_files('/etc/passwd')", "reads read_files"),
        ("SELECT * FROM flights('x')", "reads flights"),
        ("SELECT * FROM identifier('text.`/etc/passwd`')", "identifier"),
        ("SELECT java_method('java.lang.System', 'exit', 0) FROM flights", "java_method"),
        ("SELECT TRANSFORM(a) USING '/bin/sh' FROM flights", "scripts"),
    ],
)
def test_everything_else_is_refused(statement: str, fault: str) -> None:
    with pytest.raises(InvalidPayload, match=fault):
        prepared(statement, VIEWS)
