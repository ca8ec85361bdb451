"""Column lineage of SQL: right, or not given at all."""

from __future__ import annotations

import pytest

from lakehouse.sql_lineage import column_lineage

SCHEMAS = {"p.s.f": ["carrier", "day", "delay", "cancelled"], "p.s.a": ["carrier", "name"]}

CASES = {
    "SELECT carrier, delay * 2 AS twice FROM p.s.f": [["f.carrier"], ["f.delay"]],
    "SELECT * FROM p.s.a": [["a.carrier"], ["a.name"]],
    "SELECT * EXCLUDE (carrier) FROM p.s.a": [["a.name"]],
    "SELECT a.* FROM p.s.f JOIN p.s.a AS a USING (carrier)": [["a.carrier", "f.carrier"], ["a.name"]],
    "SELECT * FROM p.s.f JOIN p.s.a USING (carrier)": [
        ["a.carrier", "f.carrier"], ["f.day"], ["f.delay"], ["f.cancelled"], ["a.name"]
    ],
    "SELECT avg(delay) FILTER (WHERE NOT cancelled) FROM p.s.f": [["f.cancelled", "f.delay"]],
    "SELECT count(*) AS n, 1 AS one FROM p.s.f": [[], []],
    "WITH m AS (SELECT carrier, max(delay) AS d FROM p.s.f GROUP BY carrier) SELECT d + 1 FROM m": [["f.delay"]],
    "WITH m(x, y) AS (SELECT carrier, delay FROM p.s.f) SELECT y FROM m": [["f.delay"]],
    "WITH a AS (SELECT name FROM p.s.a), b AS (SELECT * FROM a) SELECT * FROM b": [["a.name"]],
    "SELECT carrier FROM p.s.f UNION ALL SELECT name FROM p.s.a": [["a.name", "f.carrier"]],
    "SELECT q.n FROM (SELECT name AS n FROM p.s.a) AS q": [["a.name"]],
    "SELECT (SELECT max(name) FROM p.s.a AS a WHERE a.carrier = f.carrier) AS n FROM p.s.f AS f": [["a.name"]],
    "SELECT delay AS d, d + 1 AS e FROM p.s.f": [["f.delay"], ["f.delay"]],
    "SELECT row_number() OVER (PARTITION BY carrier ORDER BY day) AS r FROM p.s.f": [["f.carrier", "f.day"]],
    "SELECT CASE WHEN cancelled THEN 0 ELSE delay END AS d FROM p.s.f": [["f.cancelled", "f.delay"]],
    "SELECT CARRIER FROM P.S.F": [["f.carrier"]],
}  # fmt: skip


@pytest.mark.parametrize(("statement", "expected"), CASES.items(), ids=range(len(CASES)))
def test_sources_of_each_column(statement: str, expected: list[list[str]]) -> None:
    found = column_lineage(statement, SCHEMAS)
    assert found is not None
    assert [sorted(f"{table[4:]}.{column}" for table, column in sources) for sources in found] == expected


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM range(3)",
        "SELECT COLUMNS('c.*') FROM p.s.f",
        "SELECT list_transform([delay], x -> x + 1) FROM p.s.f",
        "SELECT * FROM p.s.f NATURAL JOIN p.s.a",
        "SELECT * FROM p.s.f UNION BY NAME SELECT * FROM p.s.a",
        "SELECT nope FROM p.s.f",
        "SELECT * FROM p.s.unknown",
        "PIVOT p.s.f ON carrier USING sum(delay)",
        "SELEC 1",
    ],
)
def test_what_is_not_understood_gives_none(statement: str) -> None:
    assert column_lineage(statement, SCHEMAS) is None
