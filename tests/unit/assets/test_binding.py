"""What is wrong with a definition is found before a run, where the tables that exist tell it.

The kind of fault: an attribute that no run could ever do anything with (a column that is not there, or under another
case; a bound on what has no order; a statement that does not bind) is accepted, and every run fails.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from assets.binding import findings_of
from assets.components import component
from core.errors import HeadwaterError, InvalidPayload
from lakehouse.query import Query
from lakehouse.tables import Tables
from tests.databases import with_tables

FLIGHTS = pa.table(
    {
        "origin": ["EWR"],
        "delay": pa.array([1], pa.int32()),
        "day": pa.array([0], pa.date32()),
        "seen": pa.array([0], pa.timestamp("us", "UTC")),
        "late": [True],
    }
)
SQL = {
    "asset": "p.gold.t",
    "description": "d",
    "sql": "SELECT origin, delay, day, seen, late FROM p.silver.flights",
}
CSV = {
    "asset": "p.bronze.t",
    "description": "d",
    "source": {"kind": "csv", "path": "t.csv"},
    "columns": {"a": {"type": "int64"}, "b": {"type": "string"}, "c": {"type": "date"}},
}


@pytest.fixture
def tables(tmp_path: Path) -> Iterator[Tables]:
    database = with_tables(f"sqlite:///{tmp_path}/metadata.db")
    yield Tables(str(tmp_path / "lakehouse"), database)
    database.close()


@pytest.fixture
def lake(tables: Tables) -> Tables:
    tables.append("p.silver.flights", FLIGHTS)
    tables.append("p.silver.airports", pa.table({"faa": ["EWR"], "number": [1]}))
    return tables


def faults(lake: Tables, name: str, attributes: dict[str, Any]) -> list[dict[str, str]]:
    return findings_of(component(name, attributes), lake).faults


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("SELECT dealy FROM p.silver.flights", "does not exist: dealy.*delay.*line 1, column 8"),
        ("SELECT origin\nFROM p.silver.flights\nWHERE dealy > 1", "line 3, column 7"),
        ("SELECT f.dealy FROM p.silver.flights f", "dealy"),
        ("SELECT origin, count(*) FROM p.silver.flights", "GROUP BY"),
        (
            "SELECT origin + 1 FROM p.silver.flights JOIN p.silver.airports ON origin = day",
            "(?i)no function matches|cannot compare",
        ),
        ("SELECT delay + day + late FROM p.silver.flights", "(?i)no function matches|explicit type casts"),
        ("SELECT nonsense(delay) FROM p.silver.flights", "the function nonsense is not allowed"),
        ("SELECT upper(delay, 1, 2) FROM p.silver.flights", "(?i)no function matches"),
        ("SELECT a.* FROM p.silver.flights f", '(?i)table "a"|not find|does not exist'),
        ("SELECT origin FROM p.silver.flights UNION SELECT origin, delay FROM p.silver.flights", "(?i)same number"),
        ("SELECT 1 FROM p.silver.flights LIMIT 'x'", "(?i)convert|cast"),
    ],
)
def test_a_statement_that_cannot_run_is_refused(lake: Tables, statement: str, message: str) -> None:
    (fault, *_) = faults(lake, "SqlTransformComponent", SQL | {"sql": statement})
    assert fault["pointer"] == "/attributes/sql"

    assert re.search(message, fault["detail"], re.DOTALL), fault["detail"]


@pytest.mark.parametrize(
    "statement",
    [
        SQL["sql"],
        "SELECT ORIGIN, Delay, day, late FROM P.silver.FLIGHTS",
        "SELECT delay AS x, x + 1 AS y, origin, day, late, delay FROM p.silver.flights",
        "SELECT * FROM p.silver.flights WHERE dealy IS NULL AND day = '2013-01-01'".replace("dealy", "delay"),
        "SELECT f.origin, f.delay, f.day, f.late FROM p.silver.flights f JOIN p.silver.airports a ON a.faa = f.origin",
    ],
)
def test_a_statement_that_can_run_is_not(lake: Tables, statement: str) -> None:
    assert faults(lake, "SqlTransformComponent", SQL | {"sql": statement}) == []


def test_what_cannot_be_known_is_not_judged(lake: Tables) -> None:
    sql = "SELECT nobody_knows FROM p.silver.not_made_yet"
    checks = [{"unique": ["nobody_knows"]}, {"range": {"column": "x", "min": 1}}]
    assert faults(lake, "SqlTransformComponent", SQL | {"sql": sql, "checks": checks}) == []
    (fault,) = faults(lake, "SqlTransformComponent", SQL | {"sql": sql.replace("nobody_knows", "getenv('x')")})
    assert "not allowed" in fault["detail"]


CHECKS = [
    ({"unique": ["origin", "delay"]}, None),
    ({"unique": ["nope"]}, "the table has no column nope; it has origin, delay"),
    ({"unique": ["Origin"]}, "no column Origin; it has origin, and case matters"),
    ({"not_null": ["delay"]}, None),
    ({"not_null": ["delay", "DELAY"]}, "it has delay, and case matters"),
    ({"range": {"column": "delay", "min": 0, "max": 9}}, None),
    ({"range": {"column": "nope", "min": 0}}, "no column nope"),
    ({"range": {"column": "origin", "min": 0}}, "cannot be evaluated"),
    ({"range": {"column": "day", "min": 0}}, "day is of type date32"),
    ({"range": {"column": "seen", "min": 0}}, "seen is of type timestamp"),
    ({"references": {"column": "origin", "table": "p.silver.airports", "key": "faa"}}, None),
    ({"references": {"column": "nope", "table": "p.silver.airports", "key": "faa"}}, "no column nope"),
    ({"references": {"column": "origin", "table": "p.silver.airports", "key": "FAA"}}, "it has faa, and case matters"),
    ({"references": {"column": "origin", "table": "p.silver.airports", "key": "number"}}, "cannot be evaluated"),
    ({"references": {"column": "origin", "table": "p.silver.nowhere", "key": "x"}}, None),
    ({"name": "a", "holds": "delay >= 0 AND origin LIKE 'E%'"}, None),
    ({"name": "a", "holds": "dealy >= 0"}, "cannot be evaluated"),
    ({"name": "a", "holds": "origin >= 0"}, "cannot be evaluated"),
    ({"name": "a", "holds": "delay >="}, "not a SQL expression"),
    ({"name": "a", "holds": "delay IN (SELECT 1)"}, "subquery"),
    ({"row_count": {"min": 1}}, None),
]


@pytest.mark.parametrize(("check", "message"), CHECKS)
def test_every_check_is_tried_on_no_rows(lake: Tables, check: dict[str, Any], message: str | None) -> None:
    found = faults(lake, "SqlTransformComponent", SQL | {"checks": [{"row_count": {"min": 0}, "name": "first"}, check]})
    assert [fault["pointer"] for fault in found] == ([] if message is None else ["/attributes/checks/1"])
    assert message is None or message in found[0]["detail"]


def test_described_columns_exist(lake: Tables) -> None:
    (fault,) = faults(lake, "SqlTransformComponent", SQL | {"columns": {"origin": "x", "Delay": "y"}})
    assert fault == {
        "pointer": "/attributes/columns/Delay",
        "detail": "the result has no column Delay; it has delay, and case matters",
    }


@pytest.mark.parametrize(
    ("check", "message"),
    [
        ({"range": {"column": "a", "min": 0}}, None),
        ({"range": {"column": "b", "min": 0}}, "cannot be evaluated"),
        ({"range": {"column": "c", "max": 0}}, "c is of type date32"),
        ({"unique": ["A"]}, "case matters"),
    ],
)
def test_checks_of_a_typed_file_are_tried(lake: Tables, check: dict[str, Any], message: str | None) -> None:
    found = faults(lake, "DatasetComponent", CSV | {"checks": [check]})
    assert (message is None) == (found == [])
    assert message is None or message in found[0]["detail"]


@pytest.mark.parametrize("kind", ["string", "bool", "date", "timestamp"])
@pytest.mark.parametrize("bound", ["min", "max"])
def test_bounds_are_for_numbers(kind: str, bound: str) -> None:
    with pytest.raises(InvalidPayload, match=f"x is of type {kind}; min and max apply to numbers only"):
        component("DatasetComponent", CSV | {"columns": {"x": {"type": kind, bound: 1}}})


def test_a_landing_table_leaves_room_for_the_name_of_its_quarantine() -> None:
    landing = CSV | {"source": {"kind": "landing"}}
    component("DatasetComponent", landing | {"asset": f"p.bronze.{'t' * 52}"})
    with pytest.raises(InvalidPayload, match="at most 52 characters"):
        component("DatasetComponent", landing | {"asset": f"p.bronze.{'t' * 53}"})


@pytest.mark.parametrize(
    "expression",
    [
        "INTERVAL 1 MONTH",
        "TIME '10:00'",
        "{'a': 1, 'A': 2}",
        "CAST('00000000-0000-0000-0000-000000000001' AS UUID)",
        "CAST('1' AS BIT)",
        "NULL",
    ],
)
def test_what_a_run_could_not_store_is_refused_and_nothing_else(lake: Tables, expression: str) -> None:
    """The answer is that of the write itself, so a definition is neither refused nor accepted by mistake."""
    statement = f"SELECT origin, {expression} AS x FROM p.silver.flights"
    found = faults(lake, "SqlTransformComponent", SQL | {"sql": statement})
    try:
        lake.create_with("p.gold.tried", Query(lake).sql(statement).table)
    except HeadwaterError:
        assert [fault["pointer"] for fault in found] == ["/attributes/sql"]
    else:
        assert found == []


@pytest.mark.parametrize(
    "expression", ["sum(delay)", "count(*)", "avg(delay)", "list(origin)", "max(day)", "first(seen)"]
)
def test_aggregates_can_be_stored(lake: Tables, expression: str) -> None:
    statement = f"SELECT {expression} AS x FROM p.silver.flights"
    assert faults(lake, "SqlTransformComponent", SQL | {"sql": statement}) == []
