"""SQL expressions over one row: what they compute stays, and none reads more than the row.

The kind of fault: an expression of a user is given to an engine as it was written, and the engine takes more than an
expression. Polars takes subqueries, and opens the files that they name while it parses.
"""

from __future__ import annotations

import re
import string
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import InvalidArgument
from lakehouse.expressions import checked_expression, row_expression

ROOT = Path(__file__).parents[3]
ROWS = pl.DataFrame(
    {"a": [1, None, 3], "b": [2, 2, 2], "s": ["x", "it's", None], "t": [True, False, None]}
).with_columns(at=pl.datetime(2013, 1, pl.col("b") + 1, 5, time_zone="UTC"))


@pytest.mark.parametrize(
    "text",
    [
        "a >= 0 AND b <= a OR NOT t",
        "a BETWEEN 1 AND 2 AND b NOT BETWEEN 5 AND 6",
        "a IN (1, 3) OR a NOT IN (2)",
        "a IS NULL OR s IS NOT NULL",
        "a - (b - 1) - 2 * (a + b) / 2 % 3",
        "a // 2",
        "-a + 1.5e3",
        "a::float > 1 AND CAST(b AS TINYINT) = 2 AND TRY_CAST(s AS INT) IS NULL",
        "s LIKE 'i%' OR s ILIKE 'X'",
        "s ~ 'x' OR s ~* 'X' OR s !~ 'y'",
        "s = 'it''s'",
        "s || 'x'",
        "CASE WHEN t THEN a ELSE b END",
        "CASE b WHEN 2 THEN 'two' END",
        "COALESCE(a, b, 0)",
        "EXTRACT(hour FROM at)",
        "at + INTERVAL '1 hour' > at",
        "LENGTH(s) > 1 AND UPPER(s) = 'X' AND SUBSTRING(s, 1, 1) = 'x' AND TRIM(s) <> ''",
        "ROUND(SIN(2 * PI() * b / 24), 3)",
        "a <=> b OR a IS DISTINCT FROM b",
        'CAST("a" AS DOUBLE)',
        "a > 1 -- a comment",
        "a > /* a comment */ 1",
    ],
)
def test_an_expression_means_what_it_meant(text: str) -> None:
    expected = ROWS.select(found=pl.sql_expr(text))
    assert ROWS.select(found=row_expression(text)).equals(expected, null_equal=True)


def test_every_expression_of_the_sample_project_means_what_it_meant() -> None:
    names = "holds|known_at|train|tune|test|train_where|holdout_where"
    found = []
    for file in (ROOT / "dagster_project").rglob("*.yaml"):
        found += re.findall(rf"^\s*(?:- )?(?:{names}): (.+)$", file.read_text(), re.MULTILINE)
    assert len(found) >= 8
    for text in found:
        assert str(row_expression(text)) == str(pl.sql_expr(text))


@pytest.mark.parametrize(
    "text",
    [
        "a IN (SELECT a FROM read_csv('{file}'))",
        "(SELECT max(a) FROM read_csv('{file}')) = 1",
        "a = (SELECT a FROM read_parquet('{file}'))",
        "EXISTS (SELECT 1 FROM read_json('{file}'))",
        "a IN (FROM read_csv('{file}'))",
        "a IN (TABLE x)",
        "a IN (VALUES (1))",
        "a = ANY (SELECT a FROM read_csv('{file}'))",
        "a = ALL (SELECT a FROM read_csv('{file}'))",
        "CASE WHEN a IN (SELECT a FROM read_csv('{file}')) THEN 1 END",
        "COALESCE(a, (SELECT a FROM read_csv('{file}')))",
        "SUM(a) FILTER (WHERE a IN (SELECT a FROM read_csv('{file}')))",
        "ARRAY(SELECT a FROM read_csv('{file}'))",
        "a -- \r IN (SELECT a FROM read_csv('{file}'))",
        "a /* /* */ IN (SELECT a FROM read_csv('{file}')) -- */ */",
        "'\\' || (SELECT a FROM read_csv('{file}')) || '\\'",
        "E'\\'' || (SELECT a FROM read_csv('{file}')) -- '",
        "$$'$$ || (SELECT a FROM read_csv('{file}')) -- '",
        "x'\\' || (SELECT a FROM read_csv('{file}')) --'",
        '"a""" IN (SELECT a FROM read_csv(\'{file}\')) -- "',
        "`a``` IN (SELECT a FROM read_csv('{file}')) -- `",
        "a FROM read_csv('{file}')",
        "a UNION SELECT a FROM read_csv('{file}')",
        "a; SELECT a FROM read_csv('{file}')",
        "a, b",
        "a AS b",
        "a WHERE b",
        "DISTINCT a",
        "$1",
        "?",
        "",
        "selekt a b",
        "(" * 5000 + "a" + ")" * 5000,
        "a + " * 5000 + "a",
    ],
)
def test_more_than_an_expression_is_refused_before_a_file_is_looked_for(tmp_path: Path, text: str) -> None:
    missing = tmp_path / "missing.csv"  # Polars would say that it does not exist
    with pytest.raises(InvalidArgument) as caught:
        row_expression(text.format(file=missing) if "{file}" in text else text)
    assert "os error" not in caught.value.detail


@settings(deadline=None)
@given(st.text(alphabet=string.printable, max_size=40))
def test_what_is_written_stays_the_same(tail: str) -> None:
    """Property: an expression that passes is written in a form that passes and is written so again."""
    try:
        written = checked_expression(f"a > 1 {tail}")
    except InvalidArgument:
        return
    assert checked_expression(written) == written
    assert not re.search(r"\(\s*(select|from|with|values|table)\b", re.sub(r"'([^']|'')*'", "", written), re.IGNORECASE)
