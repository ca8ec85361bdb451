"""The budget of the tests is complete, and what judges it sees what it should."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.budget import GROWTH, Budget
from tests.conformance.one_pass import in_one_pass
from tests.cost import MEASURED, Cost, Costs, suite_of
from tests.one_process import PLATFORM, PUBLISHING, group_of

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
    costs.write(tmp_path / "new" / "cost.json")
    assert Costs.read(tmp_path / "new" / "cost.json") == costs


def test_files_that_share_processes_exist_and_stay_together() -> None:
    root = TESTS.parent
    folder = {str(path.relative_to(root)) for path in (root / PUBLISHING).glob("test_*.py")}
    for files in (PLATFORM, folder):
        assert [file for file in files if not (root / file).is_file()] == []
        assert len(files) > 1
        assert len({group_of(file) for file in files}) == 1
    assert group_of(min(PLATFORM)) != group_of(min(folder))
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
