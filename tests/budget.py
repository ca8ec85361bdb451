"""What the tests may cost, and whether they kept to it: `python -m tests.budget FIGURES` after a run with `--cost`."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.cost import MEASURED, Cost, Costs
from tests.statements_run import on_sqlite_alone

GROWTH = 1.5
TESTS = Path(__file__).parent


@dataclass(frozen=True)
class Budget:
    """The figures of `budget.toml`."""

    minutes: int
    cores: int
    operations: int
    suites: dict[str, float]
    """CPU seconds of each suite at so many operations."""

    per_operation: dict[str, float]
    """Milliseconds for each operation, of the suites in `MEASURED`, where the piece takes `piece_ms`."""

    checks_minutes: float
    """What the linters, the types, and the checks of the console take."""

    repeats: dict[str, float]
    """The share of what a suite costs that comes again when the number of operations doubles."""

    @classmethod
    def read(cls, file: Path = TESTS / "budget.toml") -> Budget:
        return cls(**tomllib.loads(file.read_text()))

    @cached_property
    def piece_ms(self) -> float:
        return self.per_operation["piece_ms"]

    def milliseconds(self, costs: Costs, suite: str, operations: int) -> float:
        """What an operation cost in a suite, on the machine of the recorded figures."""
        return costs.suites.get(suite, Cost()).pieces * self.piece_ms / operations

    def breaches(self, costs: Costs, operations: int) -> list[str]:
        """The suites in which an operation costs half as much again as recorded. One that did not run costs nothing."""
        limits = {suite: GROWTH * self.per_operation[suite] for suite in MEASURED}
        return [suite for suite in MEASURED if self.milliseconds(costs, suite, operations) > limits[suite]]


def operation_count() -> int:
    """How many operations there are."""
    from tests.conformance.operations import ENDPOINTS

    return len(ENDPOINTS)


def lines(costs: Costs, functions: int = 15) -> Iterator[str]:
    """What a run cost, beside what it may."""
    budget, operations = Budget.read(), operation_count()
    total = sum(cost.cpu for cost in costs.suites.values())
    heads = (
        ("tests", 7),
        ("wall s", 9),
        ("CPU s", 9),
        ("share", 8),
        ("budget s", 10),
        ("left s", 9),
        ("CPU ms/op", 11),
    )
    yield f"{'suite':14}" + "".join(f"{head:>{width}}" for head, width in heads)
    for suite, cost in sorted(costs.suites.items(), key=lambda pair: -pair[1].cpu):
        most = budget.suites.get(suite)
        allowed = f"{most:10.0f}{most - cost.cpu:9.0f}" if most else f"{'':19}"
        each = f"{1000 * cost.cpu / operations:11.1f}"
        yield f"{suite:14}{cost.tests:7}{cost.wall:9.0f}{cost.cpu:9.1f}{cost.cpu / total:8.1%}{allowed}{each}"
    most = sum(budget.suites.values())
    yield f"{'all':14}{'':7}{'':9}{total:9.1f}{'':8}{most:10.0f}{most - total:9.0f}"
    counted = f"Budgets are for {budget.operations:,} operations; there are {operations:,}."
    yield f"{counted} Collection took {costs.collection:.0f} s of CPU."
    for suite in MEASURED:
        if found := budget.milliseconds(costs, suite, operations):
            recorded = budget.per_operation[suite]
            text = f"{suite}: {found:.1f} ms for each operation at the recorded machine's speed"
            yield f"{text}; {recorded:.1f} recorded, at most {GROWTH * recorded:.1f}."
    measured = {name: cost for name, cost in costs.functions.items() if cost.pieces}
    for name, cost in sorted(measured.items(), key=lambda pair: -pair[1].pieces)[:functions]:
        each = cost.pieces * budget.piece_ms / operations
        yield f"{each:9.2f} ms/operation {cost.tests:6} tests  {name.removeprefix('tests/')}"


def main(arguments: list[str]) -> int:
    """Judges the figures of a run; measures a suite that costs too much once more, alone. Returns the exit status."""
    budget, operations = Budget.read(), operation_count()
    costs = Costs.read(Path(arguments[0]))
    sys.stdout.writelines(f"SECOND RUN: {test}\n" for test in costs.second_run)
    found = budget.breaches(costs, operations)
    left = []
    for suite in found:
        sys.stdout.write(f"{suite} costs too much for each operation: it is measured again.\n")
        again = measured(suite)
        sys.stdout.write("\n".join(lines(again)) + "\n")
        left += budget.breaches(again, operations)
    alone = on_sqlite_alone(costs.statements)
    sys.stdout.writelines(f"No test runs this on PostgreSQL, so mark one with on_both: {one}\n" for one in alone)
    for suite in left:
        sys.stdout.write(f"{suite} costs half as much again for each operation as tests/budget.toml records.\n")
    return 1 if left or alone else 0


def measured(suite: str) -> Costs:
    """What a suite costs with the machine for itself."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "cost.json")
        command: list[Any] = [sys.executable, "-m", "pytest", "-q", f"--cost={file}", str(TESTS / suite)]
        subprocess.run(command, check=True, cwd=TESTS.parent)
        return Costs.read(file)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
