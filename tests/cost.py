"""What the tests cost: a pytest plugin that sums CPU time by suite and by test function (`--cost`).

The CPU time of a test is that of its process and of all subprocesses, with set-up and teardown. A server that outlives
a test costs each test what it uses meanwhile. PostgreSQL, which detaches itself, counts as a subprocess.
"""

from __future__ import annotations

import gc
import hashlib
import json
import sqlite3
import statistics
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.cpu_time import SERVERS, of_this_process
from tests.statements_run import SUITES, StatementsRun

MEASURED = ("conformance", "fuzz")
"""Suites that cost something for each operation: what one costs is compared with a recorded figure."""

FRESH_SECONDS = 10
"""How long a measurement of the machine's speed holds."""

SERVERS_SECONDS = 1
"""How often the time of running servers is read within a file. To read it for all processes takes 3 ms."""


def piece_seconds() -> float:
    """The CPU time of a fixed piece of work of the tests' sort: how fast this machine is now, under its load."""
    collects = gc.isenabled()
    gc.disable()  # a collection costs as much as the whole process has objects
    try:
        return statistics.median(_piece() for _ in range(3))
    finally:
        if collects:
            gc.enable()


def _piece() -> float:
    began = time.thread_time()
    rows = [(f"id_{number:06}", json.dumps({"n": number, "labels": {"a": str(number)}})) for number in range(4000)]
    database = sqlite3.connect(":memory:")
    database.execute("CREATE TABLE thing (id TEXT PRIMARY KEY, spec TEXT)")
    database.executemany("INSERT INTO thing VALUES (?, ?)", rows)
    found = [json.loads(spec) for (spec,) in database.execute("SELECT spec FROM thing ORDER BY id DESC")]
    database.close()
    hashlib.sha256(repr(sorted(str(one["labels"]) for one in found)).encode()).hexdigest()
    return time.thread_time() - began


def suite_of(file: str) -> str:
    """The folder below `tests/` that a file is in."""
    parts = Path(file).parts
    return parts[1] if len(parts) > 2 else parts[0]


@dataclass
class Cost:
    """What some tests cost."""

    tests: int = 0
    wall: float = 0.0
    cpu: float = 0.0
    pieces: float = 0.0
    """The CPU time as a multiple of that of the piece; 0 in suites that are not compared."""

    def add(self, other: Cost) -> None:
        """Adds another cost."""
        self.tests += other.tests
        self.wall += other.wall
        self.cpu += other.cpu
        self.pieces += other.pieces


@dataclass
class Costs:
    """What a run cost."""

    collection: float = 0.0
    suites: dict[str, Cost] = field(default_factory=dict)
    functions: dict[str, Cost] = field(default_factory=dict)
    second_run: list[str] = field(default_factory=list)
    """Ids of the slow tests that failed and ran again, see `tests/second_run.py`. Their cost counts once."""

    statements: set[tuple[str, str]] = field(default_factory=set)
    """The statements that ran, each with its database, see `tests/statements_run.py`."""

    def add(self, report: pytest.TestReport) -> None:
        """Counts a phase of a test."""
        file, _, name = report.nodeid.partition("::")
        cpu, piece = getattr(report, "cpu", 0.0), getattr(report, "piece", 0.0)
        cost = Cost(int(report.when == "call"), report.duration, cpu, cpu / piece if piece else 0.0)
        self.collection += getattr(report, "collection", 0.0)
        self.statements |= {(database, statement) for database, statement in getattr(report, "statements", ())}
        self.suites.setdefault(suite_of(file), Cost()).add(cost)
        self.functions.setdefault(f"{file}::{name.partition('[')[0]}", Cost()).add(cost)

    @classmethod
    def read(cls, file: Path) -> Costs:
        """The costs that `write` wrote."""
        found = json.loads(file.read_text())
        suites, functions = (
            {name: Cost(**cost) for name, cost in found[part].items()} for part in ("suites", "functions")
        )
        statements = {(database, statement) for database, statement in found["statements"]}
        return cls(found["collection"], suites, functions, found["second_run"], statements)

    def write(self, file: Path) -> None:
        """Writes them as JSON."""
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(asdict(self) | {"statements": sorted(self.statements)}, indent=1, sort_keys=True))


class Meter:
    """Measures in the processes that run tests, sums in the one that prints: with xdist they are not the same."""

    def __init__(self) -> None:
        self.costs = Costs()
        self._statements = StatementsRun()
        self._last = self._collection = self._piece = self._servers = 0.0
        self._measured_at = -FRESH_SECONDS
        self._servers_at = 0.0

    def pytest_collection_finish(self) -> None:
        self._collection = self._last = of_this_process()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        self._statements.counts = suite_of(item.nodeid) in SUITES
        if suite_of(item.nodeid) not in MEASURED:
            self._piece = 0.0
        elif not self._piece or time.monotonic() - self._measured_at > FRESH_SECONDS:
            before = of_this_process()
            self._piece, self._measured_at = piece_seconds(), time.monotonic()
            self._last += of_this_process() - before

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(self, item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
        yield
        if nextitem is None or nextitem.path != item.path or time.monotonic() - self._servers_at > SERVERS_SECONDS:
            self._servers, self._servers_at = SERVERS.seconds(), time.monotonic()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Iterator[Any]:
        report = yield
        now = of_this_process() + self._servers
        report.cpu, report.piece, report.collection = now - self._last, self._piece, self._collection
        report.statements = self._statements.new()
        self._last, self._collection = now, 0.0
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.costs.add(report)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
        from tests.budget import lines  # asks the registry, as the processes that print nothing need not

        terminalreporter.section("cost")
        for line in lines(self.costs):
            terminalreporter.line(line)
        self.costs.write(Path(config.getoption("cost")))
