"""Runs pytest and, when only a few slow tests failed, runs those a second time, alone.

    python -m tests.second_run [PYTEST ARGUMENT ...]

A slow test starts servers or kills processes, and a busy machine can make it fail. At most `MAX_FAILED` failed tests,
all marked `slow`, run again in a new process without xdist. They must pass then. Any other failure is final.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from tests.cost import Costs
from tests.exhaustive import selection

MAX_FAILED = 5
MARK = "slow"
PREFIX = "SECOND RUN:"


class Failures:
    """A pytest plugin that writes the ids of failed tests, and whether each is slow, to a JSON file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._slow: dict[str, bool] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._slow[report.nodeid] = MARK in report.keywords

    def pytest_sessionfinish(self) -> None:
        self._file.write_text(json.dumps(self._slow))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the option of this plugin."""
    parser.addoption("--failures", metavar="FILE", help="write the failed tests to this file")


def pytest_configure(config: pytest.Config) -> None:
    """Registers the plugin in the process that receives all reports."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Failures(Path(config.getoption("failures"))), "failures")


def run(arguments: Iterable[str]) -> tuple[int, dict[str, bool]]:
    """Runs pytest. Returns its exit code and the ids of the failed tests, each with whether it is slow."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "failures.json")
        command = [sys.executable, "-m", "pytest", "-p", __spec__.name, f"--failures={file}", *arguments]
        code = subprocess.run(command).returncode
        return code, json.loads(file.read_text()) if file.exists() else {}


def qualifies(code: int, failures: dict[str, bool]) -> bool:
    """Whether these failures get a second run: pytest ran all tests, and only a few slow ones failed."""
    return code == pytest.ExitCode.TESTS_FAILED and 0 < len(failures) <= MAX_FAILED and all(failures.values())


def say(text: str) -> None:
    sys.stdout.write(f"{PREFIX} {text}\n")
    sys.stdout.flush()


def main(arguments: Sequence[str]) -> int:
    """Returns the exit code of the first run, or of the second if there is one."""
    code, failures = run([*selection(), *arguments])
    if not qualifies(code, failures):
        return code
    say(f"{len(failures)} slow tests failed and run again, alone.")
    for test in failures:
        say(test)
    costs = [Path(argument.partition("=")[2]) for argument in arguments if argument.startswith("--cost=")]
    options = [f"--cost={file.with_name(f'second-{file.name}')}" for file in costs]
    code, failed_again = run([*options, *failures])
    for file in costs:
        record = Costs.read(file)
        record.second_run = list(failures)
        record.write(file)
    for test in failed_again:
        say(f"failed again: {test}")
    if code == pytest.ExitCode.OK:
        say(f"all {len(failures)} passed. A test that needs a second run is a fault to repair.")
    return code


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
