"""The budget of the tests is complete, and what judges it sees what it should."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from lakehouse.lineage import LINEAGE_EDGE, Lineage
from tests.budget import GROWTH, Budget
from tests.conformance.one_pass import in_one_pass
from tests.cost import MEASURED, Cost, Costs, suite_of
from tests.databases import with_tables
from tests.one_process import PLATFORM, PUBLISHING, SPARK, group_of
from tests.projection import projected
from tests.statements_run import StatementsRun, on_sqlite_alone

TESTS = Path(__file__).parents[1]
ALONE = {"bench", "e2e", "foreign_tables", "grown"}
"""Folders without a suite, or with one that runs alone."""


def test_every_suite_has_a_budget_and_they_fit() -> None:
    budget = Budget.read()
    suites = {suite_of(str(file.relative_to(TESTS.parent))) for file in TESTS.rglob("test_*.py")}
    assert suites - ALONE == set(budget.suites)
    assert sum(budget.suites.values()) < 60 * budget.minutes * budget.cores


@pytest.mark.parametrize("suite", MEASURED)
def test_a_suite_that_grew_by_half_is_found(suite: str) -> None:
    budget = Budget.read()
    for operations in (200, 2_400):
        pieces = budget.per_operation[suite] / budget.piece_ms * operations
        for growth, found in ((GROWTH + 0.1, [suite]), (GROWTH - 0.1, [])):
            costs = Costs(suites={suite: Cost(pieces=growth * pieces)})
            assert budget.breaches(costs, operations) == found


def test_costs_are_read_as_they_were_written(tmp_path: Path) -> None:
    functions = {"tests/api/test_one.py::test_one": Cost(3, 2.0, 1.0, 7.0)}
    costs = Costs(2.0, {"api": Cost(3, 2.0, 1.0)}, functions, ["tests/api/test_one.py::test_one"])
    costs.statements = {("sqlite", "api/one.py:read thing")}
    costs.write(tmp_path / "new" / "cost.json")
    assert Costs.read(tmp_path / "new" / "cost.json") == costs


def test_the_time_of_a_server_counts_while_it_runs_and_once() -> None:
    """In a process without other servers. That of the tests may have some."""
    program = [sys.executable, "-m", "tests.architecture.server_time"]
    done = subprocess.run(program, capture_output=True, text=True, check=False, cwd=TESTS.parent)
    assert done.returncode == 0, done.stderr


def test_a_statement_that_only_sqlite_runs_is_found(tmp_path: Path) -> None:
    """By the function of the platform that runs it, and only from the suites that count."""
    statements = StatementsRun()
    database = with_tables(f"sqlite:///{tmp_path}/metadata.db")
    lineage = Lineage(database)
    assert lineage.upstream("a").nodes == ()
    assert statements.new() == []
    statements.counts = True
    for _ in range(2):
        assert lineage.upstream("a").nodes == ()
    with database.read() as connection:
        connection.execute(sa.select(LINEAGE_EDGE.c.run))
    found = statements.new()
    assert ("sqlite", "lakehouse/lineage.py:Lineage._refresh lineage_edge") in found
    assert len(found) == len(set(found))
    assert {statement.partition(":")[0] for _, statement in found} == {"lakehouse/lineage.py"}
    alone = sorted(statement for _, statement in found)
    assert on_sqlite_alone({*found, ("postgresql", "other")}) == alone
    others = [one for one in alone if one.split()[0] != alone[0].split()[0]]
    assert on_sqlite_alone({*found, ("postgresql", alone[0])}) == others
    assert on_sqlite_alone({("sqlite", "api/x.py:f made_up"), ("postgresql", "other")}) == [], (
        "no table of the platform"
    )
    assert on_sqlite_alone(set(found)) == [], "PostgreSQL ran nothing, as in make check"
    database.close()


def test_a_projection_has_what_each_further_operation_costs() -> None:
    operations = 800
    budget = replace(Budget.read(), operations=2 * operations, repeats={"unit": 0.25})
    functions = {
        "tests/api/one/test_a.py::test": Cost(cpu=250.0),
        "tests/api/small/test_a.py::test": Cost(cpu=90.0),
        "tests/api/platform/test_a.py::test": Cost(cpu=60.0),
    }
    suites = {"api": Cost(cpu=400.0), "fuzz": Cost(cpu=80.0), "conformance": Cost(cpu=100.0), "unit": Cost(cpu=200.0)}
    costs, services = (
        Costs(suites=suites | {"reliability": Cost(cpu=9.0)}, functions=functions),
        {"one": 790, "small": 10},
    )
    now = projected(costs, None, services, budget)
    assert now == pytest.approx(
        {"api": 400 + 800 * 250 / 790, "fuzz": 160, "conformance": 200, "unit": 250, "reliability": 9}
    )
    grown = Costs(suites={"conformance": Cost(cpu=130.0)})
    assert projected(costs, grown, services, budget) == now | {"conformance": 130.0}


def test_files_that_share_processes_exist_and_stay_together() -> None:
    root = TESTS.parent
    folders = [{str(path.relative_to(root)) for path in (root / one).glob("test_*.py")} for one in (PUBLISHING, SPARK)]
    groups = [PLATFORM, *folders]
    for files in groups:
        assert [file for file in files if not (root / file).is_file()] == []
        assert len(files) > 1
        assert len({group_of(file) for file in files}) == 1
    assert len({group_of(min(files)) for files in groups}) == len(groups)
    assert group_of("tests/e2e/test_at_scale.py") == "tests/e2e/test_at_scale.py"


def test_a_pass_names_everything_that_fails() -> None:
    seen = []

    @in_one_pass("number", range(5))
    async def even(fixture: str, number: int) -> None:
        seen.append((fixture, number))
        assert number % 2 == 0, fixture

    @in_one_pass("number", range(5))
    def small(number: int) -> None:
        assert number < 9

    passes: Any = even
    with pytest.raises(AssertionError, match=r"2 of 5 failed: 1 3\n\n1: AssertionError: given"):
        asyncio.run(passes(fixture="given"))
    assert seen == [("given", number) for number in range(5)]
    asyncio.run(small())
