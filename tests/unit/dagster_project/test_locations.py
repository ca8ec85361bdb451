"""What the zygote loads, what it refuses to fork, and when it notices a change."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dagster_project.zygote import locations
from dagster_project.zygote.locations import Location, Sources, State, unsafe_to_fork


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(tmp_path)
    locations._root.cache_clear()
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "") or "").startswith(str(tmp_path)):
            del sys.modules[name]


def run(program: str, code: Path) -> str:
    """Runs a program in a separate process, where the number of threads is known."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(code), str(Path(__file__).parents[3])])}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(program)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


LOAD = """
from dagster_project.zygote import locations
from dagster_project.zygote.locations import Location, State
location = Location("l", "project_{n}")
location.load(State())
print(location.error or "ready")
"""


class TestLoad:
    def test_definitions_areresolved_and_stand_under_the_attribute(self, code: Path) -> None:
        (code / "project_a.py").write_text("import dagster as dg\n@dg.asset\ndef x(): ...\ndefs=dg.Definitions([x])")
        displayed = run(LOAD.format(n="a") + "import project_a; print(type(project_a.defs).__name__)", code)
        assert displayed.split() == ["ready", "RepositoryDefinition"]

    def test_lazily_built_definitions_are_built_once(self, code: Path) -> None:
        (code / "project_b.py").write_text(
            "import dagster as dg\n@dg.definitions\ndef defs():\n    print('building')\n    return dg.Definitions()"
        )
        again = "from dagster_project.zygote.locations import resolve; import project_b; resolve(project_b)"
        assert run(LOAD.format(n="b") + again, code).split() == ["building", "ready"]

    def test_a_fault_is_kept_as_the_reason(self, code: Path) -> None:
        (code / "project_c.py").write_text("import dagster as dg\nraise ValueError('no such table')")
        assert "project_c does not load: ValueError: no such table" in run(LOAD.format(n="c"), code)

    def test_a_thread_started_by_an_import_forbids_forking(self, code: Path) -> None:
        (code / "project_d.py").write_text(
            "import threading, time, dagster as dg\n"
            "threading.Thread(target=time.sleep, args=(30,), daemon=True).start()\ndefs = dg.Definitions()"
        )
        assert "importing project_d left 1 threads running" in run(LOAD.format(n="d"), code)

    def test_a_connection_opened_by_an_import_forbids_forking(self, code: Path) -> None:
        (code / "project_e.py").write_text(
            "import sqlite3, dagster as dg\n"
            f"c = sqlite3.connect({str(code / 'x.db')!r}); c.execute('create table t(a)')\ndefs = dg.Definitions()"
        )
        assert "importing project_e left connections open" in run(LOAD.format(n="e"), code)

    def test_threads_of_linear_algebra_do_not(self, code: Path) -> None:
        (code / "project_f.py").write_text("import numpy, dagster as dg\ndefs = dg.Definitions()")
        assert run(LOAD.format(n="f"), code).split() == ["ready"]


def test_this_very_process_with_a_thread_is_unsafe() -> None:
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    assert "left" in unsafe_to_fork("the test")
    stop.set()
    thread.join()


def test_a_network_connection_is_unsafe() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        assert unsafe_to_fork("the test")


class TestSources:
    def load(self, code: Path, broken: bool = False) -> Sources:
        (code / "shop").mkdir(exist_ok=True)
        (code / "shop" / "__init__.py").touch()
        (code / "shop" / "defs" / "orders").mkdir(parents=True, exist_ok=True)
        (code / "shop" / "defs" / "orders" / "defs.yaml").write_text("type: x")
        (code / "shop" / "main.py").write_text("VALUE = 1")
        import importlib

        importlib.import_module("shop.main")
        return Sources.of(["shop.main"], broken=broken)

    def test_nothing_changed(self, code: Path) -> None:
        seen = self.load(code)
        assert seen.refreshed() == seen
        assert not seen.changed_since(time.time_ns())

    def test_an_edited_module_a_new_yaml_file_and_a_removed_one(self, code: Path) -> None:
        seen = self.load(code)
        (code / "shop" / "main.py").write_text("VALUE = 20")
        assert seen.refreshed() != seen
        seen = seen.refreshed()
        (code / "shop" / "defs" / "more.yaml").write_text("")
        assert seen.refreshed() != seen
        seen = seen.refreshed()
        (code / "shop" / "defs" / "orders" / "defs.yaml").unlink()
        assert seen.refreshed() != seen

    def test_a_module_that_was_not_loaded_does_not_matter_unless_something_is_broken(self, code: Path) -> None:
        for broken in (False, True):
            seen = self.load(code, broken)
            (code / "shop" / f"unused{broken}.py").write_text("")
            assert (seen.refreshed() != seen) is broken

    def test_an_edit_while_loading_is_seen_and_a_file_from_the_future_is_not(self, code: Path) -> None:
        before = time.time_ns() - 1_000_000_000
        seen = self.load(code)
        assert seen.changed_since(before)
        for path in seen.stamps:
            os.utime(path, (time.time() + 9999, time.time() + 9999))
        assert not seen.refreshed().changed_since(before)


def test_a_location_without_a_module_says_so() -> None:
    location = Location("l", "no_such_module_anywhere")
    location.load(State())
    assert "No module named" in location.error
