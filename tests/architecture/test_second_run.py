"""Slow tests that failed run a second time, alone; any other failure is final. Each case is a made-up suite."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests import budget, exhaustive, second_run
from tests.cost import Costs

ROOT = Path(__file__).parents[2]
SUITE = """
from pathlib import Path

import pytest

PASSED = Path("passed_once")


@pytest.mark.slow
def test_unlucky():
    first = not PASSED.exists()
    PASSED.touch()
    assert not first


@pytest.mark.slow
def test_broken():
    assert False


def test_fast():
    assert False


@pytest.mark.slow
@pytest.mark.parametrize("number", range(6))
def test_many(number):
    assert False


@pytest.fixture
def server():
    test_unlucky()


@pytest.mark.slow
@pytest.mark.parametrize("text", ["a b::c[d]"])
def test_its_server_is_unlucky(server, text):
    pass


def test_sound():
    with Path("runs").open("a") as file:
        file.write("x")
"""


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("-p", "xdist", "-n", "2")], ids=["one process", "xdist"])
@pytest.mark.parametrize(
    ("tests", "code", "repeated"),
    [
        ("sound", 0, []),
        ("unlucky and not server or sound", 0, ["test_unlucky"]),
        ("server or sound", 0, ["test_its_server_is_unlucky[a b::c[d]]"]),
        ("unlucky and not server or broken", 1, ["test_unlucky", "test_broken"]),
        ("unlucky and not server or fast", 1, []),
        ("many", 1, []),
    ],
    ids=["sound", "fails once", "set-up fails once", "fails always", "fast", "six"],
)
def test_which_failures_run_again(
    tmp_path: Path, tests: str, code: int, repeated: list[str], options: tuple[str, ...]
) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = slow: x\n")
    (tmp_path / "test_suite.py").write_text(SUITE)
    command = [sys.executable, "-m", "tests.second_run", "-q", "-k", tests, *options]
    # A start with all plugins takes three times as long.
    environment = {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "EXHAUSTIVE": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == code, done.stdout + done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith(second_run.PREFIX)]
    ids = [f"test_suite.py::{test}" for test in repeated]
    assert sorted(lines[1 : 1 + len(ids)]) == sorted(f"{second_run.PREFIX} {id}" for id in ids)
    assert bool(lines) == bool(ids)
    if repeated:
        assert f"{len(ids)} slow tests failed and run again" in lines[0]
        assert ("passed" in lines[-1]) == (code == 0)
    if "sound" in tests:
        assert (tmp_path / "runs").read_text() == "x", "only the failed tests run again"


@pytest.mark.parametrize(("code", "failed", "slow"), [(2, 1, True), (5, 0, True), (1, 0, True), (1, 5, False)])
def test_other_ends_of_a_run_are_final(code: int, failed: int, slow: bool) -> None:
    assert not second_run.qualifies(code, {f"test_{number}": slow for number in range(failed)})
    assert second_run.qualifies(1, dict.fromkeys(map(str, range(5)), True))


def test_the_budget_names_the_tests_of_a_second_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "cost.json"
    Costs(second_run=["tests/x.py::test_y"]).write(file)
    assert budget.main([str(file)]) == 0
    assert "SECOND RUN: tests/x.py::test_y" in capsys.readouterr().out


def test_only_a_slow_machine_leaves_out_exhaustive_tests(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("EXHAUSTIVE", raising=False)
    monkeypatch.setattr(exhaustive, "slowness", lambda: 1.1)
    assert (exhaustive.selection(), capsys.readouterr().out) == ([], "")
    monkeypatch.setattr(exhaustive, "slowness", lambda: 3.0)
    assert exhaustive.selection() == ["-m", "not exhaustive"]
    assert "3.0 times" in capsys.readouterr().out
    monkeypatch.setenv("EXHAUSTIVE", "1")
    assert exhaustive.selection() == []


def test_what_a_slow_machine_leaves_out_exists() -> None:
    assert [path for path in {*exhaustive.FILES, *exhaustive.FOLDERS} if not (ROOT / path).exists()] == []
