"""Which Spark SQL a component runs: one query over its inputs, and nothing beside them.

The kind of fault: what decides whether a statement is allowed reads it otherwise than the engine that runs it. So the
engine never gets what the user wrote, and what it gets has one reading.
"""

from __future__ import annotations

import re
import string

import pytest
import sqlglot
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlglot import exp

from assets.datasets.spark_sql import prepared, view_names
from core.errors import InvalidPayload
from tests.hostile_sql import SPARK_ATTACKS

VIEWS = view_names(["p.silver.flights", "p.silver.airports"])
HOSTILE_VIEWS = {"t.in.view": "view"}


def test_inputs_are_views_named_by_their_table() -> None:
    assert VIEWS == {"p.silver.flights": "flights", "p.silver.airports": "airports"}
    assert view_names(["p.bronze.a", "p.silver.a"]) == {"p.bronze.a": "bronze_a", "p.silver.a": "silver_a"}


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("SELECT 1.5e3 <= a FROM flights;", "SELECT 1.5e3 <= `a` FROM `flights`"),
        ("SELECT f.origin FROM p.silver.flights AS f", "SELECT `f`.`origin` FROM `flights` AS `f`"),
        ("SELECT p.silver.flights.origin FROM `p`.silver.flights", "SELECT `flights`.`origin` FROM `flights`"),
        ("SELECT p.silver.flights.a.b.c FROM P.Silver.FLIGHTS", "SELECT `flights`.`a`.`b`.`c` FROM `flights`"),
        ("SELECT p.silver.flights.* FROM p.silver.flights", "SELECT `flights`.* FROM `flights`"),
        ("SELECT 'p.silver.flights' FROM flights", "SELECT 'p.silver.flights' FROM `flights`"),
    ],
)
def test_asset_ids_become_views(statement: str, expected: str) -> None:
    assert prepared(statement, VIEWS) == expected


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("SELECT a -- a comment\n, b /* c */ FROM flights", "SELECT `a`, `b` FROM `flights`"),
        ("SELECT /*+ BROADCAST(flights) */ a FROM flights", "SELECT `a` FROM `flights`"),
        ('SELECT \'it\'\'s\', "say ""a"""', r"SELECT 'it\u0027s', 'say \u0022a\u0022'"),
        (r"SELECT '\'\\\n\%\u00e9', r'\d+'", r"SELECT '\u0027\u005C\u000A\u005C%é', '\u005Cd+'"),
        ("SELECT 'a' 'b'\n'c'", "SELECT 'abc'"),
        ("SELECT \"a'b\", 'a`b'", r"SELECT 'a\u0027b', 'a\u0060b'"),
        ("SELECT '\u2028', '\u200b', '\U000e0001'", r"SELECT '\u2028', '\u200B', '\U000E0001'"),
        ("SELECT 2 * INTERVAL 1 DAY 2 HOURS", "SELECT 2 * (INTERVAL '1' DAY + INTERVAL '2' HOURS)"),
        ("SELECT DATE '2013-01-01', timestamp'2013-01-01'", "SELECT DATE '2013-01-01', TIMESTAMP '2013-01-01'"),
        ("SELECT datediff(day, a, b), date_add(a, 1) FROM flights", None),
        ("SELECT array(1, 2)[0], map('a', 1)['a'], a:: int FROM flights", None),
    ],
)
def test_what_is_written_has_one_reading(statement: str, expected: str | None) -> None:
    text = prepared(statement, VIEWS)
    assert expected in (text, None)
    assert prepared(text, VIEWS) == text


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
        "SELECT * FROM flights LATERAL VIEW OUTER explode(x) e AS y",
        "SELECT sum(a) OVER w FROM flights WINDOW w AS (PARTITION BY b ORDER BY c ROWS 2 PRECEDING)",
        "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 5) SELECT * FROM r",
        "WITH flights AS (SELECT * FROM flights) SELECT * FROM flights",
        "SELECT window.start, count(*) FROM flights GROUP BY window(at, '5 minutes')",
        "SELECT * FROM flights UNPIVOT (v FOR n IN (a, b))",
        "SELECT * FROM flights PIVOT (sum(a) FOR b IN ('x' AS y))",
        "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY a) FILTER (WHERE b) FROM flights GROUP BY ALL",
        "SELECT a LIKE ANY ('x%', 'y%'), (a, b) IN (SELECT 1, 2), CAST(c AS STRUCT<x: INT>).x FROM flights",
        "SELECT * EXCEPT (a), current_date, current_timestamp() FROM flights ORDER BY ALL LIMIT ALL",
        "SELECT `ü b/c:d` AS `a\\b` FROM flights",
    ],
)
def test_queries_over_the_inputs_pass(statement: str) -> None:
    text = prepared(statement, VIEWS)
    assert prepared(text, VIEWS) == text


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("", "one SELECT"),
        ("DROP TABLE flights", "one SELECT"),
        ("SELECT 1 FROM flights; DROP TABLE flights", "one SELECT"),
        ("WITH x AS (SELECT 1) INSERT INTO flights SELECT * FROM x", "one SELECT"),
        ("SELECT * FROM p.silver.planes", "reads p.silver.planes, which is not an input"),
        ("SELECT * FROM flights.silver.planes", "reads flights.silver.planes"),
        ("SELECT *\nFROM planes", r"reads planes.*\(line 2, column 11\)"),
        ("SELECT * FROM (planes)", "reads planes"),
        ("SELECT * FROM ((read_files('/etc/passwd')))", "reads read_files"),
        ("SELECT * FROM flights, planes", "reads planes"),
        ("SELECT * FROM (SELECT 1) a, planes", "reads planes"),
        ("SELECT * FROM flights JOIN (SELECT * FROM planes)", "reads planes"),
        ("SELECT * FROM parquet.`/etc/x`", "reads parquet./etc/x"),
        ("SELECT * FROM flights, text.passwd", "reads text.passwd"),
        ("SELECT * FROM flights, `org.x`.`/etc/passwd`", "reads org.x./etc/passwd"),
        ("SELECT * FROM read_files('/etc/passwd')", "reads read_files"),
        ("SELECT * FROM flights, read_files('/etc/passwd')", "reads read_files"),
        ("SELECT * FROM flights('x')", "reads flights"),
        ("SELECT * FROM identifier('text.`/etc/passwd`')", "identifier"),
        ("SELECT java_method('java.lang.System', 'exit', 0) FROM flights", "java_method"),
        ("SELECT TRANSFORM(a) USING '/bin/sh' FROM flights", "not valid Spark SQL near 'USING', line 1"),
        ("selekt 1", "sql: is not valid Spark SQL near '1', line 1, column 8"),
    ],
)
def test_everything_else_is_refused(statement: str, fault: str) -> None:
    with pytest.raises(InvalidPayload, match=fault):
        prepared(statement, VIEWS)


@pytest.mark.parametrize("statement", SPARK_ATTACKS)
def test_no_attack_names_anything_but_the_input(statement: str) -> None:
    """Whatever survives the check reads the view alone, and says so in any dialect's reading of it."""
    try:
        text = prepared(statement.format(file="/secret/canary.txt", table="/secret/table"), HOSTILE_VIEWS)
    except InvalidPayload:
        return
    bare = re.sub(r"'[^']*'|`view`", "", text)  # a literal holds no quote, see the property below
    assert not re.search(r"other|text|delta|canary|secret|reflect", bare, re.IGNORECASE), text


@settings(deadline=None)
@given(st.text(max_size=40))
def test_a_text_never_ends_where_it_should_not(value: str) -> None:
    """Property: any text is written between two quotes, as printable characters, and read back as it was."""
    literal = exp.Literal.string(value)
    from assets.datasets.spark_dialect import CheckedSpark

    written = literal.sql(dialect=CheckedSpark)
    assert not set(written[1:-1]) & set("'\"`")
    assert written.isprintable()
    if not any(0xD800 <= ord(character) <= 0xDFFF for character in value):
        assert sqlglot.parse_one(f"SELECT {written}", dialect=CheckedSpark).expressions[0].this == value


@settings(deadline=None)
@given(st.text(alphabet=string.printable + "\u2028\u00a0é`", max_size=60))
def test_any_tail_is_refused_or_reads_the_inputs(tail: str) -> None:
    """Property: whatever follows a sound query, what comes out is stable and reads nothing else."""
    try:
        text = prepared(f"SELECT a FROM flights {tail}", VIEWS)
    except InvalidPayload:
        return
    assert prepared(text, VIEWS) == text


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT " + "(" * 5000 + "1" + ")" * 5000,
        "SELECT " + "struct(" * 40 + "a" + ")" * 40,
        "SELECT " + "map(" * 40 + "a" + ")" * 40,
        "SELECT " + "NOT " * 5000 + "a",
        "SELECT " + "1 + " * 5000 + "1",
        "SELECT CAST(a AS " + "ARRAY<" * 40 + "INT" + ">" * 40 + ")",
        "SELECT * FROM " + "(SELECT * FROM " * 200 + "flights" + ")" * 200,
        "SELECT '" + "''" * 40_000 + "'",
        "SELECT " + " " * 200_000 + "a",
    ],
)
@pytest.mark.timeout(60)
def test_no_statement_takes_long_to_judge(statement: str) -> None:
    """Deep and long statements end before the test's time limit, and the answer does not depend on the caller."""
    answers = set()

    def ask(depth: int) -> None:
        if depth:
            ask(depth - 1)
        else:
            try:
                answers.add(prepared(statement, VIEWS)[:20])
            except InvalidPayload as error:
                answers.add(error.detail)

    ask(0)
    ask(500)
    assert len(answers) == 1
